"""`contactsync preview NAME`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from contactsync.bootstrap import build_runner
from contactsync.cli.commands.sync import giving_up_when_told
from contactsync.cli.errors import ExitCode
from contactsync.cli.output.differences import show_changes
from contactsync.cli.output.progress import run_progress
from contactsync.cli.output.summary import show_rejected
from contactsync.cli.output.text import counted, show_json, show_text
from contactsync.model import Outcome
from contactsync.operations.names import find_one
from contactsync.operations.preview import preview_document
from contactsync.store.pool import connection_of

if TYPE_CHECKING:
    from rich.console import Console

    from contactsync.cli.context import Invocation
    from contactsync.model import Preview, RunReport

_EXIT_CODES = {Outcome.UNCHANGED: ExitCode.DONE, Outcome.CHANGED: ExitCode.CHANGES, Outcome.HELD: ExitCode.HELD}


def preview(invocation: Invocation, name: str, *, limit: int, as_json: bool) -> int:
    """Print the plan of a run without applying it; returns the exit code. Raises what a run would fail with."""
    with invocation.pool() as pool:
        with connection_of(pool) as connection:
            definition = find_one(connection, name)
        runner = build_runner(invocation.settings, pool)
        with (
            giving_up_when_told(runner),
            run_progress(invocation.err, definition.label, quiet=as_json) as progress,
        ):
            previewed = runner.preview(definition, progress, limit=limit or None)
    if as_json:
        show_json(invocation.out, preview_document(previewed))
    else:
        _show(invocation.out, previewed)
    return _EXIT_CODES[previewed.report.outcome]


def _show(console: Console, previewed: Preview) -> None:
    report = previewed.report
    plan = report.plan
    if plan is not None and plan.changes:
        show_changes(console, previewed.changes, left_out=plan.changes - len(previewed.changes))
        console.print()
    show_text(console, f"{report.definition.label}: {_totals(report)}")
    if report.counts.rejected and plan is not None:
        rejected = counted(report.counts.rejected, "entry", "entries")
        show_rejected(console, f"{rejected} would be rejected:", plan.rejected_sample)
    if report.held_reason:
        show_text(console, f"The run would be held. {report.held_reason}", style="yellow")
        name = shlex.quote(report.definition.label)
        show_text(console, f"To make a held run that you can approve: contactsync sync {name}")


def _totals(report: RunReport) -> str:
    entries = f"{counted(report.counts.entries, 'entry', 'entries')} read; nothing was changed."
    if report.plan is None or not report.plan.changes:
        return f"nothing would change; {entries}"
    would = {"add": report.plan.inserts, "change": report.plan.updates, "delete": report.plan.deletes}
    what = ", ".join(f"{verb} {number:,}" for verb, number in would.items() if number)
    return f"a run would {what}, of {counted(report.plan.contacts or 0, 'contact')} now; {entries}"
