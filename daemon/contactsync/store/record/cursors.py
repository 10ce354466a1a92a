"""The cursor of a definition: the position in the directory's changes that its contacts are in sync with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contactsync.store.statements import execute

if TYPE_CHECKING:
    from collections.abc import Collection

    from psycopg import Connection

    from contactsync.model import Definition


@dataclass(frozen=True, slots=True)
class KeptCursor:
    """A stored cursor (see contactsync.ldap.changes.base.Cursor) with the `context` for which it is valid.

    `seconds` is the time since the last full run. `touched` says whether a person changed a contact since the last run.
    """

    kind: str
    value: bytes
    server: bytes
    context: bytes
    seconds: float = 0.0
    touched: bool = False


def read_cursor(connection: Connection[Any], definition: Definition) -> KeptCursor | None:
    """The definition's cursor; None if there is none. Raises DatabaseError."""
    row = execute(connection, "cursor", **definition.key).fetchone()
    return KeptCursor(*row) if row else None


def begin_cursor(connection: Connection[Any], definition: Definition, *, run_id: int) -> bool:
    """Register a full run, before it reads the contacts. Raises DatabaseError.

    Returns whether the run may store a cursor: not while another session deletes contacts.
    """
    execute(connection, "make_room_for_cursor", **definition.key)
    return execute(connection, "begin_cursor", **definition.key, run_id=run_id).rowcount == 1


def set_cursor(connection: Connection[Any], definition: Definition, cursor: KeptCursor, *, run_id: int) -> None:
    """Store the cursor of a full run, in the transaction of its changes. Raises DatabaseError.

    Without effect if a contact was deleted since `begin_cursor`.
    """
    execute(connection, "set_cursor", **definition.key, **_values(cursor), run_id=run_id)


def move_cursor(connection: Connection[Any], definition: Definition, cursor: KeptCursor) -> None:
    """Store the cursor of an incremental run, in the transaction of its changes. Raises DatabaseError.

    Without effect if a contact was deleted since `read_cursor`.
    """
    execute(connection, "move_cursor", **definition.key, **_values(cursor))


def drop_cursor(connection: Connection[Any], definition: Definition) -> None:
    """Remove the cursor, so that the next run reads everything. Raises DatabaseError."""
    execute(connection, "drop_cursor", **definition.key)


def read_owners(connection: Connection[Any], keys: Collection[str], definition_ids: Collection[int]) -> set[int]:
    """Those of the definitions that have a contact of one of these keys. Raises DatabaseError."""
    rows = execute(connection, "owners", keys=list(keys), definition_ids=list(definition_ids))
    return {definition_id for (definition_id,) in rows}


def _values(cursor: KeptCursor) -> dict[str, Any]:
    return {"kind": cursor.kind, "value": cursor.value, "server": cursor.server, "context": cursor.context}
