"""What a run did, in a paragraph for people and in a document for scripts."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from contactsync.cli.output.render import counted, show_text
from contactsync.model import Mode, Outcome

if TYPE_CHECKING:
    from rich.console import Console

    from contactsync.model import RunReport

_STYLES = {Outcome.HELD: "yellow", Outcome.FAILED: "red", Outcome.CANCELLED: "yellow"}
_NAMES_SHOWN = 5


def show_report(console: Console, report: RunReport) -> None:
    """One paragraph: how it ended, what it saw and did, how long it took, and what to do when it did not go well."""
    label = report.definition.label
    show_text(console, f"{label}: {_what(report)}", style=_STYLES.get(report.outcome, ""))
    if report.outcome is Outcome.HELD:
        _show_names(console, report)
        name = shlex.quote(label)
        show_text(
            console,
            f"Nothing was changed. To see all of it: contactsync runs show {report.run_id}. To allow it: "
            f"contactsync approve {report.run_id}. To edit the query or a limit: contactsync folders edit {name}",
        )
    if report.counts.rejected:
        _show_rejected(console, report)


def report_document(report: RunReport) -> dict[str, Any]:
    """The report for scripts; seconds in all and for each stage."""
    plan = report.plan
    return {
        "label": report.definition.label,
        "definition_id": report.definition.definition_id,
        "run_id": report.run_id,
        "trigger": report.trigger,
        "outcome": report.outcome,
        "started_at": report.started_at,
        "server": report.server,
        "skipped_servers": list(report.skipped_servers),
        "mode": report.mode.value,
        "full_reason": report.full_reason,
        "attempts": report.attempts,
        **asdict(report.counts),
        "seconds": round(sum(report.seconds.values()), 3),
        "stages": {stage: round(seconds, 3) for stage, seconds in report.seconds.items()},
        "error_code": report.error_code,
        "error": report.error,
        "held_reason": report.held_reason,
        "deleted_names": list(plan.deleted_names) if plan else [],
        "rejected_sample": [{"dn": dn, "reason": why} for dn, why in plan.rejected_sample] if plan else [],
    }


def _what(report: RunReport) -> str:
    if report.outcome is Outcome.HELD:
        return f"held. {report.held_reason}"
    if report.outcome in {Outcome.UNCHANGED, Outcome.CHANGED}:
        return f"{_counts(report)} {_where(report)}"
    attempts = f" after {report.attempts} attempts" if report.attempts > 1 else ""
    return f"{report.outcome.value}{attempts}. {report.error or ''}".rstrip()


def _counts(report: RunReport) -> str:
    counts = report.counts
    entries = counted(counts.entries, "entry", "entries")
    if report.mode is Mode.COUNTERS:
        return "nothing changed, by what the server counts."
    if report.outcome is Outcome.UNCHANGED:
        return f"nothing changed in {entries}."
    done = {"added": counts.inserted, "changed": counts.updated, "deleted": counts.deleted}
    return f"{', '.join(f'{number:,} {what}' for what, number in done.items() if number)}; {entries} read."


def _where(report: RunReport) -> str:
    return f"{sum(report.seconds.values()):.1f} seconds, from {report.server}."


def _show_names(console: Console, report: RunReport) -> None:
    names = report.plan.deleted_names if report.plan else ()
    if names:
        more = report.counts.deleted - len(names[:_NAMES_SHOWN])
        others = f" and {more:,} more" if more > 0 else ""
        show_text(console, f"It would delete {', '.join(names[:_NAMES_SHOWN])}{others}.")


def _show_rejected(console: Console, report: RunReport) -> None:
    sample = report.plan.rejected_sample if report.plan else ()
    show_text(console, f"{counted(report.counts.rejected, 'entry', 'entries')} rejected:", style="yellow")
    for dn, reason in sample:
        show_text(console, f"  {dn}: {reason}")
