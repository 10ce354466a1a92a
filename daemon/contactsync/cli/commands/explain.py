"""`contactsync explain NAME PERSON`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contactsync.bootstrap import build_runner
from contactsync.cli.output.text import show_json, show_text
from contactsync.operations.explain import explain
from contactsync.operations.names import find_one
from contactsync.store.pool import connection_of

if TYPE_CHECKING:
    from contactsync.cli.context import Invocation


def show_explanation(invocation: Invocation, name: str, text: str, *, as_json: bool) -> None:
    """Print why a person is in a folder or not. Raises UsageError, DatabaseError."""
    with invocation.pool() as pool:
        with connection_of(pool) as connection:
            definition = find_one(connection, name)
        explanation = explain(pool, build_runner(invocation.settings, pool), definition, text)
    if as_json:
        reasons = [{"verdict": reason.verdict, "text": reason.text} for reason in explanation.reasons]
        show_json(invocation.out, {"verdict": explanation.verdict, "reasons": reasons})
        return
    for reason in explanation.reasons:
        show_text(invocation.out, reason.text)
