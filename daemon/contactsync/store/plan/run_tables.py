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
_TYPES = {Kind.TEXT: sql.SQL("text"), Kind.LIST: sql.SQL("text[] DEFAULT '{}'"), Kind.PHOTO: sql.SQL("bytea")}

_made: WeakSet[Connection[Any]] = WeakSet()
"""The connections that have the tables."""
_used: WeakSet[Connection[Any]] = WeakSet()
"""The connections that may have rows in their tables."""


def make_run_tables(connection: Connection[Any]) -> None:
    """Make the tables, or empty those of an attempt before. Raises psycopg.Error."""
    if connection not in _made:
        connection.execute(_make())
    if connection.info.transaction_status is TransactionStatus.IDLE:  # a rollback would take them away
        _made.add(connection)
    if connection in _used:
        connection.execute(statement("empty_run_tables"))
    _used.add(connection)


def clear_run_tables(connection: Connection[Any]) -> None:
    """Empty the tables after a run that may have used them, or drop them if they are large. Raises psycopg.Error."""
    if connection not in _used:
        return
    row = connection.execute(statement("run_tables_octets")).fetchone()
    octets = row[0] if row else None
    is_small = octets is not None and octets <= _MOST_OCTETS
    if octets is not None:
        connection.execute(statement("empty_run_tables" if is_small else "drop_temporary_tables"))
    if not is_small:
        _made.discard(connection)
    _used.discard(connection)


@cache
def _make() -> LiteralString:
    """For any mapping: the staging table has a column for each field."""
    column = sql.SQL("{} {}")
    columns = sql.SQL(", ").join(column.format(sql.Identifier(name), _TYPES[kind]) for name, kind in FIELDS.items())
    return text_of("make_run_tables", columns=columns)
