"""Turns psycopg's errors into contactsync's, once, at the boundary."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors as pg
from psycopg_pool import PoolTimeout

from contactsync.errors import DatabaseConflict, DatabaseError, DatabaseUnavailable

_GONE = (pg.AdminShutdown, pg.CrashShutdown, pg.CannotConnectNow, pg.IdleInTransactionSessionTimeout)


@contextmanager
def translated() -> Iterator[None]:
    """Raise DatabaseUnavailable, DatabaseConflict or DatabaseError in place of what psycopg raises."""
    try:
        yield
    except (PoolTimeout, *_GONE) as error:
        raise _unavailable(error) from None
    except (pg.SerializationFailure, pg.DeadlockDetected) as error:
        raise DatabaseConflict(
            "Somebody else wrote to the same contacts at the same moment.", hint="The next run tries again."
        ) from error
    except psycopg.OperationalError as error:
        raise _operational(error) from None
    except psycopg.Error as error:
        raise DatabaseError(f"PostgreSQL refused a statement: {_first_line(error)}.") from error


def _operational(error: psycopg.OperationalError) -> DatabaseError:
    """Class 53 (disk full, out of memory, too many connections) has a cause of its own; the rest is a lost server."""
    if error.sqlstate is not None and error.sqlstate.startswith("53"):
        return DatabaseError(
            f"PostgreSQL lacks something that it needs: {_first_line(error)}.",
            hint="Give it room; nothing was changed, and the next run tries again.",
        )
    return _unavailable(error)


def _unavailable(error: Exception) -> DatabaseUnavailable:
    # The message of a failed connection may repeat the connection string, though never its password.
    return DatabaseUnavailable(
        f"PostgreSQL cannot be reached: {_first_line(error)}.",
        hint="Check that it runs and that [database] url in settings.toml is right.",
    )


def _first_line(error: Exception) -> str:
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    text = primary or str(error)
    return text.strip().splitlines()[0].rstrip(".") if text.strip() else type(error).__name__
