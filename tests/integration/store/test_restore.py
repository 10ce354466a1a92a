"""Dumps and restores: of everything, of the data only, under another name, by a backup role, of another release."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from contactsync.errors import DatabaseError
from contactsync.model import Outcome
from contactsync.store.migration import migrate, require_schema
from contactsync.store.pool import open_pool
from contactsync.store.session import connect
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import SyncedFolder, change
from tests.support.postgres import program
from tests.support.resources import database_of
from tests.support.roles import carry_out, role_with

SEALED = (
    "INSERT INTO contactsync.sync_definitions (folder_id, name, query, bind_user, password_new, enabled)"
    " VALUES (%s, 'sealed', 'dc1', 'cn=reader', %s, false)"
)
PERSON = "INSERT INTO contactsync.contacts (folder_id, display_name) VALUES (%s, 'Plumber') RETURNING contact_id"


@pytest.fixture
def filled(database: str, directory: PrivateSlapd) -> Iterator[SyncedFolder]:
    """Give a folder with people from a directory, and one of its own."""
    with open_pool(database, max_size=3, timeout=30) as pool:
        folder = SyncedFolder(database, pool, directory)
        assert folder.run().outcome is Outcome.CHANGED
        folder.query(PERSON, folder.definition.folder_id)
        with folder.connection() as connection:
            connection.execute(SEALED, [folder.definition.folder_id, bytes(60)])
        yield folder


@pytest.fixture
def empty(postgres_server: str) -> Iterator[str]:
    """Give an empty database with another name."""
    with database_of(postgres_server) as conninfo:
        yield conninfo


def expect_restored(folder: SyncedFolder, conninfo: str) -> None:
    """The same contacts with the same ids, and the same audit; runs and people go on where they were."""
    before = folder.query("SELECT * FROM contactsync.contacts ORDER BY contact_id")
    audit = folder.query("SELECT * FROM contactsync.audit ORDER BY audit_id")
    folder_id = folder.definition.folder_id
    with open_pool(conninfo, max_size=3, timeout=30) as folder.pool:
        folder.conninfo = conninfo
        assert folder.query("SELECT * FROM contactsync.contacts ORDER BY contact_id") == before
        assert folder.query("SELECT * FROM contactsync.audit ORDER BY audit_id") == audit
        assert folder.run().outcome is Outcome.UNCHANGED
        change(folder.slapd)
        folder.expect_in_sync()
        (added,) = folder.query(PERSON, folder_id)
        assert added["contact_id"] > max(row["contact_id"] for row in before)


def dumped_whole(source: str, target: str) -> None:
    """Everything, into a database where the schema is not yet."""
    dump = program("pg_dump", "--format=custom", "--schema=contactsync", "--dbname", source)
    program("pg_restore", "--no-owner", "--exit-on-error", "--single-transaction", "--dbname", target, stdin=dump)
    assert migrate(target) == []


def dumped_data(source: str, target: str) -> None:
    """The data only, into a database that was migrated."""
    migrate(target)
    without = "--exclude-table=contactsync.schema_migrations"
    dump = program("pg_dump", "--data-only", "--schema=contactsync", without, "--dbname", source)
    program("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname", target, stdin=dump)


def dumped_by_backup_role(source: str, target: str) -> None:
    """With row-level security, by the group of backup.sql."""
    for script in ("roles.sql", "personal-folders.sql", "backup.sql", "backup.sql"):
        carry_out(source, script)
    role_with(source, "nightly", "contactsync_backup")
    role = ("--role=contactsync_backup", "--dbname", make_conninfo(source, options="-c role=nightly"))
    dump = program("pg_dump", "--format=custom", "--schema=contactsync", *role)
    program("pg_restore", "--no-owner", "--no-acl", "--exit-on-error", "--dbname", target, stdin=dump)


@pytest.mark.parametrize("dumped", [dumped_whole, dumped_data, dumped_by_backup_role])
def test_a_dump_is_restored(filled: SyncedFolder, empty: str, dumped: Callable[[str, str], None]) -> None:
    """Into a database of another name; afterwards it works like the first."""
    dumped(filled.conninfo, empty)
    expect_restored(filled, empty)


def test_contacts_of_no_folder_are_refused_outside_of_a_restore(database: str) -> None:
    """The check that a restore goes without."""
    with psycopg.connect(database) as connection, pytest.raises(psycopg.errors.ForeignKeyViolation):
        connection.execute(PERSON, [4711])


@pytest.mark.parametrize(
    ("statement", "reading", "migrating"),
    [
        ("DROP SCHEMA contactsync CASCADE", "There is nothing of contactsync in the database", None),
        (
            "DELETE FROM contactsync.schema_migrations WHERE name = '0025.restore'",
            "an older release: it lacks 0025.restore",
            None,
        ),
        ("INSERT INTO contactsync.schema_migrations VALUES ('9999.later')", "a newer release: it has 9999", "newer"),
        ("DELETE FROM contactsync.schema_migrations", "There is nothing of contactsync", "notes of its migrations"),
        ("DROP TABLE contactsync.schema_migrations", "There is nothing of contactsync", "notes of its migrations"),
    ],
)
def test_another_schema_is_named(database: str, statement: str, reading: str, migrating: str | None) -> None:
    """A reader changes nothing and says what to do; a migration goes on, or says why it cannot."""
    with connect(database, application_name="test") as connection:
        connection.execute(statement.encode())
        with pytest.raises(DatabaseError, match=reading):
            require_schema(connection)
    if migrating is None:
        assert "0025.restore" in migrate(database)
    else:
        with pytest.raises(DatabaseError, match=migrating):
            migrate(database)
