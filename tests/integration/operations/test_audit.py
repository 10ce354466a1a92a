"""Who did what is recorded in the transaction of the deed, for the command line, the API and plain SQL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from contactsync.bootstrap import bind_passwords
from contactsync.credentials.bind import BindPasswords
from contactsync.model import Actor, Definition
from contactsync.operations import definitions
from contactsync.operations.audit import Deed, list_audit
from contactsync.operations.names import find_by_id
from contactsync.operations.undo import undo
from contactsync.settings.loader import load_settings
from contactsync.store.record.audit import forget_audit
from tests.support.folder import SyncedFolder
from tests.support.roles import connected, role_with

ANNA = Actor("unix", "anna", "cli")
SECRET = "swordfish-4711"


@pytest.fixture
def connection(shared_database: str) -> Any:
    """Connect as an application would."""
    with psycopg.connect(shared_database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def passwords(tmp_path: Path) -> BindPasswords:
    """Seal passwords with a key of the test."""
    settings = load_settings(None, {"CONTACTSYNC_STATE__DIRECTORY": str(tmp_path)})
    return bind_passwords(settings)


@pytest.fixture
def added(connection: psycopg.Connection[Any], passwords: BindPasswords, request: pytest.FixtureRequest) -> Definition:
    """Add a definition with a password."""
    new = Definition(
        folder_id=0,
        definition_id=0,
        folder=f"Audit {request.node.name[:60]}",
        query="ldaps://dc1.example.com",
        user="cn=reader",
        schedule="manual",
        enabled=False,
    )
    return definitions.add(connection, passwords, new, SECRET, ANNA)


def deeds(connection: psycopg.Connection[Any], definition: Definition, **options: Any) -> list[Deed]:
    """The deeds about a definition, oldest first."""
    return list_audit(connection, [definition.definition_id], limit=100, **options)[::-1]


def test_an_added_definition_and_its_password_are_recorded_without_the_password(
    connection: psycopg.Connection[Any], added: Definition
) -> None:
    """The row of an addition has all fields, and the password is only said to be set."""
    first, second = deeds(connection, added)
    assert (first.action, first.actor_kind, first.actor, first.via) == ("definition.added", "unix", "anna", "cli")
    assert first.label == added.label
    assert first.after is not None
    assert (first.after["query"], first.after["bind_user"]) == ("ldaps://dc1.example.com", "cn=reader")
    assert (second.action, second.before, second.after) == ("password.set", None, None)
    row = connection.execute(
        "SELECT string_agg(a::text, ' ') FROM contactsync.audit AS a WHERE definition_id = %s", [added.definition_id]
    ).fetchone()
    assert row
    assert SECRET not in row[0]
    assert "sealed" not in row[0]


def test_an_edit_records_the_changed_fields_before_and_after(
    connection: psycopg.Connection[Any], passwords: BindPasswords, added: Definition
) -> None:
    """The history of a definition's edits says who changed the filter, when, and from what."""
    stored = find_by_id(connection, added.definition_id)
    files = {"tls_client_cert": "/etc/client.crt", "tls_client_key": "/etc/client.key"}
    edited = definitions.with_changes(stored, {"filter": "(mail=*)", **files})
    definitions.edit(connection, passwords, stored, edited, None, Actor("unix", "bo", "api"))
    definitions.set_enabled(connection, [stored], ANNA, enabled=True)
    edit, resumed = deeds(connection, added, edits=True)[-2:]
    assert (edit.action, edit.actor, edit.via) == ("definition.edited", "bo", "api")
    assert edit.before == {"filter": None, "tls_client_cert": None, "tls_client_key": None}
    assert edit.after == {"filter": "(mail=*)", "tls_client_cert": "/etc/client.crt", "tls_client_key": "set"}
    assert (resumed.action, resumed.actor) == ("definition.resumed", "anna")


