"""`contactsync preview NAME`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from contactsync.cli.api import definition_of
from contactsync.cli.errors import ExitCode
from contactsync.cli.output.differences import show_changes, show_first_changes
from contactsync.cli.output.summary import show_recognised, show_rejected
from contactsync.cli.output.text import show_json, show_text
from contactsync.model import Outcome
from contactsync.operations.preview import PreviewDocument
from contactsync.text import counted, printable

if TYPE_CHECKING:
    from rich.console import Console

    from contactsync.cli.context import Invocation

CHANGES_SHOWN = 20
MOST_CHANGES = 10_000
"""As many as the API gives."""
_LINES_ABOVE = 9
"""Lines of a screen for the totals and the prompt."""

_EXIT_CODES = {Outcome.UNCHANGED: ExitCode.DONE, Outcome.CHANGED: ExitCode.CHANGES, Outcome.HELD: ExitCode.HELD}


def preview(invocation: Invocation, name: str, *, limit: int | None, as_json: bool) -> int:
    """Print the plan of a run without applying it; returns the exit code. Raises what a run would fail with.

    Without a limit a terminal gets what fits its screen.
    """
    most = CHANGES_SHOWN if limit is None else limit or MOST_CHANGES
    with invocation.api() as api:
        definition = definition_of(api, name)
        with invocation.err.status(printable(f"{definition['label']}: reading and comparing ...")):
            path = f"/v1/definitions/{definition['definition_id']}/preview"
            document = api.post(path, limit=most, timeout=None)
    if as_json:
        show_json(invocation.out, document)
    else:
        lines = invocation.out.height if limit is None and invocation.out.is_terminal else None
        _show(invocation.out, PreviewDocument.model_validate(document), lines)
    return _EXIT_CODES[document["outcome"]]


def _show(console: Console, preview: PreviewDocument, lines: int | None) -> None:
    """Print the totals and what to do, and then the changes: as many as fit into `lines`, or all."""
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
    if preview.changes:
        console.print()
        changes = [change.model_dump() for change in preview.changes]
        if lines is None:
            show_changes(console, changes, left_out=preview.changes_left_out)
        else:
            show_first_changes(console, changes, lines=lines - _LINES_ABOVE, left_out=preview.changes_left_out)


def _totals(preview: PreviewDocument) -> str:
    entries = f"{counted(preview.entries, 'entry', 'entries')} read. Nothing was changed."
    numbers = {"add": preview.inserted, "change": preview.updated, "delete": preview.deleted}
    would = ", ".join(f"{verb} {number:,}" for verb, number in numbers.items() if number)
    if not would:
        return f"nothing would change; {entries}"
    contacts = counted(preview.contacts or 0, "contact")
    return f"a run would {would}; the folder has {contacts} now; {entries}"
