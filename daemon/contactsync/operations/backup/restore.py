"""Restores a dump in one transaction. What is in the database is kept in a schema of another name."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import IO, TYPE_CHECKING, Any

from psycopg import sql
from pydantic import BaseModel, Field

from contactsync.credentials.sealing import SecretBox
from contactsync.errors import DatabaseError, SecretError, UsageError
from contactsync.operations.backup.archive import read_archive
from contactsync.operations.backup.dump import SCHEMA
from contactsync.operations.backup.programs import Programs, failure, find_programs
from contactsync.store.errors import translated
from contactsync.store.health import daemon_listens
from contactsync.store.migration import migrate, migration_names
from contactsync.store.record.audit import acting, write_audit
from contactsync.store.session import connect

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.model import Actor

_VERSION_UNIT = 10_000
_TRANSACTION_TIMEOUT = b"SET transaction_timeout = 0;\n"
"""A line of every dump's script that PostgreSQL before 17 does not know."""
_KNOWS_IT = 17


class RestorePlan(BaseModel):
    """What a restore does, and what is known about the dump."""

    file: str
    created_at: str = Field(description="When the dump was made, as pg_restore shows it.")
    migrations: list[str] = Field(description="Those that the dump lacks; they are applied after it.")
    folders: int
    definitions: int
    passwords: int = Field(description="Sealed passwords in the dump.")
    passwords_fitting: int = Field(description="Those that the key of this machine opens.")
    key_problem: str | None = Field(description="Why the key of this machine does not open all of them.")
    database: str
    present_folders: int
    present_contacts: int
    kept_as: str | None = Field(description="The schema that keeps what is in the database now.")
    drops_empty_schema: bool
    missing_roles: list[str] = Field(description="Roles that the dump grants rights to, and that do not exist here.")
    daemon_running: bool


def plan_restore(conninfo: str, path: Path, key_file: Path, now: datetime | None = None) -> RestorePlan:
    """Compare a dump with the database; changes nothing.

    Raises UsageError for a file that is no dump of this or an older release, DatabaseError.
    """
    with translated(), connect(conninfo, application_name="contactsync-restore") as connection:
        archive = read_archive(_programs(connection), path)
        known = migration_names()
        if unknown := sorted(set(archive.migrations) - set(known)):
            raise UsageError(
                f"{path} was made by a newer release: it has {', '.join(unknown)}, which this release does not know.",
                hint="Restore it with that release.",
            )
        exists, filled, folders, contacts = _present(connection)
        stamp = (now or datetime.now(UTC)).strftime("%Y%m%d_%H%M%S")
        fitting, problem = _fitting(archive.keys, key_file)
        missing = connection.execute(
            "SELECT name FROM unnest(%s::text[]) AS r (name) WHERE to_regrole(quote_ident(name)) IS NULL",
            [archive.roles],
        )
        return RestorePlan(
            file=str(path),
            created_at=archive.created_at,
            migrations=[name for name in known if name not in archive.migrations],
            folders=archive.folders,
            definitions=archive.definitions,
            passwords=len(archive.keys),
            passwords_fitting=fitting,
            key_problem=problem,
            database=connection.info.dbname,
            present_folders=folders,
            present_contacts=contacts,
            kept_as=f"{SCHEMA}_before_{stamp}" if filled else None,
            drops_empty_schema=exists and not filled,
            missing_roles=[name for (name,) in missing],
            daemon_running=exists and daemon_listens(connection),
        )


def restore(conninfo: str, plan: RestorePlan, actor: Actor) -> None:
    """Carry out a plan: the dump in one transaction, then the migrations that it lacks. Raises DatabaseError."""
    with translated(), connect(conninfo, application_name="contactsync-restore") as connection:
        programs, version = _programs(connection), connection.info.server_version // _VERSION_UNIT
        before = _statement(plan).as_string(connection).encode()
    options = ["--no-owner", *(["--no-acl", "--no-policies"] if plan.missing_roles else [])]
    _pipe(programs, conninfo, [*options, plan.file], before, drop_timeout=version < _KNOWS_IT)
    migrate(conninfo)
    with (
        translated(),
        connect(conninfo, application_name="contactsync-restore") as connection,
        acting(connection, actor),
    ):
        details = {"created_at": plan.created_at, "kept_as": plan.kept_as}
        write_audit(connection, "database.restored", after=details)


