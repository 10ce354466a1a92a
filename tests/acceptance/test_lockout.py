"""Refused passwords do not lock accounts: a real slapd that locks after three of them, and the real daemon."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import closing
from typing import Any

import ldap3
import pytest

from contactsync.testing.slapd import PrivateSlapd
from tests.support import definitions
from tests.support.definitions import Person, runs, state
from tests.support.proxy import Proxy
from tests.support.search_meter import SearchMeter
from tests.support.waiting import wait_until

LOCK_AFTER = 3


@pytest.fixture
def directory(make_slapd: Callable[..., PrivateSlapd]) -> PrivateSlapd:
    """Start a slapd that locks an account after three refused passwords."""
    return make_slapd(lock_after=LOCK_AFTER)


@pytest.fixture
def daemon(database: str, make_daemon: Callable[..., Any], directory: PrivateSlapd) -> Any:
    """Start a daemon with a wrong password of the reader, the right one, and another user's."""
    passwords = {"WRONG": "not it", "RIGHT": directory.reader_password, "OTHER": directory.limited_password}
    daemon = make_daemon(database, **passwords)
    daemon.start()
    return daemon


def define(person: Person, directory: PrivateSlapd, name: str = "Staff", **columns: str) -> int:
    """Add a folder with the wrong password and a schedule of one second; returns the definition's id."""
    values = {"query": f"{directory.url}/{directory.people_base}", "password_ref": "env:WRONG", "schedule": "every 1s"}
    return definitions.define(person, directory, name, **values | columns)


def set_password(person: Person, definition_id: int, reference: str) -> None:
    """Edit a definition's password."""
    person.execute(
        "UPDATE contactsync.sync_definitions SET password_ref = %s WHERE definition_id = %s", [reference, definition_id]
    )


def refused(directory: PrivateSlapd) -> int:
    """The number of refused passwords that slapd has stored for the reader."""
    connection = directory.connection()
    connection.search(directory.reader_dn, "(objectClass=*)", ldap3.BASE, attributes=["pwdFailureTime"])
    found = connection.entries[0].entry_attributes_as_dict["pwdFailureTime"]
    connection.unbind()
    return len(found)


def lock(person: Person, directory: PrivateSlapd, **columns: str) -> int:
    """Add a definition with the wrong password and wait until it is locked."""
    definition_id = define(person, directory, **columns)
    wait_until(lambda: (state(person, definition_id) or ("",))[0] == "locked", "the definition to be locked")
    return definition_id


def wait_for_other_runs(person: Person, directory: PrivateSlapd) -> None:
    """Wait until another definition of the same directory has run twice by its schedule of one second."""
    witness = define(person, directory, "Witness", bind_user=directory.limited_dn, password_ref="env:OTHER")
    wait_until(lambda: runs(person, witness).count(("schedule", "unchanged")) >= 2, "another definition's runs")


def test_a_refused_password_is_tried_once_and_reported(
    daemon: Any, person: Person, directory: PrivateSlapd, cli: Any
) -> None:
    """By the table, the log and the command line."""
    definition_id = lock(person, directory)
    wait_for_other_runs(person, directory)
    assert len(runs(person, definition_id)) == refused(directory) == 1
    due = "SELECT next_run_at FROM contactsync.sync_status WHERE definition_id = %s"
    wait_until(lambda: person.execute(due, [definition_id]).fetchone() == (None,), "no next run")
    (event,) = daemon.wait_for_event("definition.locked")
    assert (event["level"], event["folder"], event["definition"]) == ("error", "Staff", definition_id)
    assert ("locked", event["reason"]) == state(person, definition_id)
    assert directory.reader_dn in event["reason"]
    listed = cli("folders", "list").stdout
    assert "Staff is locked: " in listed
    assert directory.reader_dn in listed


def test_a_locked_definition_stays_locked_over_a_restart(daemon: Any, person: Person, directory: PrivateSlapd) -> None:
    """The daemon does not offer the password, and logs the lock again."""
    definition_id = lock(person, directory)
    daemon.stop()
    daemon.start()
    wait_for_other_runs(person, directory)
    assert len(runs(person, definition_id)) == refused(directory) == 1
    wait_until(lambda: len(daemon.events("definition.locked")) == 2, "the lock in the log, again")


def test_an_edit_unlocks_and_is_tried_once(daemon: Any, person: Person, directory: PrivateSlapd) -> None:
    """Another wrong password costs one attempt; the right one starts the schedule again."""
    definition_id = lock(person, directory)
    wait_until(lambda: daemon.events("definition.locked"), "the daemon to follow the lock")
    person.execute("UPDATE contactsync.sync_definitions SET filter = '(uid=*)'")
    wait_until(lambda: len(runs(person, definition_id)) == 2, "the attempt after the edit")
    wait_until(lambda: (state(person, definition_id) or ("",))[0] == "locked", "the definition to be locked again")
    assert len(runs(person, definition_id)) == refused(directory) == 2
    set_password(person, definition_id, "env:RIGHT")
    wait_until(lambda: ("schedule", "unchanged") in runs(person, definition_id), "its schedule")
    assert state(person, definition_id) == ("ok", None)
    assert daemon.wait_for_event("definition.unlocked", definition=definition_id)


def test_an_edit_without_a_daemon_unlocks(daemon: Any, person: Person, directory: PrivateSlapd) -> None:
    """The definition runs when the daemon starts."""
    definition_id = lock(person, directory)
    daemon.stop()
    set_password(person, definition_id, "env:RIGHT")
    assert (state(person, definition_id) or ("",))[0] == "failing"
    daemon.start()
    wait_until(lambda: ("schedule", "unchanged") in runs(person, definition_id), "its schedule")


