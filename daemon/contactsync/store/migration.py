"""Brings a database to the newest schema: the numbered SQL files of migrations/, each applied once.

A migration and the note that it was applied are one transaction. A process that is killed at any moment leaves a
database on which the next start goes on.
"""

from __future__ import annotations

import re
import time
from importlib.resources import files
from typing import TYPE_CHECKING, Any, LiteralString

import structlog
from psycopg import errors as pg

from contactsync.errors import DatabaseError, DatabaseUnavailable
from contactsync.store.errors import translated
from contactsync.store.session import connect
from contactsync.store.statements import statement

if TYPE_CHECKING:
    from psycopg import Connection

_log = structlog.get_logger()

MIGRATION_LOCK = 0x636F6E7461637473
"""Key of the advisory lock that migrations run under: the ASCII octets of "contacts"."""
LOCK_SECONDS = 10.0
"""How long to wait for another process that migrates."""
TABLE_LOCK = "30s"
"""How long one statement waits for a table that a session has locked (PostgreSQL's lock_timeout)."""
_POLL_SECONDS = 0.2
_SERVES = re.compile(r"^-- serves: ([0-9]{4})$", re.MULTILINE)
"""Programs that know this migration work with the schema after this one, too."""
_ALREADY_THERE = (
    pg.DuplicateTable,
    pg.DuplicateColumn,
    pg.DuplicateObject,
    pg.DuplicateFunction,
    pg.DuplicateSchema,
    pg.UndefinedColumn,
    pg.UndefinedFunction,
    pg.UndefinedObject,
)
"""How a migration fails that was applied before."""


def migration_names() -> list[str]:
    """The names of all migrations, oldest first."""
    folder = files("contactsync.store").joinpath("migrations")
    return sorted(file.name.removesuffix(".sql") for file in folder.iterdir() if file.name.endswith(".sql"))


def migrate(conninfo: str, *, wait_seconds: float = LOCK_SECONDS) -> list[str]:
    """Apply the missing migrations and return their names, oldest first.

    Processes that start at once take turns under an advisory lock, which PostgreSQL frees when its holder dies. A
    complete schema is not locked. A role that does not own the schema can see that nothing is missing.

    Raises DatabaseUnavailable when another process holds the lock for longer than `wait_seconds`. Raises DatabaseError
    when the role may not change the schema, or when a migration fails.
    """
    with translated(), connect(conninfo, application_name="contactsync-migration") as connection:
        if newer := _newer_migrations(connection):
            _log.info("database.newer_schema", migrations=newer)
        if not missing_migrations(connection):
            return []
        _require_rights(connection)
        _lock(connection, wait_seconds)
        connection.execute(statement("migration_lock_timeout"), [TABLE_LOCK])
        adopted = _prepare(connection)
        missing = missing_migrations(connection)
        _require_served_nodes(connection, missing)
        for name in missing:
            _apply(connection, name, may_be_there=adopted and name == missing[0])
        return missing


def missing_migrations(connection: Connection[Any]) -> list[str]:
    """The names of the migrations that the database lacks, oldest first. Raises psycopg.Error."""
    applied = _applied(connection)
    return [name for name in migration_names() if name not in applied]


def schema_level() -> str:
    """The number of the newest migration that this program knows."""
    return _number(migration_names()[-1])


def _number(name: str) -> str:
    return name.partition(".")[0]


def _applied(connection: Connection[Any]) -> dict[str, str | None]:
    """The applied migrations, with the number of the oldest one whose programs still work."""
    applied: dict[str, str | None] = {}
    for query in ("applied_by_yoyo", "applied_migrations"):
        try:
            applied |= dict(connection.execute(statement(query)).fetchall())
        except (pg.UndefinedTable, pg.InvalidSchemaName):
            continue
    return applied


def require_schema(connection: Connection[Any]) -> None:
    """Raise DatabaseError unless the schema is that of this release, or of a newer one that serves this one, too."""
    with translated():
        missing = missing_migrations(connection)
        if not missing:
            _newer_migrations(connection)
            return
    database = connection.info.dbname
    if len(missing) == len(migration_names()):
        raise DatabaseError(
            f"There is nothing of contactsync in the database {database} yet.",
            hint="`contactsync migrate`, `contactsync folders add` or the start of the daemon creates its schema.",
        )
    raise DatabaseError(
        f"The schema in the database {database} is that of an older release: it lacks {', '.join(missing)}.",
        hint="Restart the daemon, which updates it, or run `contactsync migrate`. A backup comes first.",
    )


