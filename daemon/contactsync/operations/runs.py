"""Finds a run by its number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contactsync.errors import UsageError
from contactsync.store.definitions import read_definitions
from contactsync.store.record.runs import LARGEST_ID, read_run

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.model import Definition


def require_run(connection: Connection[Any], run_id: int) -> dict[str, Any]:
    """The row of a run (see store.record.runs.read_runs). Raises UsageError when there is none."""
    run = read_run(connection, run_id) if 0 < run_id <= LARGEST_ID else None
    if run is None:
        raise UsageError(f"There is no run {run_id}.", hint="`contactsync runs` lists the newest ones.")
    return run


def require_definition(connection: Connection[Any], run: dict[str, Any]) -> Definition:
    """The definition that a run was of. Raises UsageError when it is gone."""
    for definition in read_definitions(connection, [run["definition_id"]]):
        return definition
    raise UsageError(
        f"{run['label']}, which run {run['run_id']} was of, is not defined any more.",
        hint="Its contacts went with it, or became people's own.",
    )
