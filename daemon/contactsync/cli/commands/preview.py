"""`contactsync preview NAME`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from contactsync.bootstrap import build_runner
from contactsync.cli.errors import ExitCode
from contactsync.cli.interrupt import cancelled_by_signals
from contactsync.cli.output.differences import show_changes
from contactsync.cli.output.progress import run_progress
from contactsync.cli.output.summary import show_recognised, show_rejected
from contactsync.cli.output.text import show_json, show_text
from contactsync.model import Outcome
from contactsync.operations.names import find_one
from contactsync.operations.preview import PreviewDocument
from contactsync.store.pool import connection_of
from contactsync.sync.observer import ObserverGroup
from contactsync.text import counted

if TYPE_CHECKING:
    from rich.console import Console

    from contactsync.cli.context import Invocation

_EXIT_CODES = {Outcome.UNCHANGED: ExitCode.DONE, Outcome.CHANGED: ExitCode.CHANGES, Outcome.HELD: ExitCode.HELD}


def preview(invocation: Invocation, name: str, *, limit: int, as_json: bool) -> int:
    """Print the plan of a run without applying it; returns the exit code. Raises what a run would fail with."""
    with invocation.pool() as pool:
        with connection_of(pool) as connection:
            definition = find_one(connection, name)
        runner = build_runner(invocation.settings, pool)
        with (
            cancelled_by_signals(runner) as interruption,
            run_progress(invocation.err, definition.label, quiet=as_json) as progress,
        ):
            previewed = runner.preview(definition, ObserverGroup(progress, interruption), limit=limit or None)
    document = PreviewDocument.of_preview(previewed)
    if as_json:
        show_json(invocation.out, document.model_dump())
    else:
        _show(invocation.out, document)
    return _EXIT_CODES[previewed.report.outcome]


def _show(console: Console, preview: PreviewDocument) -> None:
    if preview.changes:
        show_changes(console, [change.model_dump() for change in preview.changes], left_out=preview.changes_left_out)
        console.print()
    show_text(console, f"{preview.label}: {_totals(preview)}")
    show_recognised(console, preview)
    if preview.rejected:
        rejected = counted(preview.rejected, "entry", "entries")
        show_rejected(
            console, f"{rejected} would be rejected:", [entry.model_dump() for entry in preview.rejected_sample]
        )
    if preview.held_reason:
        show_text(console, f"The run would be held. {preview.held_reason}", style="yellow")
        name = shlex.quote(preview.label)
        show_text(console, f"To make a held run that you can approve: contactsync sync {name}")


def _totals(preview: PreviewDocument) -> str:
    entries = f"{counted(preview.entries, 'entry', 'entries')} read. Nothing was changed."
    numbers = {"add": preview.inserted, "change": preview.updated, "delete": preview.deleted}
    would = ", ".join(f"{verb} {number:,}" for verb, number in numbers.items() if number)
    if not would:
        return f"nothing would change; {entries}"
    contacts = counted(preview.contacts or 0, "contact")
    return f"a run would {would}; the folder has {contacts} now; {entries}"
