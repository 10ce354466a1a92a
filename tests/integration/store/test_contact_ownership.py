"""A contact belongs to an existing folder, and to an existing definition of it or to none."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import errors

from contactsync.store.definitions import add_definition, add_folder
from contactsync.store.embedded.cluster import SUPERUSER

Connection = psycopg.Connection[Any]
ADD = "INSERT INTO contactsync.contacts (folder_id, display_name) VALUES (%s, 'Mum')"
ADD_SYNCED = """
    INSERT INTO contactsync.contacts (folder_id, definition_id, source_key, fingerprint, display_name)
    VALUES (%s, %s, '1', '\\x00', 'Anna')"""


@pytest.fixture
def folders(connection: Connection) -> list[tuple[int, int]]:
    """Make two folders, each with a definition, a person's own `Mum` and a synchronized `Anna`; give the ids."""
    ids = []
    for name in ("Staff", "Sales"):
        folder_id = add_folder(connection, name, None)
        definition_id = add_definition(connection, folder_id, {"query": "ldap.example"})
        connection.execute(ADD, [folder_id])
        connection.execute(ADD_SYNCED, [folder_id, definition_id])
        ids.append((folder_id, definition_id))
    return ids


def names(connection: Connection) -> list[tuple[int, str]]:
    """Give folder and name of every contact."""
    query = "SELECT folder_id, display_name FROM contactsync.contacts ORDER BY folder_id, display_name"
    return connection.execute(query).fetchall()


def test_a_contact_without_a_folder_is_refused(connection: Connection) -> None:
    """The message names the missing folder."""
    with pytest.raises(errors.ForeignKeyViolation, match=r"There is no folder 4711 for this contact\."):
        connection.execute(ADD, [4711])


def test_a_definition_of_another_folder_is_refused(connection: Connection, folders: list[tuple[int, int]]) -> None:
    """The definition must belong to the folder."""
    (staff, _), (_, sales_definition) = folders
    with pytest.raises(errors.ForeignKeyViolation, match=f"The folder {staff} has no definition {sales_definition}"):
        connection.execute(ADD_SYNCED, [staff, sales_definition])


@pytest.mark.parametrize("column", ["folder_id", "definition_id"])
def test_a_contact_cannot_be_moved_to_a_missing_folder_or_definition(
    connection: Connection, folders: list[tuple[int, int]], column: str
) -> None:
    """An edit is checked like an insert; an edit of other columns is accepted."""
    with pytest.raises(errors.ForeignKeyViolation):
        connection.execute(
            f"UPDATE contactsync.contacts SET {column} = 4711 WHERE display_name = 'Anna'"  # noqa: S608 -- a constant
        )
    connection.execute(f"UPDATE contactsync.contacts SET {column} = {column}, notes = 'x'")  # noqa: S608 -- a constant
    assert len(names(connection)) == 2 * len(folders)


def test_the_right_to_add_contacts_is_enough(database: str, folders: list[tuple[int, int]]) -> None:
    """An application needs no right to lock folders or definitions."""
    with psycopg.connect(database, user=SUPERUSER) as connection:
        # Not committed, so that other tests do not see the role.
        connection.execute("CREATE ROLE adder")
        connection.execute("GRANT USAGE ON SCHEMA contactsync TO adder")
        connection.execute("GRANT INSERT ON contactsync.contacts TO adder")
        connection.execute("GRANT USAGE ON SEQUENCE contactsync.contact_ids TO adder")
        connection.execute("SET LOCAL ROLE adder")
        connection.execute(ADD, [folders[0][0]])
        with pytest.raises(errors.ForeignKeyViolation):
            connection.execute(ADD, [4711])
        connection.rollback()


def test_contacts_are_deleted_with_their_definition_and_folder(
    connection: Connection, folders: list[tuple[int, int]]
) -> None:
    """With a definition its own contacts, with a folder all; the other folder keeps its contacts."""
    (staff, definition), (sales, _) = folders
    connection.execute("DELETE FROM contactsync.sync_definitions WHERE definition_id = %s", [definition])
    assert names(connection) == [(staff, "Mum"), (sales, "Anna"), (sales, "Mum")]
    connection.execute("DELETE FROM contactsync.folders WHERE folder_id = %s", [staff])
    assert names(connection) == [(sales, "Anna"), (sales, "Mum")]
    assert connection.execute("SELECT count(*) FROM contactsync.departed_contacts").fetchone() == (0,)


@pytest.mark.parametrize(("table", "stay"), [("sync_definitions", 2), ("folders", 0)])
@pytest.mark.usefixtures("folders")
def test_contacts_are_deleted_with_a_truncated_table(connection: Connection, table: str, stay: int) -> None:
    """TRUNCATE leaves no contact without a folder or definition."""
    connection.execute(f"TRUNCATE contactsync.{table} CASCADE")
    assert len(names(connection)) == stay


@pytest.mark.parametrize("level", [psycopg.IsolationLevel.REPEATABLE_READ, psycopg.IsolationLevel.SERIALIZABLE])
def test_a_folder_is_deleted_at_read_committed_only(
    connection: Connection, database: str, folders: list[tuple[int, int]], level: psycopg.IsolationLevel
) -> None:
    """Other isolation levels do not see a contact that was added meanwhile."""
    with psycopg.connect(database) as other:
        other.isolation_level = level
        other.execute("SELECT count(*) FROM contactsync.contacts")
        connection.execute(ADD, [folders[0][0]])
        with pytest.raises(errors.FeatureNotSupported, match="READ COMMITTED"):
            other.execute("DELETE FROM contactsync.folders WHERE folder_id = %s", [folders[0][0]])
    assert len(names(connection)) == 5


def test_the_deletion_of_a_folder_waits_for_new_contacts(
    connection: Connection, database: str, folders: list[tuple[int, int]]
) -> None:
    """An uncommitted contact locks its folder, and is deleted with it afterwards."""
    folder_id = folders[0][0]
    with psycopg.connect(database) as adding:
        adding.execute(ADD, [folder_id])
        connection.execute("SET lock_timeout = '100ms'")
        with pytest.raises(errors.LockNotAvailable):
            connection.execute("DELETE FROM contactsync.folders WHERE folder_id = %s", [folder_id])
    connection.execute("DELETE FROM contactsync.folders WHERE folder_id = %s", [folder_id])
    assert {folder for folder, _ in names(connection)} == {folders[1][0]}


def test_ids_do_not_change(connection: Connection, folders: list[tuple[int, int]]) -> None:
    """Contacts do not lose their folder by a change of its id."""
    connection.execute("DELETE FROM contactsync.sync_definitions")
    with pytest.raises(errors.FeatureNotSupported, match="cannot be changed"):
        connection.execute("UPDATE contactsync.folders SET folder_id = DEFAULT")
    assert {folder for folder, _ in names(connection)} == {folder for folder, _ in folders}
