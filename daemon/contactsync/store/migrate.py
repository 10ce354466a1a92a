"""Brings a database to the newest schema: numbered SQL files, run by yoyo, one process at a time."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import UndefinedTable

from contactsync.errors import DatabaseError
from contactsync.store.errors import translated
from contactsync.store.statements import statement

if TYPE_CHECKING:
    from pathlib import Path

    from psycopg import Connection
    from yoyo.backends.base import DatabaseBackend

MIGRATION_LOCK = 0x636F6E7461637473
"""Key of the advisory lock that migrations run under: the ASCII octets of "contacts". """


def migrate(conninfo: str) -> list[str]:
    """Apply what is missing and return the names of the migrations applied, oldest first.

    Two processes that start at once take turns under an advisory lock, which PostgreSQL frees when its holder dies;
    yoyo's own lock is a row that a killed process leaves behind.

    A role that does not own the schema needs no right on it but to see that nothing is missing. Raises DatabaseError,
    also when something is missing and the role may not add it, and DatabaseUnavailable.
    """
    with translated(), psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
        role, exists, owns = connection.execute(statement("schema_rights")).fetchone() or ("", False, False)
        if not exists:
            # Not by IF NOT EXISTS, for which PostgreSQL asks for the right to create also when there is nothing to do.
            connection.execute("CREATE SCHEMA contactsync")
        with as_file(files("contactsync.store") / "migrations") as folder:
            if {file.stem for file in folder.glob("*.sql")} <= _applied(connection):
                return []
            return _apply_missing(conninfo, folder, role if exists and not owns else None)


def _applied(connection: Connection[Any]) -> set[str]:
    """The names of those that were applied, which yoyo keeps in a table."""
    try:
        return {name for (name,) in connection.execute(statement("applied_migrations"))}
    except UndefinedTable:
        return set()


def _apply_missing(conninfo: str, folder: Path, stranger: str | None) -> list[str]:
    """`stranger` is the name of the role when it may change nothing."""
    from yoyo import get_backend, read_migrations  # noqa: PLC0415 -- two megabytes, for one start after an upgrade

    migrations = read_migrations(str(folder))
    backend = get_backend(_yoyo_uri(conninfo))
    try:
        missing = backend.to_apply(migrations)
        names = [migration.id for migration in missing]
        if missing and stranger is not None:
            raise DatabaseError(
                f"The database lacks {', '.join(names)}, and the role {stranger} may not change its schema.",
                hint="Run `contactsync migrate` with the URL of the schema's owner, then deploy/postgresql/roles.sql.",
            )
        _apply(backend, missing)
    finally:
        backend.connection.close()
    return names


def _apply(backend: DatabaseBackend, missing: Any) -> None:
    # Without a look first, every start would write yoyo's bookkeeping tables.
    if missing:
        backend.apply_migrations(missing)


def _yoyo_uri(conninfo: str) -> str:
    """The same connection in the only form that yoyo takes; what is not the database's name goes into the query."""
    parameters = {name: str(value) for name, value in conninfo_to_dict(conninfo).items()}
    database = quote(parameters.pop("dbname", ""), safe="")
    return f"postgresql+psycopg:///{database}?{urlencode(parameters | {'schema': 'contactsync'}, quote_via=quote)}"
