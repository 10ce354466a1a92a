"""Turns psycopg's errors into contactsync's, once, at the boundary."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors as pg
from psycopg_pool import PoolTimeout

from contactsync.errors import DatabaseConflict, DatabaseError, DatabaseUnavailable

_GONE = (pg.AdminShutdown, pg.CrashShutdown, pg.CannotConnectNow, pg.IdleInTransactionSessionTimeout)
_CONFLICTS = (pg.SerializationFailure, pg.DeadlockDetected)
_LACKING = "53"
"""The class of insufficient resources (PostgreSQL manual, appendix A): a full disk, no memory, too many connections."""
_AILING = ("58", "XX")
"""The classes of system and internal errors: the disk fails, a file may not grow, data is damaged."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise DatabaseUnavailable, DatabaseConflict or DatabaseError in place of what psycopg raises."""
    try:
        yield
    except PoolTimeout as error:
        raise _unreachable(error) from None
    except psycopg.Error as error:
        # Not `from error`: its details may quote a whole row, or a connection string.
        raise _translation(error) from None


def _translation(error: psycopg.Error) -> DatabaseError:
    state = error.sqlstate or ""
    if isinstance(error, _CONFLICTS):
        return DatabaseConflict(
            "Somebody else wrote to the same contacts at the same moment.",
            hint="Nothing was changed; the next run tries again.",
        )
    if isinstance(error, _GONE) or (isinstance(error, psycopg.OperationalError) and state[:2] in {"", "08"}):
        return _lost(error) if error.pgconn is None else _unreachable(error)
    if isinstance(error, pg.ReadOnlySqlTransaction):
        return DatabaseUnavailable(
            "PostgreSQL accepts no writes at the moment.", hint="Nothing was changed; the next run tries again."
        )
    if state.startswith(_LACKING):
        return DatabaseError(
            f"PostgreSQL lacks something that it needs: {_first_line(error)}.",
            hint="Nothing was changed. Give its server room; the next run tries again.",
        )
    if state.startswith(_AILING):
        return DatabaseError(
            f"PostgreSQL has trouble of its own: {_first_line(error)}.",
            hint="Nothing was changed. Look into its server's log; the next run tries again.",
        )
    return DatabaseError(f"PostgreSQL refused a statement: {_first_line(error)}.")


def _lost(error: psycopg.Error) -> DatabaseUnavailable:
    return DatabaseUnavailable(
        f"The connection to PostgreSQL broke: {_first_line(error)}.",
        hint="Its server was stopped or lost, and its log says why; the next run starts anew.",
    )


def _unreachable(error: Exception) -> DatabaseUnavailable:
    # The message of a failed connection may repeat the connection string, though never its password.
    return DatabaseUnavailable(
        f"PostgreSQL cannot be reached: {_first_line(error)}.",
        hint="Check that it runs and that [database] url in settings.toml is right.",
    )


def _first_line(error: Exception) -> str:
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    text = primary or str(error)
    return text.strip().splitlines()[0].rstrip(".") if text.strip() else type(error).__name__
