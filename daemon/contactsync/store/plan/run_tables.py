"""The temporary tables of runs. A session makes them once: to make and drop them takes longer than most runs.

Between runs they are empty. Tables that a large run has filled are dropped.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from typing import Any, LiteralString
from weakref import WeakKeyDictionary

from psycopg import Connection, sql
from psycopg.pq import TransactionStatus

from contactsync.fields import FIELDS, Kind
from contactsync.store.statements import statement, text_of

_MOST_OCTETS = 1 << 20
"""The most that the emptied tables may occupy; deleted rows count too."""
_FEW_ROWS = 200
"""The statistics of up to so many rows lead to the same query plans."""
_KEPT_SECONDS = 60.0
"""How long they are kept. Then plans are made anew, since the table of contacts may have grown from nothing."""
_TYPES = {Kind.TEXT: sql.SQL("text"), Kind.LIST: sql.SQL("text[] DEFAULT '{}'"), Kind.PHOTO: sql.SQL("bytea")}


@dataclass(slots=True)
class _Tables:
    """What is known of the tables of one session."""

    made: bool = False
    filled: bool = False
    """They may have rows."""
    few: bool = False
    """The run has staged few rows."""
    known_few: float | None = None
    """When they got statistics of few rows, in monotonic seconds; None if they have none."""


_of_sessions: WeakKeyDictionary[Connection[Any], _Tables] = WeakKeyDictionary()


def make_run_tables(connection: Connection[Any]) -> None:
    """Make the tables, or empty those of an attempt before. Raises psycopg.Error."""
    tables = _of_sessions.setdefault(connection, _Tables())
    if not tables.made:
        connection.execute(_make())
        tables.known_few = None
    if connection.info.transaction_status is TransactionStatus.IDLE:  # a rollback would take them away
        tables.made = True
    if tables.filled:
        connection.execute(statement("empty_run_tables"))
    tables.filled = True


def need_statistics(connection: Connection[Any], *, rows: int) -> bool:
    """Whether the tables, with so many rows now, have to be analyzed before a plan.

    New statistics make PostgreSQL plan all prepared statements anew, which takes longer than a small run.
    """
    tables = _of_sessions.setdefault(connection, _Tables())
    tables.few = rows <= _FEW_ROWS
    now = time.monotonic()
    if tables.few and tables.known_few is not None and now < tables.known_few + _KEPT_SECONDS:
        return False
    tables.known_few = now if tables.few and tables.made else None
    return True


def clear_run_tables(connection: Connection[Any]) -> None:
    """Empty the tables after a run that may have used them, or drop them if they are large. Raises psycopg.Error."""
    tables = _of_sessions.get(connection)
    if tables is None or not tables.filled:
        return
    if tables.few:  # one round trip; small runs wait for it
        octets = _number(connection, "empty_run_tables")
    else:
        octets = _number(connection, "run_tables_octets")
        if octets is not None and octets <= _MOST_OCTETS:
            connection.execute(statement("empty_run_tables"))
    if octets is not None and octets > _MOST_OCTETS:
        connection.execute(statement("drop_temporary_tables"))
    tables.made = tables.made and octets is not None and octets <= _MOST_OCTETS
    tables.filled = tables.few = False


def _number(connection: Connection[Any], name: str) -> int | None:
    row = connection.execute(statement(name)).fetchone()
    return row[0] if row else None


@cache
def _make() -> LiteralString:
    """For any mapping: the staging table has a column for each field."""
    column = sql.SQL("{} {}")
    columns = sql.SQL(", ").join(column.format(sql.Identifier(name), _TYPES[kind]) for name, kind in FIELDS.items())
    return text_of("make_run_tables", columns=columns)
