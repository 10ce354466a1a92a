"""`contactsync history NAME CONTACT`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from contactsync.cli.output.differences import show_fields
from contactsync.cli.output.text import show_json, show_text
from contactsync.operations.contacts import named, run_named
from contactsync.operations.history import Event, History, contact_history
from contactsync.operations.names import find_one
from contactsync.text import MOMENT

if TYPE_CHECKING:
    from contactsync.cli.context import Invocation

_VERBS = {"insert": "added", "update": "changed", "delete": "deleted"}


def show_history(invocation: Invocation, name: str, text: str, *, as_json: bool) -> None:
    """Print the events of a contact, newest last. Raises UsageError if there is none, or more than one."""
    with invocation.connection() as connection:
        definition = find_one(connection, name)
        history = contact_history(connection, definition, text)
    if as_json:
        show_json(invocation.out, _document(history))
        return
    contact = history.contact
    state = "" if contact.present else ", deleted"
    own = f", a person's own, which {definition.label} did not add" if contact.definition_id is None else ""
    show_text(invocation.out, f"{named(contact)}{own}{state}", style="bold")
    if not history.events:
        show_text(invocation.out, "The history has no run that changed it.")
    for event in history.events:
        show_text(invocation.out, _title(event))
        show_fields(invocation.out, event.fields, action=event.action)


def _title(event: Event) -> str:
    if event.run_id is None:
        when = f"on {event.at.astimezone():{MOMENT}} or before" if event.at else "before the next run below"
        return f"changed by a person or a program, {when}"
    how = run_named(event.run_id, event.trigger or "", event.at) if event.at else f"run {event.run_id}"
    undoes = f", which undid run {event.undoes}" if event.undoes else ""
    return f"{_VERBS[event.action]} by {how}{undoes}"


def _document(history: History) -> dict[str, Any]:
    contact = history.contact
    return {
        "contact_id": contact.contact_id,
        "display_name": contact.display_name,
        "email": contact.email,
        "definition_id": contact.definition_id,
        "present": contact.present,
        "events": [{**asdict(event), "fields": _before_and_after(event.fields)} for event in history.events],
    }


def _before_and_after(fields: Mapping[str, tuple[Any, Any]]) -> dict[str, dict[str, Any]]:
    return {name: {"before": before, "after": after} for name, (before, after) in fields.items()}