def _newer_migrations(connection: Connection[Any]) -> list[str]:
    """The migrations of newer releases. Raises DatabaseError if one of them does not serve this release."""
    applied, known = _applied(connection), set(migration_names())
    newer = sorted(applied.keys() - known)
    refusing = [name for name in newer if (applied[name] or name) > schema_level() or known - applied.keys()]
    if refusing:
        raise DatabaseError(
            f"The schema is that of a newer release: it has {', '.join(refusing)}, which this release does not know.",
            hint="Use the newer release here too, or restore a backup from before the upgrade.",
        )
    return newer


def _require_served_nodes(connection: Connection[Any], missing: list[str]) -> None:
    """Raise DatabaseError if nodes of a fleet are alive that cannot work with these migrations."""
    level = max((_serves(_text(name)) or _number(name) for name in missing), default="")
    if not (level and (connection.execute(statement("fleet_exists")).fetchone() or [False])[0]):
        return
    if nodes := connection.execute(statement("nodes_below"), [level]).fetchall():
        names = ", ".join(f"{name} ({version})" for name, version in nodes)
        raise DatabaseError(
            f"Nodes of the fleet are of a release that cannot work with this schema ({', '.join(missing)}): {names}.",
            hint="Stop them, run `contactsync migrate`, and start them with the new release.",
        )


def _text(name: str) -> LiteralString:
    # Package data is as trusted as the code.
    return files("contactsync.store").joinpath("migrations", f"{name}.sql").read_text(encoding="utf-8")


def _serves(text: str) -> str | None:
    """The number after `-- serves:` in a migration."""
    match = _SERVES.search(text)
    return match[1] if match else None


def _require_rights(connection: Connection[Any]) -> None:
    """Raise DatabaseError when the schema exists and belongs to another role."""
    role, exists, owns = connection.execute(statement("schema_rights")).fetchone() or ("", False, False)
    if exists and not owns:
        missing = ", ".join(missing_migrations(connection))
        raise DatabaseError(
            f"The database lacks {missing}, and the role {role} may not change its schema.",
            hint="Run `contactsync migrate` with the URL of the schema's owner, then deploy/postgresql/roles.sql.",
        )


def _lock(connection: Connection[Any], wait_seconds: float) -> None:
    """Take the migration lock. Raises DatabaseUnavailable, which names the session that holds it."""
    deadline = time.monotonic() + wait_seconds
    warned = False
    while not (connection.execute(statement("try_migration_lock"), [MIGRATION_LOCK]).fetchone() or [False])[0]:
        holder = _holder(connection)
        if time.monotonic() >= deadline:
            raise DatabaseUnavailable(
                f"Another session holds the migration lock: {holder}.",
                hint="Wait for its end. A session whose machine is gone can be ended with pg_terminate_backend().",
            )
        if not warned:
            _log.warning("database.migration_waits", holder=holder, seconds=wait_seconds)
            warned = True
        time.sleep(_POLL_SECONDS)


def _holder(connection: Connection[Any]) -> str:
    row = connection.execute(statement("migration_lock_holder"), [MIGRATION_LOCK]).fetchone()
    return "process {}, {}, connected since {:%Y-%m-%d %H:%M:%S %Z}".format(*row) if row else "it has just ended"


def _prepare(connection: Connection[Any]) -> bool:
    """Make the table of applied migrations. True when it takes over the notes of yoyo, which did this work before."""
    with connection.transaction():
        if not (connection.execute(statement("schema_rights")).fetchone() or ("", False))[1]:
            # IF NOT EXISTS would ask for the right to create a schema although there is one.
            connection.execute("CREATE SCHEMA contactsync")
        connection.execute(statement("create_migrations_table"))
        row = connection.execute(statement("yoyo_is_there")).fetchone()
        adopts = bool(row and row[0])
        if adopts:
            connection.execute(statement("adopt_yoyo"))
        return adopts


def _apply(connection: Connection[Any], name: str, *, may_be_there: bool) -> None:
    """One migration and its note. With `may_be_there` yoyo may have been killed between the two."""
    text = _text(name)
    note = [name, _serves(text)]
    try:
        with connection.transaction():
            connection.execute(text)
            connection.execute(statement("note_migration"), note)
    except _ALREADY_THERE as error:
        if not may_be_there:
            raise DatabaseError(
                f"The migration {name} failed: {error.diag.message_primary}. The schema was changed by other means, or"
                " the notes of its migrations are lost (table contactsync.schema_migrations).",
                hint="Restore the whole schema from a backup, with that table.",
            ) from None
        _log.warning("database.migration_adopted", migration=name)
        connection.execute(statement("note_migration"), note)
    except pg.LockNotAvailable:
        raise DatabaseUnavailable(
            f"The migration {name} waited {TABLE_LOCK} for a table that another session has locked.",
            hint="End its transaction, or wait for it: pg_stat_activity and pg_locks show which one it is.",
        ) from None
