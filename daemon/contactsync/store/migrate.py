"""Brings a database to the newest schema: numbered SQL files, run by yoyo, one process at a time."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict
from yoyo import get_backend, read_migrations

from contactsync.store.errors import translated

if TYPE_CHECKING:
    from yoyo.backends.base import DatabaseBackend

MIGRATION_LOCK = 0x636F6E7461637473
"""Key of the advisory lock that migrations run under: the ASCII octets of "contacts". """


def migrate(conninfo: str) -> list[str]:
    """Apply what is missing and return the names of the migrations applied, oldest first.

    Two processes that start at once take turns under an advisory lock, which PostgreSQL frees when its holder dies;
    yoyo's own lock is a row that a killed process leaves behind.

    Raises DatabaseError, DatabaseUnavailable.
    """
    with translated(), psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
        connection.execute("CREATE SCHEMA IF NOT EXISTS contactsync")
        with as_file(files("contactsync.store") / "migrations") as folder:
            return _apply_missing(conninfo, read_migrations(str(folder)))


def _apply_missing(conninfo: str, migrations: Any) -> list[str]:
    backend = get_backend(_yoyo_uri(conninfo))
    try:
        missing = backend.to_apply(migrations)
        names = [migration.id for migration in missing]
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
