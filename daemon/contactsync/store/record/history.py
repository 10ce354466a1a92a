"""The recorded changes of contacts, and how to find a contact in them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row, dict_row

from contactsync.store.plan.plan import INTERNAL
from contactsync.store.record.runs import LARGEST_ID
from contactsync.store.statements import execute, read_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import Connection

    from contactsync.model import Definition


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A contact of a search. `definition_id` is None for a person's own contact, `present` False for a deleted one."""

    contact_id: int
    display_name: str | None
    email: str | None
    source_dn: str | None
    definition_id: int | None
    present: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The change of one contact by one run. `changes` is {field: [before, after]}, or None for an insert."""

    run_id: int
    trigger: str
    started_at: datetime
    finished_at: datetime | None
    action: str
    display_name: str | None
    changes: dict[str, list[Any]] | None
    undoes: int | None


def changes_of_definition(
    connection: Connection[Any],
    *,
    folder_id: int,
    definition_id: int,
    before: tuple[int, int] | None = None,
    action: str | None = None,
    patterns: Sequence[str] = (),
    limit: int,
) -> list[dict[str, Any]]:
    """The changes by runs of a definition, the newest run first, from the first before (run, contact). DatabaseError.

    With `action` only those of one kind; each of the regular expressions `patterns` matches the contact's name.
    """
    run_id, contact_id = before or (None, None)
    values = {"folder_id": folder_id, "definition_id": definition_id, "run_id": run_id, "contact_id": contact_id}
    filters = {"action": action, "patterns": list(patterns) or None, "limit": limit}
    return read_rows(connection, dict_row, "changes_of_definition", **values, **filters)


def find_contacts(connection: Connection[Any], definition: Definition, text: str, *, limit: int) -> list[Found]:
    """Contacts of the folder or its history with this id, email or DN, or with this in their name. DatabaseError."""
    values = {**definition.key, "text": text, "contact_id": contact_id_of(text), "limit": limit}
    return read_rows(connection, class_row(Found), "find_contacts", **values)


def contact_of_key(connection: Connection[Any], definition: Definition, source_key: str) -> Found | None:
    """The contact of the directory entry with this identity. Raises DatabaseError."""
    rows = read_rows(connection, class_row(Found), "contact_of_key", **definition.key, source_key=source_key)
    return rows[0] if rows else None


def contact_fields(
    connection: Connection[Any], *, folder_id: int, contact_id: int
) -> tuple[dict[str, Any], datetime] | None:
    """A contact's fields and when it was last written; None if it does not exist. Raises DatabaseError."""
    values = {"folder_id": folder_id, "contact_id": contact_id, "internal": INTERNAL}
    row: tuple[dict[str, Any], datetime] | None = execute(connection, "contact_fields", **values).fetchone()
    return row


def changes_of_contact(connection: Connection[Any], *, folder_id: int, contact_id: int) -> list[Recorded]:
    """The changes of a contact by runs, oldest first. Raises DatabaseError."""
    values = {"folder_id": folder_id, "contact_id": contact_id}
    return read_rows(connection, class_row(Recorded), "changes_of_contact", **values)


def rejected_like(
    connection: Connection[Any], definition: Definition, text: str, *, limit: int
) -> list[tuple[str, str, int]]:
    """DN, reason and run of entries with this in their DN that the last full run rejected. Raises DatabaseError."""
    return execute(connection, "rejected_like", **definition.key, text=text, limit=limit).fetchall()


def trimmed_of_contact(
    connection: Connection[Any], definition: Definition, contact_id: int, *, limit: int
) -> list[tuple[str, str, int]]:
    """Field, reason and run of the first values of a contact's entry that are not in it unchanged. DatabaseError."""
    values = {"folder_id": definition.folder_id, "contact_id": contact_id, "limit": limit}
    return execute(connection, "trimmed_of_contact", **values).fetchall()


def held_like(
    connection: Connection[Any], definition: Definition, *, text: str | None, contact_id: int | None, limit: int
) -> list[tuple[int, str, str | None]]:
    """Run, action and name of a held plan's changes of this contact, or of its inserts with this name. DatabaseError.

    The plan is the newest one that waits for a decision or for its run.
    """
    values = {"text": text, "contact_id": contact_id, "limit": limit}
    return execute(connection, "held_like", **definition.key, **values).fetchall()


def contact_id_of(text: str) -> int | None:
    """The text as a contact id; None if it cannot be one."""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < len(str(LARGEST_ID)) else 0
    return number or None
