"""deploy/postgresql/personal-folders.sql: who sees and writes what, and that the daemon notices nothing of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

from contactsync.model import Outcome
from contactsync.store.pool import open_pool
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import SyncedFolder, change
from tests.support.resources import database_of
from tests.support.roles import carry_out, connected, role_with

Person = psycopg.Connection[Any]

TABLES = ("folders", "sync_definitions", "sync_status", "sync_runs", "contacts", "contact_photos", "contact_changes")


@pytest.fixture(scope="module")
def roles(postgres_server: str, migrated_template: str, shared_directory: PrivateSlapd) -> Iterator[dict[str, str]]:
    """Fill a folder of anna's, one of ben's and a shared one, close them, and give everybody's conninfo."""
    with database_of(postgres_server, template=migrated_template) as owner:
        carry_out(owner, "roles.sql")
        daemon = role_with(owner, "trial_daemon", "contactsync_daemon")
        anna, ben = (role_with(owner, name, "contactsync_application") for name in ("anna", "ben"))
        reader = role_with(owner, "trial_reader", "contactsync_reader")
        with open_pool(daemon, max_size=3, timeout=5) as pool:
            folders = [SyncedFolder(owner, pool, shared_directory) for _ in range(3)]
            for folder, of in zip(folders, ("anna", "ben", None), strict=True):
                folder.query("UPDATE contactsync.folders SET owner = %s WHERE folder_id = %s", of, folder.folder_id)
                assert folder.run().outcome is Outcome.CHANGED
            for _ in range(2):
                carry_out(owner, "personal-folders.sql")
            change(shared_directory)
            folders[-1].expect_in_step()
        yield {"owner": owner, "daemon": daemon, "anna": anna, "ben": ben, "reader": reader}


@pytest.fixture
def anna(roles: dict[str, str]) -> Iterator[Person]:
    """Connect as anna."""
    with connected(roles["anna"]) as connection:
        yield connection


def _in(table: str, statement: LiteralString) -> sql.Composed:
    return sql.SQL(statement).format(sql.Identifier("contactsync", table))


def folders_in(person: Person, table: str) -> set[str | None]:
    """Give the owners of the folders that somebody sees rows of in a table."""
    seen = {folder_id for (folder_id,) in person.execute(_in(table, "SELECT folder_id FROM {}"))}
    owners = dict(person.execute("SELECT folder_id, owner FROM contactsync.folders").fetchall())
    assert seen <= owners.keys()
    return {owners[folder_id] for folder_id in seen}


@pytest.mark.parametrize("table", [*TABLES, "definition_overview"])
@pytest.mark.parametrize("who", ["anna", "ben"])
def test_people_see_their_own_folders_and_shared_ones(roles: dict[str, str], who: str, table: str) -> None:
    """In every table that they may read, and in the view."""
    with connected(roles[who]) as person:
        assert folders_in(person, table) == {who, None}


def test_a_reader_without_folders_sees_shared_ones(roles: dict[str, str]) -> None:
    """And photos of nobody else."""
    with connected(roles["reader"]) as reader:
        for table in ("folders", "contacts", "contact_photos"):
            assert folders_in(reader, table) == {None}


@pytest.mark.parametrize("who", ["daemon", "owner"])
@pytest.mark.parametrize("table", TABLES)
def test_the_daemon_sees_everything(roles: dict[str, str], who: str, table: str) -> None:
    """Whether it owns the tables or was granted them."""
    with connected(roles[who]) as connection:
        assert folders_in(connection, table) == {"anna", "ben", None}


def test_the_planner_leaves_the_daemons_policies_out(roles: dict[str, str]) -> None:
    """Its statements are carried out as without any policy, which the owner's are; those of people are not."""
    statement = """
        EXPLAIN (COSTS OFF)
        DELETE FROM contactsync.contacts AS c USING contactsync.contact_photos AS p
        WHERE c.folder_id = 1 AND c.contact_id = p.contact_id AND p.folder_id = c.folder_id
    """
    plans = {}
    for who in ("owner", "daemon", "anna"):
        with connected(roles[who]) as connection:
            plans[who] = connection.execute(statement).fetchall()
    assert plans["daemon"] == plans["owner"] != plans["anna"]


def test_nobody_writes_into_folders_of_others(roles: dict[str, str], anna: Person) -> None:
    """Nor into shared ones, nor makes one in somebody else's name, nor gives one away."""
    with connected(roles["owner"]) as owner:
        ids = dict(owner.execute("SELECT owner, folder_id FROM contactsync.folders").fetchall())
    for table in ("contacts", "sync_definitions"):
        for of in ("ben", None):
            assert anna.execute(_in(table, "DELETE FROM {} WHERE folder_id = %s"), [ids[of]]).rowcount == 0
    for of in ("ben", None):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            anna.execute("INSERT INTO contactsync.contacts (folder_id, display_name) VALUES (%s, 'x')", [ids[of]])
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            anna.execute("INSERT INTO contactsync.sync_definitions (folder_id, query) VALUES (%s, 'x')", [ids[of]])
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            anna.execute("INSERT INTO contactsync.folders (name, owner) VALUES ('New', %s)", [of])
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            anna.execute("UPDATE contactsync.folders SET owner = %s WHERE owner = 'anna'", [of])


def test_people_do_as_they_like_in_their_own(anna: Person) -> None:
    """Contacts, definitions, folders."""
    row = anna.execute(
        "INSERT INTO contactsync.folders (name, owner) VALUES ('New', 'anna') RETURNING folder_id"
    ).fetchone()
    assert row
    anna.execute("INSERT INTO contactsync.contacts (folder_id, display_name) VALUES (%s, 'Plumber')", row)
    anna.execute("INSERT INTO contactsync.sync_definitions (folder_id, query) VALUES (%s, 'dc1.example.com')", row)
    assert anna.execute("SELECT contactsync.request_sync('New', 'anna')").fetchone() == (1,)
    assert anna.execute("DELETE FROM contactsync.folders WHERE name = 'New'").rowcount == 1


def test_a_run_may_be_asked_for_of_what_one_sees(roles: dict[str, str], anna: Person) -> None:
    """Of a shared folder as well; those of others do not exist for her."""
    with connected(roles["owner"]) as owner:
        names = dict(owner.execute("SELECT owner, name FROM contactsync.folders WHERE name ~ '^Staff'").fetchall())
    assert anna.execute("SELECT contactsync.request_sync(%s)", [names[None]]).fetchone() == (1,)
    with pytest.raises(psycopg.errors.NoDataFound):
        anna.execute("SELECT contactsync.request_sync(%s, 'ben')", [names["ben"]])


def test_one_login_may_serve_many_people(roles: dict[str, str]) -> None:
    """A server of an application becomes each of them in turn, for one transaction."""
    serving = role_with(roles["owner"], "trial_server", "anna", "ben")
    with psycopg.connect(serving) as connection:
        for who in ("anna", "ben"):
            with connection.transaction():
                connection.execute(f"SET LOCAL ROLE {who}".encode())
                assert folders_in(connection, "contacts") == {who, None}
