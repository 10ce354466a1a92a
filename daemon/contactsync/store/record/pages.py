"""Folders, runs and changes as other programs look through them: in pages, by keys and not by offsets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row

from contactsync.store.errors import translated
from contactsync.store.statements import statement

if TYPE_CHECKING:
    from psycopg import Connection

MOST_ID = 2**63 - 1
"""The largest bigint; contact ids begin at 1."""


def read_folders(connection: Connection[Any]) -> list[dict[str, Any]]:
    """Every folder with the ids of its definitions and the number of its contacts. Raises DatabaseError."""
    return _rows(connection, "folders_overview", {})


def read_runs(
    connection: Connection[Any],
    *,
    definition_id: int | None = None,
    run_id: int | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """Rows of sync_runs, newest first, that are older than the run `before`. Raises DatabaseError."""
    values = {"definition_id": definition_id, "run_id": run_id, "before": before, "limit": limit}
    return _rows(connection, "runs_page", values)


def read_changes(
    connection: Connection[Any], *, folder_id: int, run_id: int, after: int = 0, limit: int = 100
) -> list[dict[str, Any]]:
    """What a run changed in the contacts with ids above `after`, by contact id. Raises DatabaseError."""
    values = {"folder_id": folder_id, "run_id": run_id, "after": after, "limit": limit}
    return _rows(connection, "changes_page", values)


def _rows(connection: Connection[Any], name: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    with translated(), connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement(name), values).fetchall()
