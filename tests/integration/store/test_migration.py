"""Migrations: each is applied whole and once, whatever happens to the process, the lock and older notes."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import LiteralString

import psycopg
import pytest

from contactsync.errors import DatabaseError, DatabaseUnavailable
from contactsync.store.migration import MIGRATION_LOCK, migrate, migration_names
from tests.support.resources import database_of

LAST_OF_YOYO = "0015.changed-fields"
"""Versions up to this migration noted it in tables of yoyo."""
MIGRATIONS = files("contactsync.store") / "migrations"


@pytest.fixture
def empty(postgres_server: str) -> Iterator[str]:
    """Give the conninfo of an empty database."""
    with database_of(postgres_server) as conninfo:
        yield conninfo


def execute(conninfo: str, *statements: LiteralString) -> list[tuple[object, ...]]:
    """Carry out statements, and return the rows of the last."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for statement in statements[:-1]:
            connection.execute(statement)
        cursor = connection.execute(statements[-1])
        return cursor.fetchall() if cursor.description else []


def notes(conninfo: str) -> list[str]:
    """The names of the migrations that are noted as applied."""
    return [str(name) for (name,) in execute(conninfo, "SELECT name FROM contactsync.schema_migrations ORDER BY name")]


def test_every_migration_is_applied_once(empty: str) -> None:
    """The second call finds nothing to do."""
    assert migrate(empty) == migration_names() == notes(empty)
    assert migrate(empty) == []


def test_a_migration_and_its_note_are_one_transaction(empty: str) -> None:
    """When the note fails, the migration is undone, and the next call goes on from there."""
    execute(
        empty,
        "CREATE SCHEMA contactsync",
        "CREATE TABLE contactsync.schema_migrations (name text PRIMARY KEY, applied_at timestamptz DEFAULT now(),"
        " CONSTRAINT refused CHECK (name NOT LIKE '0003%'))",
    )
    with pytest.raises(DatabaseError, match="refused"):
        migrate(empty)
    assert notes(empty) == migration_names()[:2]
    assert execute(empty, "SELECT to_regclass('contactsync.sync_runs')") == [(None,)]
    execute(empty, "ALTER TABLE contactsync.schema_migrations DROP CONSTRAINT refused")
    assert migrate(empty) == migration_names()[2:]


def test_the_overview_keeps_its_options(empty: str) -> None:
    """Personal folders stay closed after an upgrade: the view checks the rights of its user (security_invoker)."""
    execute(
        empty,
        "CREATE SCHEMA contactsync",
        "CREATE TABLE contactsync.schema_migrations (name text PRIMARY KEY, applied_at timestamptz DEFAULT now(),"
        " CONSTRAINT refused CHECK (name NOT LIKE '0016%'))",
    )
    with pytest.raises(DatabaseError, match="refused"):
        migrate(empty)
    execute(
        empty,
        "ALTER VIEW contactsync.definition_overview SET (security_invoker = true)",
        "ALTER TABLE contactsync.schema_migrations DROP CONSTRAINT refused",
    )
    migrate(empty)
    options = "SELECT reloptions FROM pg_class WHERE oid = 'contactsync.definition_overview'::regclass"
    assert execute(empty, options) == [(["security_invoker=true"],)]


def test_a_filter_of_an_older_version_stays_the_only_one(empty: str) -> None:
    """In the definition or in its query; the upgrade is no edit."""
    execute(
        empty,
        "CREATE SCHEMA contactsync",
        "CREATE TABLE contactsync.schema_migrations (name text PRIMARY KEY, applied_at timestamptz DEFAULT now(),"
        " CONSTRAINT refused CHECK (name NOT LIKE '0022%'))",
    )
    with pytest.raises(DatabaseError, match="refused"):
        migrate(empty)
    execute(
        empty,
        "ALTER TABLE contactsync.schema_migrations DROP CONSTRAINT refused",
        "INSERT INTO contactsync.folders (name) VALUES ('Staff')",
        "INSERT INTO contactsync.sync_definitions (folder_id, name, query, filter) SELECT folder_id, d.*"
        " FROM contactsync.folders, (VALUES ('a', 'ldap://dc1', '(mail=*)'),"
        " ('b', 'ldap://dc1/o=x??sub?(mail=*)', NULL), ('c', 'ldap://dc1/o=x?cn?sub', NULL)) AS d",
    )
    migrate(empty)
    rows = execute(empty, "SELECT name, filter_only, revision FROM contactsync.sync_definitions ORDER BY name")
    assert rows == [("a", True, 1), ("b", True, 1), ("c", False, 1)]


def test_a_held_lock_is_named_and_waited_for_with_a_limit(empty: str) -> None:
    """The error names the session; once the lock is free the migration goes on."""
    with psycopg.connect(empty, autocommit=True, application_name="an old upgrade") as other:
        other.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
        with pytest.raises(DatabaseUnavailable, match=rf"process {other.info.backend_pid}, an old upgrade"):
            migrate(empty, wait_seconds=0.3)
    assert migrate(empty)


def test_a_complete_schema_needs_no_lock(database: str) -> None:
    """Whoever holds the lock, there is nothing to wait for."""
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
        assert migrate(database, wait_seconds=0.0) == []


def older_version(conninfo: str, *, noted: str) -> None:
    """The schema as an older version left it, with the notes of yoyo up to `noted`."""
    names = [name for name in migration_names() if name <= LAST_OF_YOYO]
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA contactsync")
        for name in names:
            connection.execute((MIGRATIONS / f"{name}.sql").read_text(encoding="utf-8"))
        connection.execute("CREATE TABLE contactsync._yoyo_migration (migration_id text, applied_at_utc timestamp)")
        connection.execute("CREATE TABLE contactsync.yoyo_lock (locked int)")
        for name in names[: names.index(noted) + 1]:
            connection.execute("INSERT INTO contactsync._yoyo_migration VALUES (%s, now())", [name])


@pytest.mark.parametrize("noted", [LAST_OF_YOYO, "0014.runs-and-deletions"])
def test_the_notes_of_older_versions_are_taken_over(empty: str, noted: str) -> None:
    """Also those of a version that was killed between a migration and its note, which could not start any more."""
    older_version(empty, noted=noted)
    assert migrate(empty) == [name for name in migration_names() if name > noted]
    assert notes(empty) == migration_names()
    assert execute(empty, "SELECT to_regclass('contactsync._yoyo_migration')") == [(None,)]
    assert migrate(empty) == []
