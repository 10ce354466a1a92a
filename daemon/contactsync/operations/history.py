"""A contact's history, field by field, with what people changed between the runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from contactsync.errors import UsageError
from contactsync.operations.contacts import find_contact
from contactsync.store.record.history import Found, Recorded, changes_of_contact, contact_fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import Connection

    from contactsync.model import Definition

Fields = dict[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened to a contact.

    `action` is insert, update or delete for a run, edit for a person, of whom only is known that it was after the
    event before and before the next; `at` is then None, or when the contact was last written.
    """

    action: str
    fields: Fields
    run_id: int | None = None
    trigger: str | None = None
    at: datetime | None = None
    undoes: int | None = None


@dataclass(frozen=True, slots=True)
class History:
    """A contact and all that is recorded of it, oldest first."""

    contact: Found
    events: list[Event]


def contact_history(connection: Connection[Any], definition: Definition, text: str) -> History:
    """The history of the contact that the text means, also of one that is gone. Raises UsageError, DatabaseError."""
    contact = find_contact(connection, definition, text)
    if contact is None:
        raise UsageError(
            f'There is no contact like "{text}" in {definition.label}, now or in its history.',
            hint=f"To find out why: contactsync explain {definition.label} ...",
        )
    key = {"folder_id": definition.folder_id, "contact_id": contact.contact_id}
    return History(contact, events_of(changes_of_contact(connection, **key), contact_fields(connection, **key)))


def events_of(recorded: Sequence[Recorded], now: tuple[dict[str, Any], datetime] | None) -> list[Event]:
    """The events of a contact out of what runs recorded and what it is now (its fields and when it was written).

    What an insert brought is not recorded: it is what the contact is now, with all later changes taken back. Where a
    run found another value than the run before had left, a person had changed it.
    """
    brought = _brought(recorded, now[0] if now else {})
    events: list[Event] = []
    known: dict[str, Any] = {}
    for row in recorded:
        changes = brought[row.run_id] if row.action == "insert" else _pairs(row.changes or {})
        if edits := _edits(known, changes, row.action):
            events.append(Event(action="edit", fields=edits))
        known = {} if row.action == "delete" else known | {name: after for name, (_, after) in changes.items()}
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
    if now and (edits := {name: (known[name], now[0].get(name)) for name in known if _differ(known, now[0], name)}):
        events.append(Event(action="edit", fields=edits, at=now[1]))
    return events


def _brought(recorded: Sequence[Recorded], now: dict[str, Any]) -> dict[int, Fields]:
    """For each insert, by its run, the fields with a value that it brought."""
    brought: dict[int, Fields] = {}
    state = now
    for row in reversed(recorded):
        if row.action == "insert":
            brought[row.run_id] = {name: (None, value) for name, value in state.items() if not _blank(value)}
            state = {}
        else:
            before = {name: pair[0] for name, pair in (row.changes or {}).items()}
            state = before if row.action == "delete" else state | before
    return brought


def _edits(known: dict[str, Any], changes: Fields, action: str) -> Fields:
    """What differs between what the last run left and what this one found; a delete tells of every field."""
    found = {name: before for name, (before, _) in changes.items()}
    names = known if action == "delete" else found.keys() & known.keys()
    return {name: (known[name], found.get(name)) for name in names if _differ(known, found, name)}


def _differ(left: dict[str, Any], right: dict[str, Any], name: str) -> bool:
    one, other = left.get(name), right.get(name)
    return one != other and not (_blank(one) and _blank(other))


def _blank(value: Any) -> bool:
    return value is None or value in ("", [], {})


def _pairs(changes: dict[str, list[Any]]) -> Fields:
    return {name: (before, after) for name, (before, after) in changes.items()}
