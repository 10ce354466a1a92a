"""The step "plan": what the first run would do, and whether the guard would hold it."""

from __future__ import annotations

from contactsync.checks.context import CheckContext
from contactsync.checks.result import StepResult, ok, skipped, warning
from contactsync.errors import AlreadyRunning
from contactsync.model import Outcome, RunReport
from contactsync.text import counted


def check_plan(context: CheckContext) -> StepResult:
    """The plan of a stored definition, without applying it; an estimate for one that is not stored."""
    if context.counted.stopped_by:
        return skipped("A run would fail, because the server limits the search.")
    if context.preview is None:
        return _estimate(context)
    try:
        return _plan(context.preview())
    except AlreadyRunning as error:
        return skipped(error.message, "Check again after that run.")


def _estimate(context: CheckContext) -> StepResult:
    entries = context.counted.entries
    least = "" if context.counted.complete else "at least "
    return ok(
        f"A new folder would get {least}{counted(entries, 'contact')}; the guard would not hold the run.",
        {"estimated": True, "inserts": entries, "updates": 0, "deletes": 0, "held": None},
    )


def _plan(report: RunReport) -> StepResult:
    counts = report.counts
    data = {
        "estimated": False,
        "inserts": counts.inserted,
        "updates": counts.updated,
        "deletes": counts.deleted,
        "rejected": counts.rejected,
        "held": report.held_reason,
    }
    text = f"A run would insert {counts.inserted:,}, update {counts.updated:,} and delete {counts.deleted:,} contacts."
    if report.outcome is Outcome.HELD:
        return warning(f"{text} The guard would hold it.", report.held_reason or "", data)
    return ok(text, data)
