"""The step "plan": what the first run would do, and whether the guard would hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contactsync.checks.result import Status, StepResult, counted
from contactsync.errors import AlreadyRunning
from contactsync.model import Outcome

if TYPE_CHECKING:
    from contactsync.checks.context import CheckContext
    from contactsync.model import RunReport


def check_plan(checkup: CheckContext) -> StepResult:
    """Make the real plan of a stored definition and take it back; of one that is not stored, estimate it."""
    found = checkup.counted
    if found and found.stopped_by:
        return StepResult(status=Status.SKIPPED, text="Needs a search that the server does not cut off.")
    if checkup.preview is None:
        return _estimate(checkup)
    try:
        return _real(checkup.preview())
    except AlreadyRunning as error:
        return StepResult(status=Status.SKIPPED, text=error.message, hint="Check again when it is over.")


def _estimate(checkup: CheckContext) -> StepResult:
    found = checkup.counted
    entries = found.entries if found else 0
    least = "" if found and found.complete else "at least "
    return StepResult(
        status=Status.OK,
        text=f"A new folder would get {least}{counted(entries, 'contact')}; nothing holds that.",
        data={"estimated": True, "inserts": entries, "updates": 0, "deletes": 0, "held": None},
    )


def _real(report: RunReport) -> StepResult:
    counts = report.counts
    data = {
        "estimated": False,
        "inserts": counts.inserted,
        "updates": counts.updated,
        "deletes": counts.deleted,
        "rejected": counts.rejected,
        "held": report.held_reason,
    }
    text = f"A run now would add {counts.inserted:,}, change {counts.updated:,} and delete {counts.deleted:,}."
    if report.outcome is Outcome.HELD:
        return StepResult(
            status=Status.WARNING,
            text=f"{text} It would be held.",
            hint=report.held_reason or "",
            data=data,
        )
    return StepResult(status=Status.OK, text=text, data=data)
