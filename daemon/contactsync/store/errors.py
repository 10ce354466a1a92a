"""Translates psycopg's errors into contactsync's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors as pg
from psycopg_pool import PoolTimeout

from contactsync.errors import DatabaseConflict, DatabaseError, DatabaseForbidden, DatabaseSlow, DatabaseUnavailable

_CLOSED = (pg.AdminShutdown, pg.CrashShutdown, pg.CannotConnectNow, pg.IdleInTransactionSessionTimeout)
_CONFLICTS = (pg.SerializationFailure, pg.DeadlockDetected, pg.LockNotAvailable)
_NO_RESOURCES = "53"
"""The class "insufficient resources" (PostgreSQL manual, appendix A): disk, memory, connections."""
_SYSTEM_ERRORS = ("58", "XX")
"""The classes "system error" and "internal error": failing disks, file size limits, damaged data."""


class StatementEnded(DatabaseError):
    """PostgreSQL ended a statement before its answer: an administrator did it, or a time limit."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise DatabaseUnavailable, DatabaseConflict or DatabaseError in place of psycopg's errors."""
    try:
        yield
    except PoolTimeout as error:
        raise _unreachable(error) from None
    except psycopg.Error as error:
        # Not `from error`: its details may contain a row or a connection string.
        raise translation(error) from None


@contextmanager
def limited() -> Iterator[None]:
    """The same, but DatabaseSlow if PostgreSQL ends a statement: statements of the block have a time limit."""
    try:
        with translated():
            yield
    except StatementEnded as error:
        raise DatabaseSlow(
            error.message,
            hint="Try again in a moment, or ask for less. If it stays so, the database has too much to do.",
        ) from None


def translation(error: psycopg.Error) -> DatabaseError:
    """The error of contactsync's for one of psycopg's. Raise it `from None`: details may contain a row."""
    state = error.sqlstate or ""
    if isinstance(error, _CONFLICTS):
        return _conflict(error)
    if isinstance(error, _CLOSED) or (isinstance(error, psycopg.OperationalError) and state[:2] in {"", "08"}):
        return _lost(error) if error.pgconn is None else _unreachable(error)
    if isinstance(error, pg.ReadOnlySqlTransaction):
        return DatabaseUnavailable(
            "PostgreSQL accepts no writes at the moment.", hint="Nothing was changed; the next run tries again."
        )
    if isinstance(error, pg.InsufficientPrivilege):
        return DatabaseForbidden(
            f"The role in PostgreSQL has no right to do this: {_first_line(error)}.",
            hint="Grant it the group that it needs: contactsync_editor to edit definitions, contactsync_daemon for the"
            " rest.",
        )
    if isinstance(error, pg.QueryCanceled):
        return StatementEnded(
            f"PostgreSQL ended a statement before its answer: {_first_line(error)}.",
            hint="Nothing was changed; try again. If it stays so, look at statement_timeout and at PostgreSQL's log.",
        )
    return _refused(error, state)


def _refused(error: psycopg.Error, state: str) -> DatabaseError:
    if state.startswith(_NO_RESOURCES):
        return DatabaseError(
            f"PostgreSQL has run out of a resource: {_first_line(error)}.",
            hint="Nothing was changed. Free or add that resource; the next run tries again.",
        )
    if state.startswith(_SYSTEM_ERRORS):
        return DatabaseError(
            f"PostgreSQL has reported an internal error: {_first_line(error)}.",
            hint="Nothing was changed. See the server's log; the next run tries again.",
        )
    return DatabaseError(f"PostgreSQL refused a statement: {_first_line(error)}.")


def _conflict(error: psycopg.Error) -> DatabaseConflict:
    if isinstance(error, pg.LockNotAvailable):
        return DatabaseConflict(
            "Another session holds a lock on the same rows.",
            hint="Nothing was changed. End its open transaction: pg_locks and pg_stat_activity show which one it is.",
        )
    return DatabaseConflict(
        "Another session wrote the same contacts at the same time.",
        hint="Nothing was changed; the next run tries again.",
    )


def _lost(error: psycopg.Error) -> DatabaseUnavailable:
    return DatabaseUnavailable(
        f"The connection to PostgreSQL broke: {_first_line(error)}.",
        hint="The server's log says why; the next run connects again.",
    )


def _unreachable(error: Exception) -> DatabaseUnavailable:
    # The message may contain the connection string, but never its password.
    return DatabaseUnavailable(
        f"PostgreSQL cannot be reached: {_first_line(error)}.",
        hint="Check that it runs, and that [database] url in settings.toml is correct.",
    )


def _first_line(error: Exception) -> str:
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    text = primary or str(error)
    return text.strip().splitlines()[0].rstrip(".") if text.strip() else type(error).__name__
