"""The history of a contact, field by field, with the edits of people between the runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from contactsync.errors import NotFound
from contactsync.operations.contacts import find_contact
from contactsync.store.record.history import Found, Recorded, changes_of_contact, contact_fields
from contactsync.text import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import Connection

    from contactsync.model import Definition

Fields = dict[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change of a contact.

    `action` is insert, update or delete for a run, and edit for a person. An edit happened between the events before
    and after it; its `at` is None, or the time of the contact's last change.
    """

    action: str
    fields: Fields
    run_id: int | None = None
    trigger: str | None = None
    at: datetime | None = None
    undoes: int | None = None


@dataclass(frozen=True, slots=True)
class History:
    """A contact and its events, oldest first."""

    contact: Found
    events: list[Event]


def contact_history(connection: Connection[Any], definition: Definition, text: str) -> History:
    """The history of the contact that the text means, also of a deleted one.

    Raises NotFound, UsageError if several contacts match, DatabaseError.
    """
    contact = find_contact(connection, definition, text)
    if contact is None:
        raise NotFound(
            f"There is no contact like {quoted(text)} in {definition.label}, now or in its history.",
            hint=f"To find out why: contactsync explain {definition.label} ...",
        )
    return History(contact, history_of(connection, folder_id=definition.folder_id, contact_id=contact.contact_id))


def history_of(connection: Connection[Any], *, folder_id: int, contact_id: int) -> list[Event]:
    """The events of the contact with this id, oldest first; none if it never existed. Raises DatabaseError."""
    key = {"folder_id": folder_id, "contact_id": contact_id}
    return events_of(changes_of_contact(connection, **key), contact_fields(connection, **key))


def events_of(recorded: Sequence[Recorded], current: tuple[dict[str, Any], datetime] | None) -> list[Event]:
    """The events of a contact, from the changes by runs and its current fields with the time of its last change.

    The values of an insert are not recorded; they are the current ones with all later changes reversed. A difference
    between the values that a run left and those that the next run found is an edit by a person.
    """
    inserted = _inserted(recorded, current[0] if current else {})
    events: list[Event] = []
    fields: dict[str, Any] = {}
    for row in recorded:
        changes = inserted[row.run_id] if row.action == "insert" else _pairs(row.changes or {})
        if edits := _edits(fields, changes, row.action):
            events.append(Event(action="edit", fields=edits))
        fields = {} if row.action == "delete" else fields | {name: after for name, (_, after) in changes.items()}
        events.append(
            Event(
                action=row.action,
                fields=changes,
                run_id=row.run_id,
                trigger=row.trigger,
                at=row.finished_at or row.started_at,
                undoes=row.undoes,
            )
        )
    if current:
        edits = {name: (fields[name], current[0].get(name)) for name in fields if _differ(fields, current[0], name)}
        if edits:
            events.append(Event(action="edit", fields=edits, at=current[1]))
    return events


def _inserted(recorded: Sequence[Recorded], current: dict[str, Any]) -> dict[int, Fields]:
    """The fields of each insert, by its run."""
    inserted: dict[int, Fields] = {}
    state = current
    for row in reversed(recorded):
        if row.action == "insert":
            inserted[row.run_id] = {name: (None, value) for name, value in state.items() if not _blank(value)}
            state = {}
        else:
            before = {name: pair[0] for name, pair in (row.changes or {}).items()}
            state = before if row.action == "delete" else state | before
    return inserted


def _edits(fields: dict[str, Any], changes: Fields, action: str) -> Fields:
    """The differences between the fields after one run and before the next; the changes of a delete have all fields."""
    before = {name: pair[0] for name, pair in changes.items()}
    names = fields if action == "delete" else before.keys() & fields.keys()
    return {name: (fields[name], before.get(name)) for name in names if _differ(fields, before, name)}


def _differ(left: dict[str, Any], right: dict[str, Any], name: str) -> bool:
    one, other = left.get(name), right.get(name)
    return one != other and not (_blank(one) and _blank(other))


def _blank(value: Any) -> bool:
    return value is None or value in ("", [], {})


def _pairs(changes: dict[str, list[Any]]) -> Fields:
    return {name: (before, after) for name, (before, after) in changes.items()}
