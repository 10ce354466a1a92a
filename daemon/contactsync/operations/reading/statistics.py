"""Numbers of the last days, and how many definitions are in each state."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row
from pydantic import BaseModel, Field

from contactsync.store.statements import execute, read_rows

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.operations.access.rights import Access


class Day(BaseModel):
    """The runs that started on a day of UTC."""

    day: date
    runs: int
    failed: int = Field(description="Failed and interrupted ones.")
    held: int
    inserted: int
    updated: int
    deleted: int
    seconds: float = Field(description="Of all runs together.")


class Statistics(BaseModel):
    """Every day up to today, the oldest first; days without runs too."""

    days: list[Day]


class States(BaseModel):
    """The number of definitions by state; a state without one is not there."""

    states: dict[str, int]


def statistics(connection: Connection[Any], definition_id: int, *, days: int) -> Statistics:
    """The runs of a definition in the last days. Raises DatabaseError."""
    values = {"definition_id": definition_id, "days": days}
    rows = {row["day"]: row for row in read_rows(connection, dict_row, "runs_by_day", **values)}
    today = datetime.now(UTC).date()
    numbers = dict.fromkeys(Day.model_fields.keys() - {"day"}, 0)
    every = [today - timedelta(days=before) for before in range(days - 1, -1, -1)]
    return Statistics(days=[Day(**{**numbers, "day": day, **rows.get(day, {})}) for day in every])


def states(connection: Connection[Any], access: Access) -> States:
    """The number of definitions in the scope by state. Raises DatabaseError."""
    return States(states=dict(execute(connection, "count_states", folder_ids=access.folder_ids(connection)).fetchall()))
