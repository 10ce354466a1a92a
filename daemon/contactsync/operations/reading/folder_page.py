"""What the pages of a folder show: the state of its definition, some of its contacts, what runs changed in it.

People leaf through the contacts, so that these are plain documents, and nothing is counted.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from contactsync.model import Trigger
from contactsync.operations.access.visible import visible_fields
from contactsync.operations.names import no_definition
from contactsync.operations.preview import ChangeDocument, FieldChange
from contactsync.operations.reading.definitions import State
from contactsync.operations.search import patterns_of
from contactsync.store.definitions import read_head
from contactsync.store.record.address_book import read_contacts
from contactsync.store.record.history import changes_of_definition

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.operations.access.rights import Access


class DefinitionHead(BaseModel):
    """The name and the state of a definition."""

    definition_id: int
    folder_id: int
    label: str
    owner: str | None
    enabled: bool
    state: State
    reason: str | None = Field(description="Why it is invalid, locked, held or failing; null for a viewer.")
    error_code: str | None
    last_run_id: int | None
    running: bool


class FolderChange(ChangeDocument):
    """A change of a contact, with the run that made it."""

    run_id: int
    trigger: Trigger
    at: datetime = Field(description="The end of the run; its start while it runs.")


class FolderChanges(BaseModel):
    """Changes, newest first; `before` of the next page, or null on the last. With the definition that made them."""

    definition: DefinitionHead
    changes: list[FolderChange]
    next_before: str | None


def definition_head(connection: Connection[Any], access: Access, definition_id: int) -> dict[str, Any]:
    """A DefinitionHead without `running`, as the actor may see it. Raises NotFound, DatabaseError."""
    row = read_head(connection, definition_id)
    if row is None:
        raise no_definition(definition_id)
    return row if access.sees_settings(row["folder_id"]) else {**row, "reason": None}


def contacts_page(
    connection: Connection[Any], folder_id: int, *, text: str | None, after: str, limit: int
) -> dict[str, Any]:
    """Contacts of a folder by name, and `next_after` for the next page. Raises DatabaseError."""
    number, _, name = after.partition(":")
    patterns = patterns_of(text or "")
    page = read_contacts(connection, folder_id, patterns=patterns, after=(name, int(number or 0)), limit=limit)
    last = page[-1] if len(page) == limit else None
    return {"contacts": page, "next_after": last and f"{last['contact_id']}:{last['display_name'] or ''}"}


def folder_changes(
    connection: Connection[Any],
    access: Access,
    definition: dict[str, Any],
    *,
    before: str,
    limit: int,
    action: str | None,
    text: str | None,
) -> FolderChanges:
    """What the runs of a definition changed, newest first, by contact and field. Raises DatabaseError."""
    run_id, _, contact_id = before.partition(":")
    rows = changes_of_definition(
        connection,
        folder_id=definition["folder_id"],
        definition_id=definition["definition_id"],
        before=(int(run_id), int(contact_id)) if before else None,
        limit=limit,
        action=action,
        patterns=patterns_of(text or ""),
    )
    changes = [FolderChange(**row | {"fields": _pairs(access, row["fields"])}) for row in rows]
    last = changes[-1] if len(changes) == limit else None
    return FolderChanges(
        definition=DefinitionHead(**definition),
        changes=changes,
        next_before=last and f"{last.run_id}:{last.contact_id}",
    )


def _pairs(access: Access, fields: dict[str, list[Any]]) -> dict[str, FieldChange]:
    return {name: FieldChange(before=old, after=new) for name, (old, new) in visible_fields(access, fields).items()}
