"""The pool of connections to PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection
from psycopg_pool import ConnectionPool

from contactsync.store.errors import translated
from contactsync.store.statements import statement

Pool = ConnectionPool[Connection[Any]]

RECONNECT_SECONDS = 3.0
"""How long the pool tries by itself to replace a lost connection, with growing pauses; then the next who asks makes it
try at once. With psycopg's five minutes the pauses outlast the outage by far."""


@contextmanager
def open_pool(conninfo: str, *, max_size: int, timeout: float, application_name: str = "contactsync") -> Iterator[Pool]:
    """A pool of autocommit connections, opened at once, closed at the end; `timeout` (seconds) bounds every wait.

    A connection is checked before each use, so that a restarted server costs a reconnect and not an error.
    Raises DatabaseUnavailable.
    """
    pool = Pool(
        conninfo,
        min_size=1,
        max_size=max_size,
        timeout=timeout,
        open=False,
        check=Pool.check_connection,
        reconnect_timeout=RECONNECT_SECONDS,
        kwargs={"autocommit": True, "application_name": application_name},
        name=application_name,
    )
    try:
        with translated():
            pool.open(wait=True, timeout=timeout)
        yield pool
    finally:
        pool.close()


@contextmanager
def connection_of(pool: Pool) -> Iterator[Connection[Any]]:
    """One connection of the pool, which frees its advisory locks and temporary tables at the end.

    Raises DatabaseUnavailable when there is none in time.
    """
    with translated(), pool.connection() as connection:
        try:
            yield connection
        finally:
            _reset(connection)


def _reset(connection: Connection[Any]) -> None:
    """Not the pool's own `reset`, which comes later, in a thread of its own: who asks next must find the lock free."""
    try:
        row = connection.execute(statement("unlock_everything")).fetchone()
        if row and row[1]:
            connection.execute(statement("drop_temporary_tables"))
    except psycopg.Error:
        # The server frees everything of a connection that is gone, and the pool opens another.
        connection.close()
