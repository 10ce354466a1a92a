"""The state of the folders, of the daemon's connection and of the server, in cheap queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row

from contactsync.store.statements import execute, read_rows

if TYPE_CHECKING:
    from datetime import datetime

    from psycopg import Connection

WATCH_NAME = "contactsync-watch"
"""The application_name of the connection on which a daemon listens for notifications."""


def count_by_state(connection: Connection[Any]) -> list[tuple[str, int, str, str | None, datetime | None]]:
    """Per state: the state, the number of folders, the label and error code of the first, and the next run of all.

    A folder is counted once, by the worst state of its definitions. The states are those of the view
    `definition_overview`. Raises DatabaseError.
    """
    return execute(connection, "count_by_state").fetchall()


def read_health(connection: Connection[Any]) -> list[dict[str, Any]]:
    """Per definition: definition_id, folder, definition, state, last_success_at and since. Raises DatabaseError.

    `since` is the last success or, before the first one, when the definition was created.
    """
    return read_rows(connection, dict_row, "definition_health")


def count_definitions(connection: Connection[Any]) -> list[tuple[str, int, int]]:
    """Per state of definitions: the state, the number of definitions and of their contacts. Raises DatabaseError."""
    return execute(connection, "count_definitions").fetchall()


def first_next_run(connection: Connection[Any]) -> tuple[str, datetime, int] | None:
    """The label of the definition that runs next, when, and its id. Raises DatabaseError."""
    row = execute(connection, "first_next_run").fetchone()
    return None if row is None else (row[0], row[1], row[2])


def read_folders(
    connection: Connection[Any],
    folder_ids: list[int] | None = None,
    *,
    owner: str | None = None,
    text: str | None = None,
    after: int = 0,
    limit: int,
) -> list[dict[str, Any]]:
    """Folders with the ids of their definitions and the number of their contacts, by id from the first above `after`.

    Only those with these ids, of this owner (empty: shared ones), with this text in the name. Raises DatabaseError.
    """
    filters = {"folder_ids": folder_ids, "owner": owner, "text": text}
    return read_rows(connection, dict_row, "folders_overview", **filters, after=after, limit=limit)


def daemon_listens(connection: Connection[Any]) -> bool:
    """Whether a daemon is connected to this database. Raises DatabaseError."""
    row = execute(connection, "daemon_listens", application_name=WATCH_NAME).fetchone()
    return bool(row and row[0])


def server_version(connection: Connection[Any]) -> str:
    """PostgreSQL's version in its own form: `18.1`."""
    return connection.info.parameter_status("server_version") or "unknown"
