"""`contactsync undo RUN`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from contactsync.cli.output.text import counted, show_json, show_text
from contactsync.cli.prompts import confirm
from contactsync.operations.runs import require_definition, require_run
from contactsync.operations.undo import Undone, require_undoable, undo, undo_question
from contactsync.store.pool import connection_of

if TYPE_CHECKING:
    from rich.console import Console

    from contactsync.cli.context import Invocation


def undo_run(invocation: Invocation, run_id: int, *, yes: bool, as_json: bool) -> None:
    """Ask, take the run back, and say what that did. Raises UsageError, UndoRefused, AlreadyRunning, DatabaseError."""
    with invocation.pool() as pool:
        with connection_of(pool) as connection:
            run = require_run(connection, run_id)
            require_undoable(run)
            question = undo_question(run, require_definition(connection, run))
        confirm(question, yes=yes)
        undone = undo(pool, run_id)
    if as_json:
        show_json(invocation.out, _document(undone, run_id))
    else:
        _show(invocation.out, undone, run_id)


def _show(console: Console, undone: Undone, run_id: int) -> None:
    counts, label = undone.report.counts, undone.report.definition.label
    did = {"removed": counts.deleted, "set back": counts.updated, "restored": counts.inserted}
    what = ", ".join(f"{counted(number, 'contact')} {done}" for done, number in did.items() if number)
    show_text(console, f"Took run {run_id} back, as run {undone.report.run_id}: {what or 'nothing but photos'}.")
    if undone.photos_lost:
        show_text(
            console,
            f"{counted(undone.photos_lost, 'photo')} that it replaced or removed cannot be brought back, because they "
            "are not kept. The directory may still have them.",
            style="yellow",
        )
    name = shlex.quote(label)
    state = "is paused now" if undone.paused else "was paused already"
    show_text(console, f"{label} {state}. Once the cause is mended: contactsync folders resume {name}")


def _document(undone: Undone, run_id: int) -> dict[str, object]:
    report = undone.report
    return {
        "run_id": report.run_id,
        "undoes": run_id,
        "label": report.definition.label,
        "inserted": report.counts.inserted,
        "updated": report.counts.updated,
        "deleted": report.counts.deleted,
        "photos_lost": undone.photos_lost,
    }
