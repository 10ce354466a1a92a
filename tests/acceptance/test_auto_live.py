"""Folders of mode auto follow a real OpenLDAP live if it reports enough, else they run by their schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import ldap3
import psycopg
import pytest

from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.acceptance.test_lockout import refused
from tests.support.definitions import define
from tests.support.processes import CommandLine, DaemonProcess
from tests.support.waiting import wait_until

Person = psycopg.Connection[Any]
Until = Callable[[Callable[[], Any], str], Any]
MakeDaemon = Callable[..., DaemonProcess]

PEOPLE = 12
FIRST, LIVE = ("catch-up", "changed"), ("live", "changed")


@pytest.fixture
def ldif() -> str:
    """A few people."""
    return people_ldif(PEOPLE)


@pytest.fixture
def reporting(make_slapd: Callable[..., PrivateSlapd], ldif: str) -> PrivateSlapd:
    """Start a directory that reports changes and locks an account after three refused passwords."""
    return make_slapd(ldif=ldif, session_log=100, lock_after=3)


@pytest.fixture
def admin(reporting: PrivateSlapd) -> Iterator[ldap3.Connection]:
    """Change it."""
    connection = reporting.connection()
    yield connection
    connection.unbind()


@pytest.fixture
def daemon(database: str, make_daemon: MakeDaemon, reporting: PrivateSlapd) -> DaemonProcess:
    """Make a daemon that lets two folders of each server be live in mode auto."""
    passwords = {"READER": reporting.reader_password, "OTHER": reporting.limited_password}
    return make_daemon(database, **passwords, CONTACTSYNC_DIRECTORY__AUTO_LIVE_FOLDERS="2")


def runs(person: Person, definition_id: int) -> list[tuple[str, str | None]]:
    """Trigger and outcome of a definition's runs, oldest first."""
    statement = "SELECT trigger, outcome FROM contactsync.sync_runs WHERE definition_id = %s ORDER BY run_id"
    return person.execute(statement, [definition_id]).fetchall()


def live(daemon: DaemonProcess, cli: CommandLine) -> dict[str, Any]:
    """The numbers of live folders, from the command line."""
    cli.environ["CONTACTSYNC_STATE__DIRECTORY"] = daemon.state
    return dict(cli.json("status")["daemon"]["live"])


def listened(daemon: DaemonProcess) -> list[str]:
    """The folders in all `live.listening` events."""
    return [folder for event in daemon.events("live.listening") for folder in event["folders"]]


def change(admin: ldap3.Connection, reporting: PrivateSlapd, text: str) -> None:
    """Give all people a description."""
    admin.search(reporting.suffix, "(objectClass=inetOrgPerson)", attributes=["1.1"])
    for entry in list(admin.response):
        admin.modify(entry["dn"], {"description": [(ldap3.MODIFY_REPLACE, [text])]})


def has(person: Person, definition_id: int, text: str) -> bool:
    """Whether all of a definition's contacts have a description."""
    statement = "SELECT count(*) FROM contactsync.contacts WHERE definition_id = %s AND notes = %s"
    return person.execute(statement, [definition_id, text]).fetchone() == (PEOPLE,)


def test_the_oldest_folders_are_live(
    daemon: DaemonProcess,
    person: Person,
    reporting: PrivateSlapd,
    admin: ldap3.Connection,
    cli: CommandLine,
) -> None:
    """They run once until there is a change, also over a restart. The third folder's state says why it is not live."""
    first, second, third = (define(person, reporting, name) for name in ("First", "Second", "Third"))
    daemon.start()
    wait_until(lambda: sorted(listened(daemon)) == ["First", "Second"], "two folders to be listened for")
    wait_until(lambda: runs(person, third) == [FIRST], "the third one's run")
    daemon.stop()
    daemon.start()
    wait_until(
        lambda: sorted(listened(daemon)) == ["First", "First", "Second", "Second"], "them to be listened for again"
    )
    assert [runs(person, key) for key in (first, second, third)] == [[FIRST]] * 3
    assert live(daemon, cli) == {"listening": 2, "not_listening": 0, "behind_seconds": 0, "auto_scheduled": 1}
    assert "2 folders live; 1 folder polls (no live updates)" in cli("status").stdout.replace("\n", " ")
    change(admin, reporting, "new")
    wait_until(lambda: has(person, first, "new") and has(person, second, "new"), "the changes")
    assert {trigger for trigger, _ in runs(person, first)[1:]} == {"live"}
    assert runs(person, third) == [FIRST]


