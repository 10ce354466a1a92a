"""`contactsync folders export` and `apply`: definitions in a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.definitions import Person, count
from tests.support.processes import CommandLine, assert_refused

SECRET = "swordfish-4711"
FILE = """
[[definitions]]
folder = "Staff"
query = "ldaps://dc1.example.com"
user = "cn=reader"
password_ref = "env:LDAP_STAFF"
schedule = "manual"

[[definitions]]
folder = "Private"
owner = "anna"
query = "dc2"
schedule = "manual"
[definitions.mapping.fields]
title = ["description"]
"""
WRONG = f"""
[definition]
x = 1

[[definitions]]
folder = "A"
qury = "dc1"
schedule = 15
password = "{SECRET}"

[[definitions]]
owner = "anna"
query = "dc1"
mapping = "{{"
"""
REFUSED = f"""
[[definitions]]
folder = "A"
query = "http://dc1"
filter = "(mail="

[[definitions]]
folder = "B"
query = "dc1"
user = "cn=reader"
password_ref = "{SECRET}"

[[definitions]]
folder = "B"
query = "dc1"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give the file of two definitions."""
    path = tmp_path / "folders.toml"
    path.write_text(FILE, encoding="utf-8")
    return path


def test_a_file_is_applied_once_and_exported_again(cli: CommandLine, person: Person, file: Path) -> None:
    """The difference is shown first; a second time nothing changes; the export is the same definitions."""
    planned = cli("folders", "apply", str(file), "--dry-run")
    assert (planned.returncode, planned.stderr, count(person, "sync_definitions")) == (2, "", 0)
    assert "+ Staff\n" in planned.stdout
    assert "2 to add, 0 unchanged" in planned.stdout
    assert cli("folders", "apply", str(file)).returncode == 64  # nobody to ask
    assert count(person, "sync_definitions") == 0
    assert "Done: 2 added." in cli.ok("folders", "apply", str(file), "--yes")
    assert "2 unchanged" in cli.ok("folders", "apply", str(file), "--yes")
    person.execute("UPDATE contactsync.sync_definitions SET schedule = 'never' WHERE query = 'dc2'")  # not valid
    wrong = cli.ok("folders", "export")
    assert cli("folders", "apply", "-", "--dry-run", typed=wrong).returncode == 0
    person.execute("UPDATE contactsync.sync_definitions SET schedule = 'manual' WHERE query = 'dc2'")
    exported = cli.ok("folders", "export")
    assert cli("folders", "apply", "-", "--dry-run", typed=exported).returncode == 0
    assert exported.split("\n\n", 1)[1].strip() == FILE.strip()
    assert [each["folder"] for each in cli.json("folders", "export", "anna/Private")["definitions"]] == ["Private"]
    actions = [(deed["action"], deed["via"]) for deed in cli.json("audit")]
    assert actions[2:] == [("definition.added", "cli")] * 2


def test_fields_that_are_not_in_the_file_get_their_defaults(cli: CommandLine, person: Person, file: Path) -> None:
    """Each changed field is shown; others are kept unless they are to be removed, and then go with their contacts."""
    cli.ok("folders", "apply", str(file), "--yes")
    edited = FILE.replace('schedule = "manual"\n\n', 'filter = "(mail=*)"\n\n').split("\n\n")[0]
    file.write_text(edited, encoding="utf-8")
    done = cli("folders", "apply", str(file), "--yes")
    assert (done.returncode, "is held if it would delete contacts" in done.stderr) == (0, True)
    assert "filter    default -> (mail=*)" in done.stdout
    assert "schedule  manual -> every 15m" in done.stdout
    assert "and kept (--remove-others removes them): anna/Private." in done.stdout
    planned = cli.json("folders", "apply", str(file), "--remove-others", "--yes")
    assert [(each["action"], each["label"]) for each in planned["changes"]] == [("remove", "anna/Private")]
    assert planned["carried_out"]
    assert count(person, "sync_definitions") == 1
    file.write_text("", encoding="utf-8")
    assert_refused(cli("folders", "apply", str(file), "--remove-others", "--yes"), 64, "all 1 would be removed")


def test_passwords_are_asked_for_and_stay_where_they_are_sealed_for(
    cli: CommandLine, person: Person, file: Path
) -> None:
    """No file has one; another server needs it anew."""
    file.write_text('[[definitions]]\nfolder = "Staff"\nquery = "dc1"\nuser = "cn=reader"\n', encoding="utf-8")
    assert_refused_by_need = cli("folders", "apply", str(file), "--yes")
    assert assert_refused_by_need.returncode == 64
    assert (
        f'{file}: line 4, [[definitions]] Staff, user: The user "cn=reader" has no pass'
        in assert_refused_by_need.stderr
    )
    asked = {"[y/N]:": "y", "Password of cn=reader for Staff (not shown):": SECRET}
    exit_code, shown = cli.in_terminal("folders", "apply", str(file), answers=asked)
    assert (exit_code, "Done: 1 added." in shown) == (0, True), shown
    exported = cli.ok("folders", "export")
    assert "# A password is stored." in exported
    assert "1 unchanged" in cli.ok("folders", "apply", str(file), "--yes")
    file.write_text(exported.replace("dc1", "dc2"), encoding="utf-8")
    done = cli("folders", "apply", str(file), "--yes")
    assert done.returncode == 64
    assert "has to be given again" in done.stderr
    row = person.execute("SELECT query, password_sealed FROM contactsync.sync_definitions").fetchone()
    assert row is not None
    assert (row[0], SECRET.encode() in row[1]) == ("dc1", False)
    assert SECRET not in shown + exported + done.stdout + done.stderr


def test_all_mistakes_are_listed_with_line_table_and_field(cli: CommandLine, person: Person, file: Path) -> None:
    """Nothing is stored, and no value that may be a password is shown."""
    file.write_text(WRONG, encoding="utf-8")
    wrong = cli("folders", "apply", str(file), "--yes")
    assert_refused(
        wrong,
        64,
        f"{file} has 7 problems",
        'no table "definition"',
        "line 5, [[definitions]] A, query: it is missing",
        "line 7, [[definitions]] A, qury: there is no such field; did you mean query?",
        "line 8, [[definitions]] A, schedule: it should be a valid string.",
        "line 9, [[definitions]] A, password: a password is never in this file",
        "line 11, [[definitions]] number 2, folder: it is missing",
        "line 14, [[definitions]] number 2, mapping: it is not JSON",
    )
    file.write_text(REFUSED, encoding="utf-8")
    refused = cli("folders", "apply", str(file), "--yes")
    assert_refused(
        refused,
        64,
        f"{file} has 4 problems",
        "line 4, [[definitions]] A, query",
        "line 5, [[definitions]] A, filter",
        "line 11, [[definitions]] B, password_ref",
        "line 14, [[definitions]] B, folder: The definition is declared twice",
    )
    assert SECRET not in wrong.stderr + refused.stderr
    assert count(person, "folders") == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [("x = [", "is not valid TOML"), ('{"definitions": [}', "is not valid JSON"), (None, "cannot be read")],
)
def test_a_file_that_cannot_be_used_is_named(cli: CommandLine, file: Path, text: str | None, words: str) -> None:
    """With the reason."""
    if text is None:
        file.unlink()
    else:
        file.write_text(text, encoding="utf-8")
    assert_refused(cli("folders", "apply", str(file)), 64, str(file), words)


def test_json_is_accepted_too(cli: CommandLine, file: Path) -> None:
    """What `export --json` prints."""
    cli.ok("folders", "apply", str(file), "--yes")
    document = json.dumps(cli.json("folders", "export"))
    assert "2 unchanged" in cli.ok("folders", "apply", "-", "--yes", typed=document)


def test_the_daemon_does_it_for_users_without_the_database(
    database: str, make_daemon: Callable[..., Any], cli: CommandLine, file: Path
) -> None:
    """Over its socket: the same documents, and the same places of mistakes."""
    daemon = make_daemon(database)
    daemon.start()
    cli.environ["CONTACTSYNC_DATABASE__URL"] = "postgresql://db.invalid/none"
    cli.environ["CONTACTSYNC_CONTROL__SOCKET"] = f"{daemon.state}/control.sock"
    assert "Done: 2 added." in cli.ok("folders", "apply", str(file), "--yes")
    assert cli.ok("folders", "export").split("\n\n", 1)[1].strip() == FILE.strip()
    file.write_text(REFUSED, encoding="utf-8")
    assert_refused(cli("folders", "apply", str(file), "--yes"), 64, "4 problems", "line 14, [[definitions]] B, folder")
    assert_refused(cli("folders", "export", "Nobody"), 64, "There is no folder or definition named")
    deeds = [(deed["action"], deed["via"]) for deed in cli.json("audit")]
    assert deeds == [("definition.added", "cli")] * 2


def test_folders_and_definitions_are_renamed(cli: CommandLine, person: Person) -> None:
    """The rules are tested with the API."""
    cli.ok("folders", "add", "Staff", "--query", "dc1")
    assert cli.ok("folders", "rename", "Staff", "Team") == "Renamed Staff to Team.\n"
    assert person.execute("SELECT name FROM contactsync.folders").fetchall() == [("Team",)]
    assert_refused(cli("folders", "rename", "Team", ""), 64, "new_name: String should have at least 1 character.")
