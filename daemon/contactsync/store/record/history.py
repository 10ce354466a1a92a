"""What is recorded of runs and contacts: who changed what, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row

from contactsync.store.errors import translated
from contactsync.store.plan.plan import INTERNAL
from contactsync.store.record.runs import LARGEST_ID
from contactsync.store.statements import statement

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.model import Definition


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A contact that somebody asked for; `definition_id` is None for a person's own, `present` False for one gone."""

    contact_id: int
    display_name: str | None
    email: str | None
    source_dn: str | None
    definition_id: int | None
    present: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What one run did to one contact. `changes` is {field: [before, after]}, None for an insert."""

    run_id: int
    trigger: str
    started_at: datetime
    finished_at: datetime | None
    action: str
    display_name: str | None
    changes: dict[str, list[Any]] | None
    undoes: int | None


def find_contacts(connection: Connection[Any], definition: Definition, text: str, *, limit: int) -> list[Found]:
    """Contacts whose id, email or DN this is, or whose name holds it, in the folder or its history; DatabaseError."""
    values = {**_key(definition), "text": text, "contact_id": contact_id_of(text), "limit": limit}
    with translated(), connection.cursor(row_factory=class_row(Found)) as cursor:
        return cursor.execute(statement("find_contacts"), values).fetchall()


def contact_of_key(connection: Connection[Any], definition: Definition, source_key: str) -> Found | None:
    """The contact that stands for the directory entry with this identity. Raises DatabaseError."""
    with translated(), connection.cursor(row_factory=class_row(Found)) as cursor:
        return cursor.execute(statement("contact_of_key"), {**_key(definition), "source_key": source_key}).fetchone()


def contact_fields(
    connection: Connection[Any], *, folder_id: int, contact_id: int
) -> tuple[dict[str, Any], datetime] | None:
    """A contact's fields as the history writes them, and when it was last written; None when it is gone."""
    values = {"folder_id": folder_id, "contact_id": contact_id, "internal": INTERNAL}
    with translated():
        return connection.execute(statement("contact_fields"), values).fetchone()


def changes_of_contact(connection: Connection[Any], *, folder_id: int, contact_id: int) -> list[Recorded]:
    """What runs did to a contact, oldest first. Raises DatabaseError."""
    with translated(), connection.cursor(row_factory=class_row(Recorded)) as cursor:
        return cursor.execute(
            statement("changes_of_contact"), {"folder_id": folder_id, "contact_id": contact_id}
        ).fetchall()


def rejected_like(
    connection: Connection[Any], definition: Definition, text: str, *, limit: int
) -> list[tuple[str, str, int]]:
    """DN, reason and run of the entries with this in their DN that the newest complete run rejected; DatabaseError."""
    with translated():
        return connection.execute(
            statement("rejected_like"), {**_key(definition), "text": text, "limit": limit}
        ).fetchall()


def held_like(
    connection: Connection[Any], *, folder_id: int, run_id: int, text: str | None, contact_id: int | None, limit: int
) -> list[tuple[str, str | None]]:
    """Action and name of what a held run would do to this contact, or to new ones of this name; DatabaseError."""
    values = {"folder_id": folder_id, "run_id": run_id, "text": text, "contact_id": contact_id, "limit": limit}
    with translated():
        return connection.execute(statement("held_like"), values).fetchall()


def contact_id_of(text: str) -> int | None:
    """The text as an id, if it may be one."""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < len(str(LARGEST_ID)) else 0
    return number or None


def _key(definition: Definition) -> dict[str, Any]:
    return {"folder_id": definition.folder_id, "definition_id": definition.definition_id}
