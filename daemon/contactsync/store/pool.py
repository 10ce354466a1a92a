"""The pool of connections to PostgreSQL."""

from __future__ import annotations

import select
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection, Connection
from psycopg_pool import ConnectionPool

from contactsync.errors import DatabaseUnavailable
from contactsync.store.errors import limited, translated
from contactsync.store.plan.run_tables import clear_run_tables
from contactsync.store.session import ENCODING, SessionState, prepare, require_usable, session_state
from contactsync.store.statements import statement

Value = TypeVar("Value")

RECONNECT_SECONDS = 3.0
"""How long the pool retries a lost connection, with growing pauses; the next request for a connection retries at once.
psycopg's default of five minutes leads to pauses that are longer than the outage."""
_TRUSTED_SECONDS = 1.0
"""How long a connection is used again without a request to test it."""
READ_SECONDS = 2.0
"""How long PostgreSQL may take for one statement of a request that only reads."""
LONG_READ_SECONDS = 8.0
"""The same for a request that looks at all contacts of a folder, or at all folders; clients wait for ten seconds."""
SILENCE_SECONDS = 600.0
"""The limit for one answer of PostgreSQL, lock waits included. Without it a connection that the network has dropped
silently would block its thread for ever."""


def is_fresh(connection: Connection[Any] | AsyncConnection[Any], answered_at: float) -> bool:
    """Whether the server's answer at this monotonic time is recent, and nothing came after it, such as its end.

    Raises psycopg.OperationalError if the connection is closed.
    """
    if time.monotonic() >= answered_at + _TRUSTED_SECONDS:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return not poll.poll(0)


class _BoundedConnection(Connection[Any]):
    """A connection that closes itself if PostgreSQL does not answer within `silence` seconds.

    It overrides the public `Connection.wait`, which makes every wait for the server. TCP keepalives are no substitute
    (the kernel of a stopped server answers them), nor is `statement_timeout` (the server itself applies it).
    """

    silence = SILENCE_SECONDS
    server_pid = 0
    """The server process that the session began with; another one is another session."""
    found_usable_at = float("-inf")
    """When the session was found usable, on the monotonic clock."""
    unlocked: SessionState | None = None
    """The state of the session when the end of a run's record has released its locks."""

    @property
    def surely_usable(self) -> bool:
        """Whether it was usable a moment ago, and the server has sent nothing since, such as its end."""
        return not self.closed and is_fresh(self, self.found_usable_at)

    def wait(self, gen: Generator[Any, Any, Value], interval: float = 0.1, timeout: float | None = None) -> Value:
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        started = time.monotonic()
        try:
            return super().wait(gen, interval, self.silence)
        except psycopg.OperationalError:
            if time.monotonic() < started + self.silence:
                raise
            self.close()
            raise psycopg.OperationalError(f"it did not answer within {self.silence:g} seconds") from None
        except ValueError:
            # psycopg expects one result at the end of a COPY; a connection that breaks there may bring a second.
            self.close()
            raise psycopg.OperationalError("its answer to COPY is incomplete") from None


Pool = ConnectionPool[_BoundedConnection]


@contextmanager
def open_pool(
    conninfo: str,
    *,
    max_size: int,
    timeout: float,
    application_name: str = "contactsync",
    silence: float = SILENCE_SECONDS,
) -> Iterator[Pool]:
    """Yield an open pool of autocommit connections; `timeout` limits the wait for a connection in seconds.

    `connection_of` checks a connection before each use. `silence` is the limit in seconds for one answer of PostgreSQL.
    Raises DatabaseUnavailable.
    """

    def configure(connection: _BoundedConnection) -> None:
        connection.silence = silence
        prepare(connection)
        connection.server_pid = session_state(connection).pid

    pool = Pool(
        conninfo,
        connection_class=_BoundedConnection,
        configure=configure,
        min_size=1,
        max_size=max_size,
        timeout=timeout,
        open=False,
        reconnect_timeout=RECONNECT_SECONDS,
        kwargs={"autocommit": True, "application_name": application_name, "client_encoding": ENCODING},
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
    """Yield a connection of the pool; at the end its advisory locks are released and its temporary tables are empty.

    Raises DatabaseUnavailable if no connection is free in time, and DatabaseError for what its block does.
    """
    with translated():
        connection = _take(pool)
        try:
            yield connection
        finally:
            _give_back(pool, connection)


@contextmanager
def plain_connection_of(pool: Pool) -> Iterator[Connection[Any]]:
    """The same for statements that leave no lock and no temporary table, so that its return costs no round trip."""
    with translated():
        connection = _take(pool)
        try:
            yield connection
        finally:
            pool.putconn(connection)


@contextmanager
def reading_connection_of(pool: Pool, seconds: float = READ_SECONDS) -> Iterator[Connection[Any]]:
    """The same as `connection_of`, for statements that only read; PostgreSQL ends one that takes longer.

    Raises DatabaseSlow then, also for one that waits for a lock.
    """
    with connection_of(pool) as connection:
        connection.execute(statement("limit_statements"), {"milliseconds": f"{seconds * 1000:.0f}"})
        with limited():
            yield connection


def _take(pool: Pool) -> _BoundedConnection:
    """A connection with its own session that can write. Others are closed, and the pool replaces them.

    Therefore a restarted server costs a reconnect and not an error. A connection that was opened while the server was
    read-only stays read-only. If all connections fail, the last error is raised.
    """
    left = pool.max_size
    while True:
        connection = pool.getconn()
        if connection.surely_usable:
            return connection
        try:
            require_usable(connection, connection.server_pid)
        except BaseException as error:
            connection.close()
            pool.putconn(connection)
            if left and isinstance(error, psycopg.OperationalError | DatabaseUnavailable):
                left -= 1
                continue
            raise
        return connection


def _give_back(pool: Pool, connection: _BoundedConnection) -> None:
    # Not the pool's own `reset`: it runs later in another thread, and the next run must find the lock free.
    try:
        # First the lock: others see already that the run has ended.
        state, connection.unlocked = connection.unlocked or _unlock(connection), None
        if state == SessionState(recovering=False, read_only=False, pid=connection.server_pid):
            clear_run_tables(connection)
            connection.found_usable_at = time.monotonic()
        else:
            connection.close()
    except psycopg.Error:
        # The server frees everything of a closed connection, and the pool opens another.
        connection.close()
    finally:
        pool.putconn(connection)


def note_unlocked(connection: Connection[Any], state: SessionState) -> None:
    """Note that a statement has released the locks of a connection, so that its return to the pool takes none."""
    if isinstance(connection, _BoundedConnection):
        connection.unlocked = state


def _unlock(connection: Connection[Any]) -> SessionState | None:
    """The state of the session; None if this is no answer to its statement, but to an earlier one."""
    row = connection.execute(statement("unlock_everything")).fetchone()
    return SessionState(*row[1:]) if row and len(row) == 1 + len(SessionState._fields) else None