def test_a_run_by_hand_tries_once_and_unlocks_on_success(daemon: Any, person: Person, directory: PrivateSlapd) -> None:
    """A request by SQL is an attempt; after the directory has accepted the password, the schedule goes on."""
    definition_id = lock(person, directory)
    person.execute("SELECT contactsync.request_sync('Staff')")
    wait_until(lambda: runs(person, definition_id)[1:] == [("request", "failed")], "the attempt by hand")
    assert len(runs(person, definition_id)) == refused(directory) == 2
    connection = directory.connection()
    connection.modify(directory.reader_dn, {"userPassword": [(ldap3.MODIFY_REPLACE, ["not it"])]})
    connection.unbind()
    person.execute("SELECT contactsync.request_sync('Staff')")
    wait_until(lambda: ("schedule", "unchanged") in runs(person, definition_id), "its schedule")
    assert state(person, definition_id) == ("ok", None)
    assert len(daemon.events("definition.locked")) == 1


def test_a_list_of_servers_is_no_list_of_attempts(daemon: Any, person: Person, directory: PrivateSlapd) -> None:
    """A password that one server refused is not offered to the next."""
    assert daemon
    lock(person, directory, query=f"127.0.0.1:{directory.port} localhost:{directory.port}")
    assert refused(directory) == 1


@pytest.fixture
def shared(
    database: str, make_daemon: Callable[..., Any], person: Person, directory: PrivateSlapd
) -> tuple[Any, list[int]]:
    """Start a daemon with more folders of one user than the account survives refusals; all are locked."""
    daemon = make_daemon(database, WRONG="not it", OTHER=directory.limited_password)
    ids = [define(person, directory, f"Folder {number}") for number in range(LOCK_AFTER + 2)]
    daemon.start()
    wait_until(lambda: all((state(person, key) or ("",))[0] == "locked" for key in ids), "all of them to be locked")
    return daemon, ids


def test_runs_that_begin_at_once_are_one_attempt(
    database: str, make_daemon: Callable[..., Any], person: Person, directory: PrivateSlapd
) -> None:
    """Also while the directory takes its time to refuse the first one's password."""
    with closing(Proxy(directory.port)) as proxy:
        meter = SearchMeter(proxy, pace=0.3)
        query = f"ldap://127.0.0.1:{proxy.port}/{directory.people_base}"
        ids = [define(person, directory, f"Folder {number}", query=query) for number in range(8)]
        make_daemon(database, WRONG="not it").start()
        wait_until(lambda: all((state(person, key) or ("",))[0] == "locked" for key in ids), "all of them to be locked")
    assert meter.refused == refused(directory) == 1


def test_many_folders_of_one_user_are_one_attempt(
    shared: tuple[Any, list[int]], person: Person, directory: PrivateSlapd
) -> None:
    """The first folder's attempt counts for all of them."""
    _, ids = shared
    assert refused(directory) == 1
    assert [runs(person, key) for key in ids] == [[("catch-up", "failed")]] * len(ids)
    assert sum("was not tried" in str(state(person, key)) for key in ids) == len(ids) - 1


@pytest.mark.parametrize("way", ["signal", "notification", "command"])
def test_a_run_of_all_folders_is_no_attempt(
    shared: tuple[Any, list[int]], person: Person, directory: PrivateSlapd, cli: Any, way: str
) -> None:
    """A refused password is not offered again, also after a restart; the command says why."""
    daemon, ids = shared
    daemon.stop()
    other = define(
        person, directory, "Other", bind_user=directory.limited_dn, password_ref="env:OTHER", schedule="manual"
    )
    daemon.start()
    if way == "signal":
        daemon.send(signal.SIGUSR1)
    elif way == "notification":
        person.execute("SELECT pg_notify('contactsync_requests', '')")
    else:
        cli.environ["CONTACTSYNC_STATE__DIRECTORY"] = daemon.state
        said = cli("sync", "--all", "--json")
        assert said.returncode != 0
        assert said.stdout.count("is locked") == len(ids)
        # A request that stayed open would become one of a user for each folder.
        answered = person.execute("SELECT state, count(*) FROM contactsync.sync_requests GROUP BY 1 ORDER BY 1")
        assert answered.fetchall() == [("done", 1), ("withdrawn", len(ids))]
    wait_until(lambda: runs(person, other) != [], "the other user's run")
    wait_for_other_runs(person, directory)
    assert refused(directory) == 1
    assert [runs(person, key) for key in ids] == [[("catch-up", "failed")]] * len(ids)


def test_a_request_for_one_folder_is_one_attempt(
    shared: tuple[Any, list[int]], person: Person, directory: PrivateSlapd
) -> None:
    """The other folders of the user stay locked."""
    _, ids = shared
    person.execute("SELECT contactsync.request_sync('Folder 1')")
    wait_until(lambda: runs(person, ids[1])[1:] == [("request", "failed")], "the attempt")
    assert refused(directory) == 2
    assert all(len(runs(person, key)) == 1 for key in ids if key != ids[1])


def test_an_edit_of_many_folders_is_one_attempt(
    shared: tuple[Any, list[int]], person: Person, directory: PrivateSlapd
) -> None:
    """One statement edits all folders of the user; the first one's attempt counts for the others."""
    _, ids = shared
    person.execute("UPDATE contactsync.sync_definitions SET filter = '(uid=*)'")
    wait_until(lambda: all(("edit", "failed") in runs(person, key) for key in ids), "the runs after the edit")
    assert refused(directory) == 2
