"""What is only looked at, by people: whether a daemon is there, and what a run could not use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contactsync.store.errors import translated
from contactsync.store.statements import statement

if TYPE_CHECKING:
    from psycopg import Connection

WATCH_NAME = "contactsync-watch"
"""The application_name of the connection that a daemon listens over."""


def daemon_listens(connection: Connection[Any]) -> bool:
    """Whether a daemon follows the definitions of this database now. Raises DatabaseError."""
    with translated():
        row = connection.execute(statement("daemon_listens"), {"application_name": WATCH_NAME}).fetchone()
    return bool(row and row[0])


def rejected_of_run(
    connection: Connection[Any], *, folder_id: int, run_id: int, limit: int = 100
) -> list[tuple[str, str]]:
    """The DN of each entry that a run rejected, with the reason. Raises DatabaseError."""
    values = {"folder_id": folder_id, "run_id": run_id, "limit": limit}
    with translated():
        return list(connection.execute(statement("rejected_of_run"), values))


def server_version(connection: Connection[Any]) -> str:
    """PostgreSQL's version as it calls it: `18.1`."""
    return connection.info.parameter_status("server_version") or "unknown"
