"""What a run did: a paragraph for people, a document for scripts."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from contactsync.cli.output.text import counted, show_text
from contactsync.model import Mode, Outcome

if TYPE_CHECKING:
    from rich.console import Console

    from contactsync.model import RunReport

_STYLES = {Outcome.HELD: "yellow", Outcome.FAILED: "red", Outcome.CANCELLED: "yellow"}
_NAMES_SHOWN = 5


def show_report(console: Console, report: RunReport) -> None:
    """Print the outcome, what was read and changed, how long it took, and what to do if the run was held."""
    label = report.definition.label
    show_text(console, f"{label}: {_what(report)}", style=_STYLES.get(report.outcome, ""))
    if report.outcome is Outcome.HELD:
        if names := report.plan.deleted_names[:_NAMES_SHOWN] if report.plan else ():
            more = report.counts.deleted - len(names)
            show_text(console, f"It would delete {', '.join(names)}{f' and {more:,} more' if more > 0 else ''}.")
        show_text(
            console,
            f"Nothing was changed. To see the whole plan: contactsync runs show {report.run_id}. To allow it: "
            f"contactsync approve {report.run_id}. To edit the query or a limit: contactsync folders edit "
            f"{shlex.quote(label)}",
        )
    if report.counts.rejected:
        rejected = counted(report.counts.rejected, "entry", "entries")
        show_rejected(console, f"{rejected} rejected:", report.plan.rejected_sample if report.plan else ())


def show_rejected(console: Console, heading: str, entries: Iterable[tuple[str, str]]) -> None:
    """Print the DN and the reason of each rejected entry."""
    show_text(console, heading, style="yellow")
    for dn, reason in entries:
        show_text(console, f"  {dn}: {reason}")


def report_document(report: RunReport) -> dict[str, Any]:
    """The report for scripts; `seconds` is the total, `stages` has the seconds of each stage."""
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
        return f"{_counts(report)} {sum(report.seconds.values()):.1f} seconds, from {report.server}."
    attempts = f" after {report.attempts} attempts" if report.attempts > 1 else ""
    return f"{report.outcome.value}{attempts}. {report.error or ''}".rstrip()


def _counts(report: RunReport) -> str:
    counts = report.counts
    entries = counted(counts.entries, "entry", "entries")
    if report.mode is Mode.COUNTERS:
        return "nothing changed, according to the server's change counters."
    if report.outcome is Outcome.UNCHANGED:
        return f"nothing changed in {entries}."
    changes = {"added": counts.inserted, "changed": counts.updated, "deleted": counts.deleted}
    return f"{', '.join(f'{number:,} {verb}' for verb, number in changes.items() if number)}; {entries} read."