def test_an_edit_by_sql_has_the_database_role_as_its_actor(
    connection: psycopg.Connection[Any], added: Definition
) -> None:
    """No front end is needed for a record; also a request and a removal of the whole folder are recorded."""
    connection.execute(
        "UPDATE contactsync.sync_definitions SET filter = '(a=b)', password_sealed = NULL, enabled = true"
        " WHERE definition_id = %s",
        [added.definition_id],
    )
    connection.execute("SELECT contactsync.request_sync(%s)", [added.folder])
    connection.execute("DELETE FROM contactsync.folders WHERE folder_id = %s", [added.folder_id])
    later = deeds(connection, added)[2:]
    actions = ["definition.edited", "definition.resumed", "password.cleared", "sync.requested", "definition.removed"]
    assert [deed.action for deed in later] == actions
    role = connection.info.user
    assert {(deed.actor_kind, deed.actor, deed.via, deed.label) for deed in later} == {
        ("sql", role, "sql", added.label)
    }


def test_an_application_cannot_act_under_another_name(
    connection: psycopg.Connection[Any], shared_database: str, added: Definition
) -> None:
    """The setting that names the actor counts for roles only that may write the audit."""
    role = role_with(shared_database, "audited_application")
    connection.execute("GRANT USAGE ON SCHEMA contactsync TO audited_application")
    connection.execute(
        "GRANT SELECT (definition_id), UPDATE (filter) ON contactsync.sync_definitions TO audited_application"
    )
    with connected(role) as application:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            application.execute("SELECT contactsync.write_audit('x', 1, 1, 'x', 1, NULL, NULL)")
        with application.transaction():
            application.execute(
                """SELECT set_config('contactsync.actor', '{"kind": "unix", "name": "root", "via": "cli"}', true)"""
            )
            application.execute(
                "UPDATE contactsync.sync_definitions SET filter = '(x=y)' WHERE definition_id = %s",
                [added.definition_id],
            )
    last = deeds(connection, added)[-1]
    assert (last.action, last.actor_kind, last.actor) == ("definition.edited", "sql", "audited_application")


def test_a_refused_deed_leaves_no_record(
    connection: psycopg.Connection[Any], passwords: BindPasswords, added: Definition
) -> None:
    """The record is part of the deed's transaction."""
    connection.execute(
        "ALTER TABLE contactsync.sync_definitions ADD CONSTRAINT refused CHECK (filter <> '(cn=never)') NOT VALID"
    )
    try:
        stored = find_by_id(connection, added.definition_id)
        with pytest.raises(Exception, match="refused"):
            definitions.edit(
                connection, passwords, stored, definitions.with_changes(stored, {"filter": "(cn=never)"}), None, ANNA
            )
    finally:
        connection.execute("ALTER TABLE contactsync.sync_definitions DROP CONSTRAINT refused")
    assert len(deeds(connection, added)) == 2


def test_an_undo_is_recorded_with_the_pause_that_it_makes(folder: SyncedFolder) -> None:
    """One actor did both."""
    run_id = folder.run().run_id
    undone = undo(folder.pool, run_id, ANNA)
    with folder.connection() as connection:
        paused, undo_row = list_audit(connection, [undone.run.definition_id], limit=2)[::-1]
    assert (paused.action, paused.actor) == ("definition.paused", "anna")
    assert (undo_row.action, undo_row.actor, undo_row.run_id) == ("run.undone", "anna", run_id)
    assert undo_row.after == {"undone_by": undone.run.run_id}


def test_old_deeds_are_forgotten(connection: psycopg.Connection[Any], added: Definition) -> None:
    """The setting `audit_keep_days` is their age."""
    connection.execute(
        "UPDATE contactsync.audit SET at = now() - interval '11 days' WHERE definition_id = %s", [added.definition_id]
    )
    assert forget_audit(connection, keep_days=12) == 0
    assert forget_audit(connection, keep_days=0) == 0
    assert forget_audit(connection, keep_days=10) == 2
    assert deeds(connection, added) == []