def test_a_paused_folder_makes_room(daemon: DaemonProcess, person: Person, reporting: PrivateSlapd) -> None:
    """The next folder is listened for after its next run."""
    first, *_ = (define(person, reporting, name) for name in ("First", "Second", "Third"))
    daemon.start()
    wait_until(lambda: sorted(listened(daemon)) == ["First", "Second"], "two folders to be listened for")
    person.execute("UPDATE contactsync.sync_definitions SET enabled = false WHERE definition_id = %s", [first])
    person.execute("SELECT contactsync.request_sync('Third')")
    wait_until(lambda: listened(daemon)[2:] == ["Third"], "the third one to be listened for")


def test_a_directory_that_reports_no_changes(
    database: str,
    make_daemon: MakeDaemon,
    make_slapd: Callable[..., PrivateSlapd],
    ldif: str,
    person: Person,
    cli: CommandLine,
) -> None:
    """No connection stays open, nothing is logged, and `check` says why."""
    silent = make_slapd(ldif=ldif)
    definition = define(person, silent)
    daemon = make_daemon(database, READER=silent.reader_password)
    daemon.start()
    wait_until(lambda: runs(person, definition) == [FIRST], "its run")
    wait_until(lambda: live(daemon, cli)["auto_scheduled"] == 1, "the verdict")
    assert not [line for line in daemon.lines() if line["event"].startswith("live.")]
    assert not [line for line in daemon.lines() if line["level"] not in {"debug", "info"}]
    checked = cli("check", "Staff", READER=silent.reader_password)
    assert "The folder runs by its schedule, because the server does not report changes." in " ".join(
        checked.stdout.split()
    )


def test_a_held_run_ends_listening_until_the_decision(
    daemon: DaemonProcess,
    person: Person,
    reporting: PrivateSlapd,
    admin: ldap3.Connection,
    cli: CommandLine,
) -> None:
    """It is not repeated to be held again; after the approval the folder is live again."""
    definition = define(person, reporting)
    daemon.start()
    wait_until(lambda: listened(daemon) == ["Staff"], "it to be listened for")
    admin.search(reporting.suffix, "(objectClass=inetOrgPerson)", attributes=["1.1"])
    dns = [entry["dn"] for entry in admin.response]
    for dn in dns[1:]:
        admin.delete(dn)
    wait_until(lambda: ("live", "held") in runs(person, definition), "a run to be held")
    wait_until(lambda: live(daemon, cli)["auto_scheduled"] == 1, "it to go by its schedule")
    before = len(runs(person, definition))
    for text in ("a", "b"):
        admin.modify(dns[0], {"description": [(ldap3.MODIFY_REPLACE, [text])]})
    held = person.execute("SELECT max(run_id) FROM contactsync.sync_runs WHERE outcome = 'held'").fetchone()
    approved = cli("approve", *map(str, held or ()), "--yes")
    assert approved.returncode == 0, approved.stderr
    wait_until(lambda: listened(daemon) == ["Staff", "Staff"], "it to be listened for again")
    assert [outcome for _, outcome in runs(person, definition)[before:]] == ["changed"]
    admin.modify(dns[0], {"description": [(ldap3.MODIFY_REPLACE, ["c"])]})
    wait_until(lambda: LIVE in runs(person, definition)[before:], "the change")


@pytest.mark.parametrize("columns", [{}, {"mode": "live", "schedule": "manual"}], ids=["auto", "live"])
def test_a_password_that_is_refused_is_offered_once(
    daemon: DaemonProcess,
    person: Person,
    reporting: PrivateSlapd,
    admin: ldap3.Connection,
    columns: dict[str, str],
) -> None:
    """Listeners count too, for two folders: the account is not locked, and the folders' states say why."""
    definitions = [define(person, reporting, name, **columns) for name in ("First", "Second")]
    daemon.start()
    wait_until(lambda: sorted(listened(daemon)) == ["First", "Second"], "them to be listened for")
    admin.modify(reporting.reader_dn, {"userPassword": [(ldap3.MODIFY_REPLACE, ["another"])]})
    reporting.stop()
    reporting.start()
    states = "SELECT state FROM contactsync.definition_overview WHERE definition_id = ANY(%s)"
    wait_until(lambda: person.execute(states, [definitions]).fetchall() == [("locked",)] * 2, "them to be locked")
    witness = define(
        person, reporting, "Witness", bind_user=reporting.limited_dn, password_ref="env:OTHER", schedule="every 1s"
    )
    wait_until(lambda: len(runs(person, witness)) > 4, "some time to pass")
    assert refused(reporting) == 1
