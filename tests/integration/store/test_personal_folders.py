"""deploy/postgresql/personal-folders.sql: who can read and write what, without an effect on the daemon."""

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
    """Fill a folder of anna, one of ben and a shared one, run the script, and give the conninfo of each role."""
    with database_of(postgres_server, template=migrated_template) as owner:
        carry_out(owner, "roles.sql")
        daemon = role_with(owner, "trial_daemon", "contactsync_daemon")
        anna, ben = (role_with(owner, name, "contactsync_person") for name in ("anna", "ben"))
        others = {
            name: role_with(owner, f"trial_{name}_of_shared", f"contactsync_{name}")
            for name in ("reader", "application", "operator")
        }
        with open_pool(daemon, max_size=3, timeout=30) as pool:
            folders = [SyncedFolder(owner, pool, shared_directory) for _ in range(3)]
            for folder, of in zip(folders, ("anna", "ben", None), strict=True):
                folder.query("UPDATE contactsync.folders SET owner = %s WHERE folder_id = %s", of, folder.folder_id)
                assert folder.run().outcome is Outcome.CHANGED
            for _ in range(2):
                carry_out(owner, "personal-folders.sql")
            change(shared_directory)
            folders[-1].expect_in_sync()
        yield {"owner": owner, "daemon": daemon, "anna": anna, "ben": ben, **others}


@pytest.fixture
def anna(roles: dict[str, str]) -> Iterator[Person]:
    """Connect as anna."""
    with connected(roles["anna"]) as connection:
        yield connection


def _in(table: str, statement: LiteralString) -> sql.Composed:
    return sql.SQL(statement).format(sql.Identifier("contactsync", table))


def folders_in(person: Person, table: str) -> set[str | None]:
    """Give the owners of the folders whose rows of a table a person sees."""
    seen = {folder_id for (folder_id,) in person.execute(_in(table, "SELECT folder_id FROM {}"))}
    owners = dict(person.execute("SELECT folder_id, owner FROM contactsync.folders").fetchall())
    assert seen <= owners.keys()
    return {owners[folder_id] for folder_id in seen}


@pytest.mark.parametrize("table", [*TABLES, "definition_overview"])
@pytest.mark.parametrize("who", ["anna", "ben"])
def test_people_see_their_own_folders_and_shared_ones(roles: dict[str, str], who: str, table: str) -> None:
    """In all tables and in the view."""
    with connected(roles[who]) as person:
        assert folders_in(person, table) == {who, None}


def test_a_reader_sees_shared_folders_only(roles: dict[str, str]) -> None:
    """With their photos."""
    with connected(roles["reader"]) as reader:
        for table in ("folders", "contacts", "contact_photos"):
            assert folders_in(reader, table) == {None}


@pytest.mark.parametrize("who", ["daemon", "owner", "operator"])
@pytest.mark.parametrize("table", sorted({*TABLES} - {"contact_photos"}))
def test_the_daemon_and_operators_see_everything(roles: dict[str, str], who: str, table: str) -> None:
    """As the owner of the tables, or as a member of a group."""
    with connected(roles[who]) as connection:
        assert folders_in(connection, table) == {"anna", "ben", None}


def test_the_policies_do_not_change_the_plans_of_the_daemon(roles: dict[str, str]) -> None:
    """They equal those of the owner, to whom no policy applies; the plans of people do not."""
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


@pytest.mark.parametrize("of", ["ben", None])
def test_people_do_not_write_other_folders(roles: dict[str, str], anna: Person, of: str | None) -> None:
    """They cannot write shared folders, add folders for others, or give folders away."""
    with connected(roles["owner"]) as owner:
        ids = dict(owner.execute("SELECT owner, folder_id FROM contactsync.folders").fetchall())
    for table in ("contacts", "sync_definitions"):
        assert anna.execute(_in(table, "DELETE FROM {} WHERE folder_id = %s"), [ids[of]]).rowcount == 0
    statements: list[tuple[LiteralString, Any]] = [
        ("INSERT INTO contactsync.contacts (folder_id, display_name) VALUES (%s, 'x')", ids[of]),
        ("INSERT INTO contactsync.sync_definitions (folder_id, query) VALUES (%s, 'x')", ids[of]),
        ("INSERT INTO contactsync.folders (name, owner) VALUES ('New', %s)", of),
        ("UPDATE contactsync.folders SET owner = %s WHERE owner = 'anna'", of),
    ]
    for statement, value in statements:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            anna.execute(statement, [value])


def test_people_write_their_own_folders(anna: Person) -> None:
    """Contacts, definitions and the folders themselves."""
    row = anna.execute(
        "INSERT INTO contactsync.folders (name, owner) VALUES ('New', 'anna') RETURNING folder_id"
    ).fetchone()
    assert row
    anna.execute("INSERT INTO contactsync.contacts (folder_id, display_name) VALUES (%s, 'Plumber')", row)
    anna.execute("INSERT INTO contactsync.sync_definitions (folder_id, query) VALUES (%s, 'dc1.example.com')", row)
    assert anna.execute("SELECT contactsync.request_sync('New', 'anna') > 0").fetchone() == (True,)
    assert anna.execute("DELETE FROM contactsync.folders WHERE name = 'New'").rowcount == 1


