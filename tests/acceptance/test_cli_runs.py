"""Preview, approve, reject, undo, history, explain and runs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contactsync.testing.slapd import PrivateSlapd
from tests.support.definitions import PEOPLE, Person, count
from tests.support.folder import clear
from tests.support.processes import CommandLine, assert_refused, width
from tests.support.waiting import wait_until

DELETED = 10
"""More contacts than a run may delete without an approval."""


@pytest.fixture(autouse=True)
def filled(staff: int, cli: CommandLine) -> None:
    """Make the first run of Staff."""
    del staff
    cli.ok("sync", "Staff")


@pytest.fixture
def anna(filled: None, person: Person) -> dict[str, str]:
    """Give name and DN of a person in the folder."""
    del filled
    row = person.execute("SELECT display_name, source_dn FROM contactsync.contacts ORDER BY contact_id").fetchone()
    assert row
    return {"name": row[0], "dn": row[1]}


def delete(directory: PrivateSlapd, person: Person, number: int = DELETED) -> None:
    """Delete some people from the directory."""
    admin = directory.connection()
    for (dn,) in person.execute("SELECT source_dn FROM contactsync.contacts ORDER BY source_dn LIMIT %s", [number]):
        admin.delete(dn)
    admin.unbind()


def describe(directory: PrivateSlapd, dn: str, text: str) -> None:
    """Give a person in the directory another description."""
    admin = directory.connection()
    admin.modify(dn, {"description": [("MODIFY_REPLACE", [text])]})
    admin.unbind()


def test_a_preview_ends_with_0_when_nothing_would_change(cli: CommandLine) -> None:
    """The output says so."""
    assert f"nothing would change; {PEOPLE} entries read" in cli.ok("preview", "Staff")


def test_a_preview_ends_with_2_and_shows_each_field(
    cli: CommandLine, person: Person, directory: PrivateSlapd, anna: dict[str, str]
) -> None:
    """Each field has its value before and after, also in the JSON document; nothing is changed."""
    describe(directory, anna["dn"], "Now on the second floor")
    done = cli("preview", "Staff")
    assert done.returncode == 2
    assert f"~ {anna['name']}" in done.stdout
    assert " -> Now on the second floor" in done.stdout
    assert "a run would change 1; the folder has 40 contacts now" in done.stdout
    document = json.loads(cli("preview", "Staff", "--json").stdout)
    assert (document["outcome"], document["updated"], document["changes_left_out"]) == ("changed", 1, 0)
    assert document["changes"][0]["fields"]["notes"]["after"] == "Now on the second floor"
    assert count(person, "sync_runs") == 1


def test_a_preview_ends_with_3_when_the_run_would_be_held(
    cli: CommandLine, person: Person, directory: PrivateSlapd
) -> None:
    """The output has the reason and at most as many contacts as --limit, and fits 80 columns."""
    delete(directory, person)
    done = cli("preview", "Staff", "--limit", "2")
    assert done.returncode == 3
    assert done.stdout.count("\n- ") + done.stdout.startswith("- ") == 2
    assert "... and 8 more; --limit 0 shows all." in done.stdout
    assert "The run would be held. 10 of 40 contacts would be deleted" in done.stdout
    exit_code, shown = cli.in_terminal("preview", "Staff")
    assert (exit_code, width(shown) <= 80) == (3, True)
    assert count(person) == PEOPLE


def test_a_held_run_is_shown_approved_and_done(cli: CommandLine, person: Person, directory: PrivateSlapd) -> None:
    """Each command names the next one, from the held sync to the folder in sync."""
    delete(directory, person)
    assert cli("sync", "Staff").returncode == 3
    shown = cli.ok("runs", "show", "2")
    assert "contactsync approve 2" in shown
    assert shown.count("\n- ") == 10
    assert cli.json("runs", "show", "2", "--limit", "3")["changes_left_out"] == 7
    unconfirmed = cli("approve", "2")
    assert unconfirmed.returncode == 64
    assert "Allow 10 deletions in Staff? There is no terminal to ask in." in unconfirmed.stderr
    approved = cli.ok("approve", "2", "--yes", "--limit", "4")
    assert approved.count("\n  - ") == 4
    assert "... and 6 more" in approved
    assert "Staff: 10 deleted" in approved
    assert count(person) == PEOPLE - DELETED
    assert cli.json("runs", "show", "2")["held"]["state"] == "used"
    assert_refused(cli("approve", "2", "--yes"), 64, "run 3 used the approval", "contactsync preview")


def test_cleared_fields_are_shown_and_approved(cli: CommandLine, person: Person, directory: PrivateSlapd) -> None:
    """With the value that each contact would lose; the question says what an approval allows."""
    clear(directory, "l", PEOPLE)
    assert cli("sync", "Staff").returncode == 3
    filled = "SELECT count(*) FROM contactsync.contacts WHERE city <> ''"
    ((before,),) = person.execute(filled)
    unconfirmed = cli("approve", "2", "--limit", "3")
    assert (unconfirmed.returncode, f"Allow clearing city in {before} contacts in Staff?" in unconfirmed.stderr) == (
        64,
        True,
    )
    assert f"city would be cleared in {before} of the {before} contacts" in unconfirmed.stdout
    assert "An approval allows it to clear city:" in unconfirmed.stdout
    assert unconfirmed.stdout.count(" -> (blank)") == 3
    assert f"... and {before - 3} more" in unconfirmed.stdout
    assert "It would also" not in unconfirmed.stdout
    assert "deletion" not in unconfirmed.stdout + unconfirmed.stderr
    assert f"Staff: {before} changed" in cli.ok("approve", "2", "--yes")
    assert person.execute(filled).fetchone() == (0,)


def test_an_approval_is_asked_for_in_a_terminal(cli: CommandLine, person: Person, directory: PrivateSlapd) -> None:
    """Only a yes allows the deletions."""
    delete(directory, person)
    cli("sync", "Staff")
    exit_code, shown = cli.in_terminal("approve", "2", answers={"[y/N]:": "n"})
    assert exit_code == 1
    assert "Nothing was changed" in shown
    assert count(person) == PEOPLE
    exit_code, shown = cli.in_terminal("approve", "2", answers={"[y/N]:": "y"})
    assert (exit_code, width(shown) <= 80) == (0, True)
    assert count(person) == PEOPLE - DELETED


def test_an_approval_has_the_daemon_run(
    cli: CommandLine, database: str, person: Person, directory: PrivateSlapd, make_daemon: Any
) -> None:
    """A daemon makes the run if there is one: it may read passwords that the user may not."""
    delete(directory, person)
    cli("sync", "Staff")
    make_daemon(database, READER=directory.reader_password).start()
    del cli.environ["READER"]
    assert "The daemon runs Staff now" in cli.ok("approve", "2", "--yes")
    wait_until(lambda: count(person) == PEOPLE - DELETED, "the approved deletions")


def test_an_approval_runs_no_other_definition_of_the_folder(
    cli: CommandLine, database: str, person: Person, directory: PrivateSlapd, make_daemon: Any
) -> None:
    """A locked one would offer its password again."""
    delete(directory, person)
    cli("sync", "Staff")
    person.execute(
        """
        WITH branch AS (
            INSERT INTO contactsync.sync_definitions (folder_id, name, query, schedule)
            SELECT folder_id, 'branch', 'ldap://127.0.0.1:1/dc=example', 'manual' FROM contactsync.sync_definitions
            RETURNING folder_id, definition_id)
        INSERT INTO contactsync.sync_status (folder_id, definition_id, state, reason)
        SELECT folder_id, definition_id, 'locked', 'refused' FROM branch
        """
    )
    make_daemon(database, READER=directory.reader_password).start()
    cli.ok("approve", "2", "--yes")
    wait_until(lambda: count(person) == PEOPLE - DELETED, "the approved deletions")
    assert {run["label"] for run in cli.json("runs")} == {"Staff"}


def test_a_rejected_run_is_discarded(cli: CommandLine, person: Person, directory: PrivateSlapd) -> None:
    """A later approval is refused, with the name of the user who rejected the run."""
    delete(directory, person)
    cli("sync", "Staff")
    assert "Rejected run 2." in cli.ok("reject", "2")
    assert_refused(cli("approve", "2", "--yes"), 64, "It was rejected by")
    assert count(person) == PEOPLE


def test_a_run_is_undone_and_its_definition_paused(
    cli: CommandLine, person: Person, directory: PrivateSlapd, anna: dict[str, str]
) -> None:
    """The deleted contacts are restored; an undo of contacts that a user changed is refused with their names."""
    delete(directory, person, 3)
    cli("sync", "Staff")
    assert count(person) == PEOPLE - 3
    assert_refused(cli("undo", "2"), 64, "Undo run 2 of Staff (restore 3 contacts)", "--yes")
    undone = cli.ok("undo", "2", "--yes")
    assert "Run 3 has undone run 2: 3 contacts restored." in undone
    assert "contactsync folders resume Staff" in undone
    assert count(person) == PEOPLE
    assert cli.json("folders", "list")[0]["state"] == "paused"
    assert "Undone by  run 3" in cli.ok("runs", "show", "2")
    person.execute("UPDATE contactsync.contacts SET notes = 'mine' WHERE display_name = %s", [anna["name"]])
    done = cli("undo", "1", "--yes")
    assert done.returncode == 1
    assert "1 of its contacts have changed since" in done.stderr
    assert f"- {anna['name']} (contact " in done.stderr


def test_the_history_of_a_contact(
    cli: CommandLine, directory: PrivateSlapd, person: Person, anna: dict[str, str]
) -> None:
    """The newest change is the last, with its run or user; the JSON document has the same."""
    describe(directory, anna["dn"], "Now on the second floor")
    cli("sync", "Staff")
    person.execute("UPDATE contactsync.contacts SET notes = 'mine' WHERE display_name = %s", [anna["name"]])
    shown = cli.ok("history", "Staff", anna["name"])
    titles = [line for line in shown.splitlines() if " by " in line and not line.startswith(" ")]
    assert [title.partition(" (")[0] for title in titles[:2]] == ["added by run 1", "changed by run 2"]
    assert titles[2].startswith("changed by a person")
    assert "Now on the second floor -> mine" in shown
    events = cli.json("history", "Staff", anna["name"])["events"]
    assert [event["action"] for event in events] == ["insert", "update", "edit"]
    assert events[2]["fields"]["notes"] == {"before": "Now on the second floor", "after": "mine"}


def test_an_explanation(cli: CommandLine, directory: PrivateSlapd, anna: dict[str, str]) -> None:
    """The output is a sentence, the JSON document has a verdict."""
    assert "is in Staff" in cli.ok("explain", "Staff", anna["dn"])
    assert cli.json("explain", "Staff", anna["dn"])["verdict"] == "in the folder"
    assert cli.json("explain", "Staff", "x)(uid=*")["verdict"] == "never seen"
    directory.stop()
    assert cli.json("explain", "Staff", "Nobody")["verdict"] == "unknown"


def test_runs_are_listed(cli: CommandLine) -> None:
    """The newest run is the first, of one folder or of all; the table fits 80 columns."""
    cli("sync", "Staff")
    assert [run["run_id"] for run in cli.json("runs")] == [2, 1]
    (run,) = cli.json("runs", "Staff", "--limit", "1")
    assert (run["run_id"], run["label"], run["mode"], run["full_reason"]) == (2, "Staff", "full", None)
    exit_code, shown = cli.in_terminal("runs", "Staff")
    assert (exit_code, width(shown) <= 80) == (0, True)
    assert "Usage: contactsync runs" in cli.ok("runs", "--help")


def test_a_wrong_name_or_number_is_answered_with_a_sentence(cli: CommandLine) -> None:
    """The exit code is 64."""
    for command, words in (
        (["preview", "Stuff"], 'no folder or definition named "Stuff"'),
        (["approve", "1", "--yes"], "Run 1 is not held, it is changed"),
        (["approve", "77", "--yes"], "There is no run 77"),
        (["reject", "x"], "RUN"),
        (["undo", "0", "--yes"], "RUN"),
        (["undo", "99999999999999999999", "--yes"], "There is no run"),
        (["history", "Staff", "Nobody at all"], "no contact like"),
        (["history", "Staff", ""], "no name to look for"),
        (["history", "Staff", "a"], "may mean several contacts"),
        (["explain", "Staff"], "PERSON"),
        (["explain", "Staff", "  "], "no name to look for"),
        (["runs", "Stuff"], 'no folder or definition named "Stuff"'),
        (["runs", "show"], "RUN"),
        (["runs", "show", "77"], "There is no run 77"),
        (["runs", "--limit", "0"], "--limit"),
    ):
        assert_refused(cli(*command), 64, words)
