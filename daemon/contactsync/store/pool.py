"""The pool of connections to PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Connection
from psycopg_pool import ConnectionPool

from contactsync.store.errors import translated
from contactsync.store.statements import statement

Pool = ConnectionPool[Connection[Any]]


@contextmanager
def open_pool(conninfo: str, *, max_size: int, timeout: float, application_name: str = "contactsync") -> Iterator[Pool]:
    """A pool of autocommit connections, opened at once, closed at the end; `timeout` (seconds) bounds every wait.

    A connection that is given back frees its advisory locks and temporary tables, and is checked before the next use,
    so that a restarted server costs a reconnect and not an error. Raises DatabaseUnavailable.
    """
    pool = Pool(
        conninfo,
        min_size=1,
        max_size=max_size,
        timeout=timeout,
        open=False,
        check=Pool.check_connection,
        reset=_reset,
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
    """One connection of the pool. Raises DatabaseUnavailable when there is none in time."""
    with translated(), pool.connection() as connection:
        yield connection


def _reset(connection: Connection[Any]) -> None:
    connection.execute(statement("unlock_everything"))
    connection.execute(statement("drop_temporary_tables"))
