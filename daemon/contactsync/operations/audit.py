"""Who did what: lists of deeds, and the deeds that edit nothing."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from contactsync.operations.access.rights import LOCAL, Access
from contactsync.operations.names import ids_of
from contactsync.store.record.audit import acting, confirm_locally, read_audit, write_audit
from contactsync.store.record.requests import withdraw_requests

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from psycopg import Connection

    from contactsync.model import Actor, Definition, NamedDefinition

EDITS = ("definition.added", "definition.edited", "definition.removed", "definition.paused", "definition.resumed",
         "password.set", "password.cleared")  # fmt: skip
"""The actions that are edits of a definition."""


class Deed(BaseModel):
    """What a user did."""

    audit_id: int
    at: datetime
    actor_kind: str = Field(description="How the actor was identified: unix, token, web or sql.", examples=["unix"])
    actor: str = Field(examples=["anna"])
    via: Literal["api", "cli", "web", "sql", "daemon"]
    how: str | None = Field(None, description="How a person signed in at the web console.", examples=["directory"])
    address: str | None = Field(None, description="The address of the person's browser.", examples=["192.0.2.7"])
    database_role: str = Field(description="The role in PostgreSQL.")
    action: str = Field(examples=["definition.edited"])
    folder_id: int | None
    definition_id: int | None
    label: str | None = Field(description="The label of the definition or folder at that time.")
    run_id: int | None
    before: dict[str, Any] | None = Field(description="The changed fields before. Never a password.")
    after: dict[str, Any] | None = Field(description="The changed fields after, or details of the deed.")


class Audit(BaseModel):
    """Deeds, newest first; `before` of the next page, or null on the last."""

    deeds: list[Deed]
    next_before: int | None


def list_audit(
    connection: Connection[Any],
    definition_ids: Sequence[int] | None = None,
    *,
    folder_ids: list[int] | None = None,
    edits: bool = False,
    before: int | None = None,
    limit: int,
) -> list[Deed]:
    """The newest deeds, newest first: of some definitions and folders or all, only `edits`, with an id below `before`.

    Raises DatabaseError.
    """
    actions = EDITS if edits else None
    rows = read_audit(connection, definition_ids, folder_ids=folder_ids, actions=actions, before=before, limit=limit)
    return [Deed(**asdict(row)) for row in rows]


def audit_page(
    connection: Connection[Any],
    access: Access = LOCAL,
    *,
    name: str | None = None,
    definition_id: int | None = None,
    edits: bool = False,
    before: int | None = None,
    limit: int = 100,
) -> Audit:
    """A page of deeds, of all definitions, one, or those with a name. Raises NotFound, UsageError, DatabaseError.

    The name of a removed definition is not found; its deeds are among those of all.
    """
    ids = ids_of(connection, name=name, definition_id=definition_id, visible=access.covers)
    folder_ids = access.folder_ids(connection)
    deeds = list_audit(connection, ids, folder_ids=folder_ids, edits=edits, before=before, limit=limit)
    return Audit(deeds=deeds, next_before=deeds[-1].audit_id if len(deeds) == limit else None)


def record_requests(connection: Connection[Any], actor: Actor, definitions: Sequence[NamedDefinition] | None) -> None:
    """Record that a user requested runs of these definitions, None for all. Raises DatabaseError."""
    with acting(connection, actor):
        confirm_locally(connection)
        if definitions is None:
            write_audit(connection, "sync.requested")
        for definition in definitions or ():
            write_audit(connection, "sync.requested", key=definition.key, label=definition.label)


def record_cancelled_request(connection: Connection[Any], request_id: int, definitions: int) -> None:
    """Record, inside `acting`, that a user withdrew a request for runs of so many definitions. Raises DatabaseError."""
    confirm_locally(connection)
    write_audit(connection, "sync.cancelled", after={"request_id": request_id, "definitions": definitions})


def record_cancel(connection: Connection[Any], actor: Actor, run_id: int, key: Mapping[str, int], label: str) -> None:
    """Record that a user cancelled a run of the definition with this key. Raises DatabaseError."""
    with acting(connection, actor):
        confirm_locally(connection)
        write_audit(connection, "run.cancelled", key=key, label=label, run_id=run_id)


def withdraw_run(connection: Connection[Any], actor: Actor, definition: Definition) -> None:
    """Withdraw the open requests for a run that was cancelled before its start, and record it. Raises DatabaseError."""
    with acting(connection, actor):
        confirm_locally(connection)
        withdraw_requests(connection, definition.definition_id, f"Cancelled by {actor.label}.")
        write_audit(connection, "run.cancelled", key=definition.key, label=definition.label)
