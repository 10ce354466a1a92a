"""`contactsync history NAME CONTACT`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contactsync.cli.api import definition_of
from contactsync.cli.output.differences import show_fields
from contactsync.cli.output.text import at, show_json, show_text
from contactsync.model import Trigger

if TYPE_CHECKING:
    from contactsync.cli.context import Invocation

_VERBS = {"insert": "added", "update": "changed", "delete": "deleted"}


def show_history(invocation: Invocation, name: str, text: str, *, as_json: bool) -> None:
    """Print the events of a contact, newest last. Raises UsageError if there is none, or more than one."""
    with invocation.api() as api:
        definition = definition_of(api, name)
        history = api.get(f"/v1/definitions/{definition['definition_id']}/history", who=text)
    if as_json:
        show_json(invocation.out, history)
        return
    state = "" if history["present"] else ", deleted"
    label = definition["label"]
    own = f", a person's own, which {label} did not add" if history["definition_id"] is None else ""
    show_text(invocation.out, f"{history['name']}{own}{state}", style="bold")
    if not history["events"]:
        show_text(invocation.out, "The history has no run that changed it.")
    for event in history["events"]:
        show_text(invocation.out, _title(event))
        show_fields(invocation.out, event["fields"], action=event["action"])


def _title(event: Mapping[str, Any]) -> str:
    if event["run_id"] is None:
        when = f"on {at(event['at'])} or before" if event["at"] else "before the next run below"
        return f"changed by a person or a program, {when}"
    how = f" ({Trigger(event['trigger']).words}, {at(event['at'])})" if event["at"] else ""
    undoes = f", which undid run {event['undoes']}" if event["undoes"] else ""
    return f"{_VERBS[event['action']]} by run {event['run_id']}{how}{undoes}"
