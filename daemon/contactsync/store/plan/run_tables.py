"""The temporary tables of runs. A session makes them once: to make and drop them takes longer than most runs.

Between runs they are empty. Tables that a large run has filled are dropped.
"""

from __future__ import annotations

from functools import cache
from typing import Any, LiteralString
from weakref import WeakSet

from psycopg import Connection, sql
from psycopg.pq import TransactionStatus

from contactsync.fields import FIELDS, Kind
from contactsync.store.statements import statement, text_of

_MOST_OCTETS = 1 << 20
"""The most that the emptied tables may occupy; deleted rows count too."""
FEW_ROWS = 200
"""The statistics of up to so many rows lead to the same query plans."""
_TYPES = {Kind.TEXT: sql.SQL("text"), Kind.LIST: sql.SQL("text[] DEFAULT '{}'"), Kind.PHOTO: sql.SQL("bytea")}

_made: WeakSet[Connection[Any]] = WeakSet()
"""The connections that have the tables."""
_used: WeakSet[Connection[Any]] = WeakSet()
"""The connections that may have rows in their tables."""
_few: WeakSet[Connection[Any]] = WeakSet()
"""The connections whose run has staged few rows."""
_known_few: WeakSet[Connection[Any]] = WeakSet()
"""The connections whose tables have statistics of few rows."""


def make_run_tables(connection: Connection[Any]) -> None:
    """Make the tables, or empty those of an attempt before. Raises psycopg.Error."""
    if connection not in _made:
        connection.execute(_make())
        _known_few.discard(connection)
    if connection.info.transaction_status is TransactionStatus.IDLE:  # a rollback would take them away
        _made.add(connection)
    if connection in _used:
        connection.execute(statement("empty_run_tables"))
    _used.add(connection)


def need_statistics(connection: Connection[Any], *, rows: int) -> bool:
    """Whether the tables, with so many rows now, have to be analyzed before a plan.

    New statistics make PostgreSQL plan all prepared statements anew, which takes longer than a small run.
    """
    if rows > FEW_ROWS:
        _few.discard(connection)
        _known_few.discard(connection)
        return True
    _few.add(connection)
    is_known = connection in _known_few
    if connection in _made and connection.info.transaction_status is TransactionStatus.IDLE:
        _known_few.add(connection)
    return not is_known


def clear_run_tables(connection: Connection[Any]) -> None:
    """Empty the tables after a run that may have used them, or drop them if they are large. Raises psycopg.Error."""
    if connection not in _used:
        return
    if connection in _few:  # one round trip; small runs wait for it
        octets = _number(connection, "empty_run_tables")
    else:
        octets = _number(connection, "run_tables_octets")
        if octets is not None and octets <= _MOST_OCTETS:
            connection.execute(statement("empty_run_tables"))
    is_small = octets is not None and octets <= _MOST_OCTETS
    if octets is not None and not is_small:
        connection.execute(statement("drop_temporary_tables"))
    if not is_small:
        _made.discard(connection)
    _used.discard(connection)
    _few.discard(connection)


def _number(connection: Connection[Any], name: str) -> int | None:
    row = connection.execute(statement(name)).fetchone()
    return row[0] if row else None


@cache
def _make() -> LiteralString:
    """For any mapping: the staging table has a column for each field."""
    column = sql.SQL("{} {}")
    columns = sql.SQL(", ").join(column.format(sql.Identifier(name), _TYPES[kind]) for name, kind in FIELDS.items())
    return text_of("make_run_tables", columns=columns)
