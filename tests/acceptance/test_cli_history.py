"""Preview, approve, reject, undo, history, explain and runs, as people type them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from rich.cells import cell_len

from contactsync.store.definitions import add_definition, add_folder
from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd

Cli = Any
Person = psycopg.Connection[Any]
PEOPLE = 30


@pytest.fixture
def directory(make_slapd: Callable[..., PrivateSlapd]) -> PrivateSlapd:
    """Start a slapd with thirty people."""
    return make_slapd(ldif=people_ldif(PEOPLE, seed=5))


@pytest.fixture
def staff(cli: Cli, person: Person, directory: PrivateSlapd) -> None:
    """Fill the folder Staff, of which a run may delete five contacts."""
    cli.environ["READER"] = directory.reader_password
    columns = {"query": f"{directory.url}/{directory.suffix}", "bind_user": directory.reader_dn, "tls": "none"}
    folder_id = add_folder(person, "Staff", None)
    add_definition(person, folder_id, {**columns, "password_ref": "env:READER", "schedule": "manual"})
    assert cli("sync", "Staff").returncode == 0


@pytest.fixture
def anna(staff: None, person: Person) -> dict[str, str]:
    """Give name and DN of somebody in the folder."""
    del staff
    row = person.execute("SELECT display_name, source_dn FROM contactsync.contacts ORDER BY contact_id").fetchone()
    assert row
    return {"name": row[0], "dn": row[1]}


def dismiss(directory: PrivateSlapd, person: Person, number: int) -> None:
    """Delete so many people from the directory."""
    admin = directory.connection()
    for (dn,) in person.execute("SELECT source_dn FROM contactsync.contacts ORDER BY source_dn LIMIT %s", [number]):
        admin.delete(dn)
    admin.unbind()


def describe(directory: PrivateSlapd, dn: str, text: str) -> None:
    """Give somebody in the directory another description."""
    admin = directory.connection()
    admin.modify(dn, {"description": [("MODIFY_REPLACE", [text])]})
    admin.unbind()


def widest(shown: str) -> int:
    """Give the cells of the widest line, of what a terminal shows in the end."""
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).splitlines()
    return max(cell_len(line.rpartition("\r")[2]) for line in lines)


def contacts(person: Person) -> int:
    """Count all contacts."""
    row = person.execute("SELECT count(*) FROM contactsync.contacts").fetchone()
    return int(row[0]) if row else -1


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Check that a command was used wrongly, and says so in a sentence with these words."""
    assert (done.returncode, done.stdout) == (64, ""), done
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


@pytest.mark.usefixtures("staff")
def test_a_preview_ends_with_0_when_nothing_would_change(cli: Cli) -> None:
    """And says so."""
    done = cli("preview", "Staff")
    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing would change; 30 entries read" in done.stdout


def test_a_preview_ends_with_2_and_shows_each_field(
    cli: Cli, person: Person, directory: PrivateSlapd, anna: dict[str, str]
) -> None:
    """Before and after; for scripts as well; and changes nothing."""
    describe(directory, anna["dn"], "Now on the second floor")
    done = cli("preview", "Staff")
    assert done.returncode == 2
    assert f"~ {anna['name']}" in done.stdout
    assert " -> Now on the second floor" in done.stdout
    assert "a run would change 1, of 30 contacts now" in done.stdout
    document = json.loads(cli("preview", "Staff", "--json").stdout)
    assert (document["outcome"], document["updated"], document["changes_left_out"]) == ("changed", 1, 0)
    assert document["changes"][0]["fields"]["notes"]["after"] == "Now on the second floor"
    assert person.execute("SELECT count(*) FROM contactsync.sync_runs").fetchone() == (1,)


@pytest.mark.usefixtures("staff")
def test_a_preview_ends_with_3_when_the_run_would_be_held(cli: Cli, person: Person, directory: PrivateSlapd) -> None:
    """It names the reason and as many contacts as asked for, and fits 80 columns."""
    dismiss(directory, person, 10)
    done = cli("preview", "Staff", "--limit", "2")
    assert done.returncode == 3
    assert done.stdout.count("\n- ") + done.stdout.startswith("- ") == 2
    assert "... and 8 more; --limit 0 shows all." in done.stdout
    assert "The run would be held. 10 of 30 contacts would be deleted" in done.stdout
    exit_code, shown = cli.in_terminal("preview", "Staff")
    assert exit_code == 3
    assert widest(shown) <= 80
    assert contacts(person) == PEOPLE


@pytest.mark.usefixtures("staff")
def test_a_held_run_is_shown_approved_and_done(cli: Cli, person: Person, directory: PrivateSlapd) -> None:
    """The way from a held sync to a folder in step, with what each command says to type next."""
    dismiss(directory, person, 10)
    assert cli("sync", "Staff").returncode == 3
    shown = cli("runs", "show", "2").stdout
    assert "contactsync approve 2" in shown
    assert shown.count("\n- ") == 10
    assert cli.json("runs", "show", "2", "--limit", "3")["changes_left_out"] == 7
    unasked = cli("approve", "2")
    assert unasked.returncode == 64
    assert "Allow 10 deletions in Staff? There is no terminal to ask in." in unasked.stderr
    done = cli("approve", "2", "--yes", "--limit", "4")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n  - ") == 4
    assert "... and 6 more" in done.stdout
    assert "Staff: 10 deleted" in done.stdout
    assert contacts(person) == 20
    assert cli.json("runs", "show", "2")["held"]["state"] == "used"
    refused(cli("approve", "2", "--yes"), "run 3 used the approval", "contactsync preview")


