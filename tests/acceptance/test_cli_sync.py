"""`contactsync sync` without a daemon: its exit codes, what it prints, and what it leaves behind."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest

from contactsync.store.definitions import add_definition, add_folder
from contactsync.testing.slapd import PrivateSlapd
from tests.support.definitions import PEOPLE, Person, count
from tests.support.peers import silent_server
from tests.support.processes import CommandLine, assert_refused
from tests.support.waiting import PATIENCE, wait_until


@pytest.mark.usefixtures("staff")
def test_a_refused_password_ends_with_1_until_it_is_set_again(cli: CommandLine, directory: PrivateSlapd) -> None:
    """A run with a wrong password fails with a sentence and locks the definition; a new password unlocks it."""
    done = cli("sync", "Staff", READER="wrong-horse")
    assert done.returncode == 1
    assert "Staff: failed." in done.stdout
    assert "wrong-horse" not in done.stdout + done.stderr
    assert "Staff is locked: " in cli.ok("folders", "list")
    edit = ("folders", "edit", "Staff", "--password-stdin")
    assert "sealed anew" in cli.ok(*edit, typed=f"{directory.reader_password}\n")
    assert cli.ok("sync", "Staff", "--quiet") == ""


@pytest.mark.usefixtures("staff")
def test_a_held_run_ends_with_3_and_changes_nothing(cli: CommandLine, person: Person) -> None:
    """A run that would delete contacts after an edited filter is held; the list shows why, and what to do."""
    cli.ok("sync", "Staff")
    person.execute("UPDATE contactsync.sync_definitions SET filter = '(sn=nobody at all)'")
    done = cli("sync", "Staff", "--json")
    [run] = json.loads(done.stdout)["runs"]
    assert (done.returncode, run["outcome"], count(person)) == (3, "held", PEOPLE)
    assert "40 of 40 contacts would be deleted" in run["held_reason"]
    assert cli.json("folders", "list")[0]["state"] == "held"
    listed = cli.ok("folders", "list")
    assert f"Staff is held: {run['held_reason']}" in listed
    assert f"contactsync runs show {run['run_id']}" in listed


@pytest.mark.usefixtures("staff")
def test_a_definition_that_is_not_valid_ends_with_64_and_is_listed_with_the_reason(
    cli: CommandLine, person: Person
) -> None:
    """A definition broken by SQL ends its run as a bad definition."""
    person.execute("UPDATE contactsync.sync_definitions SET schedule = 'whenever'")
    assert cli("sync", "Staff").returncode == 64
    assert 'Staff is invalid: The schedule "whenever" is not valid' in cli.ok("folders", "list")


@pytest.mark.usefixtures("staff")
def test_a_folders_name_means_all_of_its_definitions(cli: CommandLine) -> None:
    """Sync, pause and resume take a folder's definitions together; the worst outcome decides the exit code."""
    cli.ok("folders", "add", "Staff", "--definition", "branch", "--query", "ldap://127.0.0.1:1")
    done = cli("sync", "Staff", "--json", CONTACTSYNC_DIRECTORY__RETRY_ATTEMPTS="1")
    outcomes = [(run["label"], run["outcome"]) for run in json.loads(done.stdout)["runs"]]
    assert (done.returncode, outcomes) == (1, [("Staff", "changed"), ("Staff:branch", "failed")])
    cli.ok("folders", "pause", "Staff")
    assert [row["state"] for row in cli.json("folders", "list")] == ["paused", "paused"]
    cli.ok("folders", "resume", "Staff:branch")
    assert [row["state"] for row in cli.json("folders", "list")] == ["paused", "failing"]


@pytest.mark.usefixtures("staff")
def test_a_definition_that_another_process_runs_is_refused(cli: CommandLine, person: Person) -> None:
    """While another process has the lock of a definition, `sync` ends with 1."""
    person.execute(
        "SELECT pg_advisory_lock(hashtextextended('contactsync.run', definition_id)) FROM contactsync.sync_definitions"
    )
    assert_refused(cli("sync", "Staff"), 1, "another process")


@pytest.mark.parametrize("query", ["127.0.0.1:{silent}", "ldaps://127.0.0.1:{silent}/dc=x", "127.0.0.1:{closed}"])
def test_an_interrupted_sync_is_recorded_as_cancelled(
    cli: CommandLine, person: Person, closed_port: int, query: str
) -> None:
    """Ctrl-C ends a run that waits for an answer, for the TLS handshake, or in the pause before another attempt."""
    cli.environ |= {
        "CONTACTSYNC_DIRECTORY__CONNECT_TIMEOUT_SECONDS": "600",
        "CONTACTSYNC_DIRECTORY__RETRY_BASE_SECONDS": "600",
        "CONTACTSYNC_DIRECTORY__RETRY_MAX_SECONDS": "600",
    }
    with silent_server() as port:
        query = query.format(silent=port, closed=closed_port)
        add_definition(person, add_folder(person, "Staff", None), {"query": query})
        process = cli.start("sync", "Staff", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_until(lambda: count(person, "sync_runs"), "the run to begin")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Error" not in errors
    assert person.execute("SELECT outcome FROM contactsync.sync_runs").fetchall() == [("cancelled",)]
