"""The temporary tables of runs, which a pooled session keeps from run to run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import Connection, Rollback, sql

from contactsync.store.plan.run_tables import make_run_tables
from contactsync.store.pool import Pool, connection_of, open_pool

_TABLES = """
SELECT oid, relname FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind = 'r' ORDER BY oid
"""


def _tables(connection: Connection[Any]) -> dict[int, int]:
    """The number of rows of each temporary table, by its id."""
    return {
        oid: len(connection.execute(sql.SQL("SELECT FROM pg_temp.{}").format(sql.Identifier(name))).fetchall())
        for oid, name in connection.execute(_TABLES).fetchall()
    }


@pytest.fixture
def one(database: str) -> Iterator[Pool]:
    """Open a pool of one connection."""
    with open_pool(database, max_size=1, timeout=30) as pool:
        yield pool


def _fill(connection: Connection[Any], rows: int) -> dict[int, int]:
    """Fill the tables of a run; returns them."""
    make_run_tables(connection)
    insert = sql.SQL("INSERT INTO pg_temp.{} ({}) SELECT n FROM generate_series(1, {}) AS n")
    for name in ("staged", "unmatched", "named", "reported", "unconfirmed", "rejected", "planned"):
        column = "contact_id" if name == "unmatched" else "source_key"
        connection.execute(insert.format(sql.Identifier(name), sql.Identifier(column), rows))
    tables = _tables(connection)
    assert list(tables.values()) == [rows] * 7
    return tables


def test_the_next_run_finds_them_empty(one: Pool) -> None:
    """They are the same tables: to make them takes longer than most runs."""
    with connection_of(one) as connection:
        tables = _fill(connection, 3)
    with connection_of(one) as connection:
        assert _tables(connection) == dict.fromkeys(tables, 0)
        assert _fill(connection, 2).keys() == tables.keys()


def test_a_second_attempt_finds_them_empty(one: Pool) -> None:
    """Also in the same session."""
    with connection_of(one) as connection:
        assert _fill(connection, 3).keys() == _fill(connection, 2).keys()


def test_large_ones_are_dropped(one: Pool) -> None:
    """The memory and the disk of a large run are freed after it."""
    with connection_of(one) as connection:
        _fill(connection, 20_000)
    with connection_of(one) as connection:
        assert not _tables(connection)
        _fill(connection, 1)


def test_a_transaction_that_made_them_may_be_rolled_back(one: Pool) -> None:
    """The next run makes them."""
    with connection_of(one) as connection, connection.transaction():
        _fill(connection, 1)
        raise Rollback
    with connection_of(one) as connection:
        assert not _tables(connection)
        _fill(connection, 1)
