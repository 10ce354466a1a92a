"""`contactsync explain NAME PERSON`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contactsync.cli.api import definition_of
from contactsync.cli.output.text import show_json, show_text

if TYPE_CHECKING:
    from contactsync.cli.context import Invocation


def show_explanation(invocation: Invocation, name: str, text: str, *, as_json: bool) -> None:
    """Print why a person is in a folder or not. Raises UsageError, DatabaseError."""
    with invocation.api() as api:
        definition_id = definition_of(api, name)["definition_id"]
        explained = api.get(f"/v1/definitions/{definition_id}/explain", timeout=None, who=text)
    if as_json:
        show_json(invocation.out, explained)
        return
    for reason in explained["reasons"]:
        show_text(invocation.out, reason["text"])
