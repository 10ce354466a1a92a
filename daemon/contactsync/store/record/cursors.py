"""Up to where a definition is in step, between its runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contactsync.store.errors import translated
from contactsync.store.statements import statement

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.model import Definition


@dataclass(frozen=True, slots=True)
class KeptCursor:
    """A cursor as it is stored (see contactsync.ldap.changes.base.Cursor), with the `context` that it is valid for.

    `seconds` have passed since the last full run; `touched` says whether a person changed one of the contacts since the
    last run.
    """

    kind: str
    value: bytes
    server: bytes
    context: bytes
    seconds: float = 0.0
    touched: bool = False


def read_cursor(connection: Connection[Any], definition: Definition) -> KeptCursor | None:
    """The definition's cursor, if it has one. Raises DatabaseError."""
    with translated():
        row = connection.execute(statement("cursor"), _key(definition)).fetchone()
    return KeptCursor(*row) if row else None


def begin_cursor(connection: Connection[Any], definition: Definition, *, run_id: int) -> bool:
    """Announce that a run reads everything from now on, before it looks at the contacts; whether it may note a cursor.

    It may not when somebody deletes contacts at this moment. Raises DatabaseError.
    """
    key = {**_key(definition), "run_id": run_id}
    with translated():
        connection.execute(statement("make_room_for_cursor"), key)
        return connection.execute(statement("begin_cursor"), key).rowcount == 1


def set_cursor(connection: Connection[Any], definition: Definition, cursor: KeptCursor, *, run_id: int) -> None:
    """Keep the cursor of a run that read everything, in the transaction of the changes that it stands for.

    Not if somebody deleted a contact since the run's `begin_cursor`. Raises DatabaseError.
    """
    with translated():
        connection.execute(statement("set_cursor"), {**_key(definition), **_values(cursor), "run_id": run_id})


def move_cursor(connection: Connection[Any], definition: Definition, cursor: KeptCursor) -> None:
    """Keep the cursor of an increment, in the transaction of the changes that it stands for.

    Not if somebody deleted a contact since the run's `read_cursor`. Raises DatabaseError.
    """
    with translated():
        connection.execute(statement("move_cursor"), {**_key(definition), **_values(cursor)})


def drop_cursor(connection: Connection[Any], definition: Definition) -> None:
    """Have the next run read everything. Raises DatabaseError."""
    with translated():
        connection.execute(statement("drop_cursor"), _key(definition))


def _key(definition: Definition) -> dict[str, int]:
    return {"folder_id": definition.folder_id, "definition_id": definition.definition_id}


def _values(cursor: KeptCursor) -> dict[str, Any]:
    return {"kind": cursor.kind, "value": cursor.value, "server": cursor.server, "context": cursor.context}
