"""Runs that were asked for from SQL, by `contactsync.request_sync`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contactsync.store.errors import translated
from contactsync.store.statements import statement

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.model import Definition


LOOK = ":requested"
"""What request_sync notifies: no folder's name, but word that there are open requests."""


def open_requests(connection: Connection[Any]) -> list[int]:
    """The definitions that were asked for and did not start since, the oldest request first. Raises DatabaseError."""
    with translated():
        return [definition_id for (definition_id,) in connection.execute(statement("open_requests"))]


def request_run(connection: Connection[Any], definition: Definition) -> None:
    """Ask the daemon to run the folder of a definition, as `contactsync.request_sync` does. Raises DatabaseError."""
    with translated():
        connection.execute(statement("request_run"), {"folder": definition.folder, "owner": definition.owner})
