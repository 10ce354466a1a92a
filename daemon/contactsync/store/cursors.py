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
    """A cursor as it is stored (see contactsync.ldap.changes.Cursor), with `context`, which makes another one void.

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


def set_cursor(connection: Connection[Any], definition: Definition, cursor: KeptCursor, *, full: bool) -> None:
    """Keep a cursor, in the transaction of the changes that it stands for; `full` after everything was read.

    Otherwise it moves the one that there is. Raises DatabaseError.
    """
    values = {"kind": cursor.kind, "value": cursor.value, "server": cursor.server, "context": cursor.context}
    with translated():
        connection.execute(statement("set_cursor" if full else "move_cursor"), {**_key(definition), **values})


def drop_cursor(connection: Connection[Any], definition: Definition) -> None:
    """Have the next run read everything. Raises DatabaseError."""
    with translated():
        connection.execute(statement("drop_cursor"), _key(definition))


def _key(definition: Definition) -> dict[str, int]:
    return {"folder_id": definition.folder_id, "definition_id": definition.definition_id}
