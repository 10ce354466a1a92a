"""The pool of connections to PostgreSQL."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import Connection
from psycopg_pool import ConnectionPool

from contactsync.store.errors import translated
from contactsync.store.statements import statement

Value = TypeVar("Value")

RECONNECT_SECONDS = 3.0
"""How long the pool tries by itself to replace a lost connection, with growing pauses; then the next who asks makes it
try at once. With psycopg's five minutes the pauses outlast the outage by far."""
SILENCE_SECONDS = 600.0
"""How long PostgreSQL may be at one statement, or wait for a lock, without a word. A connection that the network has
forgotten looks just the same, and nothing else would ever end the wait for it."""


class _Impatient(Connection[Any]):
    """A connection that is given up when the server has said nothing for `silence` seconds."""

    silence = SILENCE_SECONDS

    def wait(self, gen: Generator[Any, Any, Value], *limits: Any, **named_limits: Any) -> Value:
        """As psycopg's, which everything passes that waits for the server."""
        return super().wait(self._heard(gen), *limits, **named_limits)

    def _heard(self, gen: Generator[Any, Any, Value]) -> Generator[Any, Any, Value]:
        """The same generator; psycopg resumes it ten times a second with nothing while there is nothing to read."""
        heard_at = time.monotonic()
        silent = False
        try:
            state = next(gen)
            while True:
                ready = yield state
                now = time.monotonic()
                if ready:
                    heard_at = now
                elif not silent and now > heard_at + self.silence:
                    silent = True
                    _hang_up(self)
                state = gen.send(ready)
        except StopIteration as end:
            value: Value = end.value
            return value
        except psycopg.OperationalError:
            if silent:
                raise psycopg.OperationalError(f"it said nothing for {self.silence:g} seconds") from None
            raise
        except ValueError:
            # psycopg takes it for granted that a COPY has one answer; one that is cut short may have a second.
            _hang_up(self)
            raise psycopg.OperationalError("what the server answered is not whole") from None


Pool = ConnectionPool[_Impatient]


def _hang_up(connection: Connection[Any]) -> None:
    """End the connection below libpq, which then finds it broken."""
    with socket.socket(fileno=os.dup(connection.pgconn.socket)) as ours:
        ours.shutdown(socket.SHUT_RDWR)


@contextmanager
def open_pool(
    conninfo: str,
    *,
    max_size: int,
    timeout: float,
    application_name: str = "contactsync",
    silence: float = SILENCE_SECONDS,
) -> Iterator[Pool]:
    """A pool of autocommit connections, opened at once, closed at the end; `timeout` (seconds) bounds every wait.

    A connection is checked before each use, so that a restarted server costs a reconnect and not an error; one that is
    waited for in vain for `silence` seconds breaks. Raises DatabaseUnavailable.
    """

    def configure(connection: _Impatient) -> None:
        connection.silence = silence
        connection.execute(statement("temporary_memory"))

    pool = Pool(
        conninfo,
        connection_class=_Impatient,
        configure=configure,
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