def test_people_request_runs_of_visible_folders(roles: dict[str, str], anna: Person) -> None:
    """Of shared folders, too; other personal folders do not exist for them."""
    with connected(roles["owner"]) as owner:
        names = dict(owner.execute("SELECT owner, name FROM contactsync.folders WHERE name ~ '^Staff'").fetchall())
    assert anna.execute("SELECT contactsync.request_sync(%s) > 0", [names[None]]).fetchone() == (True,)
    with pytest.raises(psycopg.errors.NoDataFound):
        anna.execute("SELECT contactsync.request_sync(%s, 'ben')", [names["ben"]])


def test_one_login_role_serves_many_people(roles: dict[str, str]) -> None:
    """A server sets the role of each person for one transaction."""
    server = role_with(roles["owner"], "trial_server", "anna", "ben")
    with psycopg.connect(server) as connection:
        for who in ("anna", "ben"):
            with connection.transaction():
                connection.execute(f"SET LOCAL ROLE {who}".encode())
                assert folders_in(connection, "contacts") == {who, None}


SHARED = sql.SQL("(SELECT min(folder_id) FROM contactsync.folders WHERE owner IS NULL)")
DEEDS: dict[str, LiteralString] = {
    "read shared": "SELECT FROM contactsync.contacts WHERE folder_id = {shared}",
    "add to shared": "INSERT INTO contactsync.contacts (folder_id, display_name) VALUES ({shared}, 'x')",
    "edit shared": "UPDATE contactsync.contacts SET notes = 'x' WHERE folder_id = {shared}",
    "delete from shared": "DELETE FROM contactsync.contacts WHERE folder_id = {shared}",
    "add shared": "INSERT INTO contactsync.folders (name) VALUES ('Another')",
    "rename shared": "UPDATE contactsync.folders SET name = 'Renamed' WHERE folder_id = {shared}",
    "define shared": "INSERT INTO contactsync.sync_definitions (folder_id, name, query)"
    " VALUES ({shared}, 'two', 'dc2')",
    "edit definition": "UPDATE contactsync.sync_definitions SET filter = '(a=b)' WHERE folder_id = {shared}",
    "pause": "UPDATE contactsync.sync_definitions SET enabled = false WHERE folder_id = {shared}",
    "request": "SELECT contactsync.request_sync(name) FROM contactsync.folders WHERE folder_id = {shared}",
    "overview": "SELECT FROM contactsync.definition_overview WHERE owner IS NULL",
    "runs": "SELECT FROM contactsync.sync_runs WHERE folder_id = {shared}",
    "read ben": "SELECT FROM contactsync.folders WHERE owner = 'ben'",
    "pause ben": "UPDATE contactsync.sync_definitions AS d SET enabled = false FROM contactsync.folders AS f"
    " WHERE f.folder_id = d.folder_id AND f.owner = 'ben'",
    "add for ben": "INSERT INTO contactsync.folders (name, owner) VALUES ('Gift', 'ben')",
    "held": "SELECT FROM contactsync.held_plans",
    "decide": "UPDATE contactsync.held_plans SET decision = 'approved', decided_at = now(), decided_by = 'x'",
    "secret": "SELECT password_sealed FROM contactsync.sync_definitions",
    "photos": "SELECT FROM contactsync.contact_photos WHERE folder_id = {shared}",
}
RIGHTS = {
    "reader": {"read shared", "photos"},
    "anna": {"read shared", "request", "overview", "runs", "photos"},
    "application": {
        "read shared", "add to shared", "edit shared", "delete from shared", "add shared", "rename shared",
        "define shared", "edit definition", "pause", "request", "overview", "runs", "photos",
    },
    "operator": {"read shared", "pause", "request", "overview", "runs", "read ben", "pause ben", "held", "decide"},
}  # fmt: skip
"""What each role may do with shared folders and with those of another person, after both scripts."""


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("who", RIGHTS)
def test_each_role_may_do_what_the_page_says_and_nothing_else(roles: dict[str, str], who: str, deed: str) -> None:
    """A refusal is an error, or affects no row of a folder that the role cannot write."""
    statement = sql.SQL(DEEDS[deed]).format(shared=SHARED)
    with connected(roles[who]) as connection, connection.transaction(force_rollback=True):
        if deed in RIGHTS[who]:
            done = connection.execute(statement)
            assert deed in {"held", "decide"} or done.rowcount > 0
            return
        try:
            done = connection.execute(statement)
        except psycopg.errors.InsufficientPrivilege:
            return
        assert done.rowcount == 0


def test_the_scripts_can_be_repeated_without_notices(roles: dict[str, str]) -> None:
    """In any order, after both were executed."""
    for script in ("roles.sql", "personal-folders.sql", "roles.sql", "personal-folders.sql"):
        assert carry_out(roles["owner"], script) == []