def _programs(connection: Connection[Any]) -> Programs:
    return find_programs(connection.info.server_version // _VERSION_UNIT, newest=True)


def _statement(plan: RestorePlan) -> sql.Composed:
    """What makes room for the dump's schema, in its transaction."""
    wait, schema = "SET lock_timeout = '10s';\n", sql.Identifier(SCHEMA)
    if plan.kept_as:
        return sql.SQL(wait + "ALTER SCHEMA {} RENAME TO {};\n").format(schema, sql.Identifier(plan.kept_as))
    return sql.SQL(wait + "DROP SCHEMA {} CASCADE;\n").format(schema) if plan.drops_empty_schema else sql.Composed([])


def _pipe(programs: Programs, conninfo: str, arguments: list[str], before: bytes, *, drop_timeout: bool) -> None:
    """Send pg_restore's script through psql, in one transaction that only a whole script commits."""
    with tempfile.TemporaryFile() as problems, tempfile.TemporaryFile() as refusals:
        reader = programs.start("pg_restore", "--file=-", *arguments, errors=problems, stdout=PIPE)
        psql = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction", "--file=-")
        writer = programs.start("psql", *psql, conninfo=conninfo, errors=refusals, stdin=PIPE, stdout=DEVNULL)
        try:
            with suppress(BrokenPipeError):
                _copy(reader.stdout, writer.stdin, before, drop_timeout=drop_timeout)
            if writer.poll() is None and reader.wait():
                raise failure("pg_restore", problems)
            with suppress(BrokenPipeError):
                writer.communicate()
            if writer.returncode:
                raise failure("psql", refusals)
        finally:
            # Without the end of its input, psql commits nothing.
            for process in (writer, reader):
                process.kill()
                process.wait()


def _copy(source: IO[bytes] | None, target: IO[bytes] | None, before: bytes, *, drop_timeout: bool) -> None:
    if source is None or target is None:
        raise ValueError
    target.write(before)
    for line in source:
        if not (drop_timeout and line == _TRANSACTION_TIMEOUT):
            target.write(line)
        if line.startswith(b"CREATE SCHEMA"):
            break
    shutil.copyfileobj(source, target)
    target.flush()


def _present(connection: Connection[Any]) -> tuple[bool, bool, int, int]:
    """Whether there is a schema, whether anything is in it, and its folders and contacts. Raises DatabaseError."""
    row = connection.execute(
        "SELECT oid IS NOT NULL, pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = %s", [SCHEMA]
    ).fetchone()
    if row is None:
        return False, False, 0, 0
    if not row[1]:
        raise DatabaseError(
            f"The schema {SCHEMA} in the database {connection.info.dbname} belongs to another role.",
            hint="Use the URL of its owner.",
        )
    numbers = []
    for table in ("folders", "contacts", "sync_runs", "audit"):
        there = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [f"{SCHEMA}.{table}"]).fetchone()
        count = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(SCHEMA, table))
        counted = connection.execute(count).fetchone() if there == (True,) else None
        numbers.append(counted[0] if counted else 0)
    return True, any(numbers), numbers[0], numbers[1]


def _fitting(keys: list[str], key_file: Path) -> tuple[int, str | None]:
    """How many of the passwords the key of this machine opens, and why not all."""
    if not keys:
        return 0, None
    advice = "Restore the key file of the dump's machine, or set the passwords again."
    if not key_file.exists():
        return 0, f"There is no key file {key_file} here. {advice}"
    try:
        key = SecretBox.from_file(key_file).key_id.hex()
    except SecretError as error:
        return 0, str(error)
    others = sorted(set(keys) - {key})
    problem = f"{key_file} has the key {key}, and the dump needs {', '.join(others)}. {advice}" if others else None
    return keys.count(key), problem
