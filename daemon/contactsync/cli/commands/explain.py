"""`contactsync explain NAME PERSON`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from contactsync.bootstrap import bind_passwords, run_options
from contactsync.cli.output.text import show_json, show_text
from contactsync.operations.directory_lookup import Lookup, look_up
from contactsync.operations.explain import explain
from contactsync.operations.names import find_one

if TYPE_CHECKING:
    from contactsync.cli.context import Invocation


def show_explanation(invocation: Invocation, name: str, text: str, *, as_json: bool) -> None:
    """Print why a person is in a folder or not. Raises UsageError, DatabaseError."""
    with invocation.connection() as connection:
        definition = find_one(connection, name)

        def search() -> Lookup:
            return look_up(definition, text, bind_passwords(invocation.settings), run_options(invocation.settings))

        explanation = explain(connection, definition, text, search)
    if as_json:
        reasons = [asdict(reason) for reason in explanation.reasons]
        show_json(invocation.out, {"verdict": explanation.verdict, "reasons": reasons})
        return
    for reason in explanation.reasons:
        show_text(invocation.out, reason.text)