@pytest.mark.usefixtures("staff")
def test_an_approval_is_asked_for_in_a_terminal(cli: Cli, person: Person, directory: PrivateSlapd) -> None:
    """No means no; yes does it."""
    dismiss(directory, person, 10)
    cli("sync", "Staff")
    exit_code, shown = cli.in_terminal("approve", "2", answers={"[y/N]:": "n"})
    assert exit_code == 1
    assert "Nothing was changed" in shown
    assert contacts(person) == PEOPLE
    exit_code, shown = cli.in_terminal("approve", "2", answers={"[y/N]:": "y"})
    assert exit_code == 0
    assert widest(shown) <= 80
    assert contacts(person) == 20


@pytest.mark.usefixtures("staff")
def test_an_approval_has_the_daemon_run(
    cli: Cli, database: str, person: Person, directory: PrivateSlapd, make_daemon: Any, until: Any
) -> None:
    """With a daemon there, it is the one that runs: it may read what the person may not."""
    dismiss(directory, person, 10)
    cli("sync", "Staff")
    make_daemon(database, READER=directory.reader_password).start()
    del cli.environ["READER"]
    done = cli("approve", "2", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert "The daemon was asked to run Staff now" in done.stdout
    until(lambda: contacts(person) == 20, "the approved deletions")


@pytest.mark.usefixtures("staff")
def test_a_rejected_run_is_discarded(cli: Cli, person: Person, directory: PrivateSlapd) -> None:
    """An approval afterwards is refused, and says who rejected it."""
    dismiss(directory, person, 10)
    cli("sync", "Staff")
    assert "Rejected run 2." in cli("reject", "2").stdout
    refused(cli("approve", "2", "--yes"), "It was rejected by")
    assert contacts(person) == PEOPLE


def test_a_run_is_undone_and_its_definition_paused(
    cli: Cli, person: Person, directory: PrivateSlapd, anna: dict[str, str]
) -> None:
    """Deletions come back, changes are set back, and the sentence says how to go on."""
    dismiss(directory, person, 3)
    cli("sync", "Staff")
    assert contacts(person) == 27
    refused(cli("undo", "2"), "Take run 2 of Staff back", "--yes")
    done = cli("undo", "2", "--yes")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert "Took run 2 back, as run 3: 3 contacts restored." in done.stdout
    assert "contactsync folders resume Staff" in done.stdout
    assert contacts(person) == PEOPLE
    assert cli.json("folders", "list")[0]["state"] == "paused"
    assert "Taken back  by run 3" in cli("runs", "show", "2").stdout
    person.execute("UPDATE contactsync.contacts SET notes = 'mine' WHERE display_name = %s", [anna["name"]])
    done = cli("undo", "1", "--yes")
    assert done.returncode == 1
    assert "1 of its contacts are not as it left them" in done.stderr
    assert f"- {anna['name']} (contact " in done.stderr


def test_the_history_of_a_contact(cli: Cli, directory: PrivateSlapd, person: Person, anna: dict[str, str]) -> None:
    """Newest last, with who did it; also for scripts."""
    describe(directory, anna["dn"], "Now on the second floor")
    cli("sync", "Staff")
    person.execute("UPDATE contactsync.contacts SET notes = 'mine' WHERE display_name = %s", [anna["name"]])
    done = cli("history", "Staff", anna["name"])
    assert done.returncode == 0, done.stderr
    titles = [line for line in done.stdout.splitlines() if " by " in line and not line.startswith(" ")]
    assert [title.partition(" (")[0] for title in titles[:2]] == ["added by run 1", "changed by run 2"]
    assert titles[2].startswith("changed by a person")
    assert "Now on the second floor -> mine" in done.stdout
    events = cli.json("history", "Staff", anna["name"])["events"]
    assert [event["action"] for event in events] == ["insert", "update", "edit"]
    assert events[2]["fields"]["notes"] == {"before": "Now on the second floor", "after": "mine"}


def test_an_explanation(cli: Cli, directory: PrivateSlapd, anna: dict[str, str]) -> None:
    """A sentence for people, a verdict for scripts."""
    done = cli("explain", "Staff", anna["dn"])
    assert (done.returncode, done.stderr) == (0, "")
    assert "is in Staff" in done.stdout
    assert cli.json("explain", "Staff", anna["dn"])["verdict"] == "in the folder"
    assert cli.json("explain", "Staff", "x)(uid=*")["verdict"] == "never seen"
    directory.stop()
    assert cli.json("explain", "Staff", "Nobody")["verdict"] == "unknown"


@pytest.mark.usefixtures("staff")
def test_runs_are_listed(cli: Cli) -> None:
    """Newest first, of one folder or of all, in 80 columns."""
    cli("sync", "Staff")
    assert [run["run_id"] for run in cli.json("runs")] == [2, 1]
    assert [run["run_id"] for run in cli.json("runs", "Staff", "--limit", "1")] == [2]
    exit_code, shown = cli.in_terminal("runs", "Staff")
    assert exit_code == 0
    assert widest(shown) <= 80
    assert "Usage: contactsync runs" in cli("runs", "--help").stdout


@pytest.mark.usefixtures("staff")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
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
    ],
)
def test_a_slip_is_answered_with_a_sentence(cli: Cli, arguments: list[str], words: str) -> None:
    """Exit code 64, and what was wrong."""
    refused(cli(*arguments), words)
