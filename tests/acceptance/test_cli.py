"""The command line from outside: the real command, a real slapd, a real PostgreSQL."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

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
def define(cli: Cli, person: Person, directory: PrivateSlapd) -> Callable[..., None]:
    """Add a definition that the directory fills, as an application would: `define("Staff", filter="(sn=*)")`."""
    cli.environ["READER"] = directory.reader_password
    source = {"query": f"{directory.url}/{directory.suffix}", "bind_user": directory.reader_dn, "tls": "none"}

    def add(folder: str, **columns: Any) -> None:
        folder_id = add_folder(person, folder, None)
        add_definition(person, folder_id, {**source, "password_ref": "env:READER", **columns})

    return add


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Listen on a port without ever answering."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


def labels(person: Person) -> list[str]:
    """Give the labels of all definitions."""
    rows = person.execute("SELECT label FROM contactsync.definition_overview ORDER BY label")
    return [label for (label,) in rows]


def columns(person: Person) -> dict[str, Any]:
    """Give the only definition's columns."""
    with person.cursor(row_factory=dict_row) as cursor:
        [row] = cursor.execute("SELECT * FROM contactsync.sync_definitions").fetchall()
    return row


def contacts(person: Person) -> int:
    """Count all contacts."""
    row = person.execute("SELECT count(*) FROM contactsync.contacts").fetchone()
    return int(row[0]) if row else -1


def refused(done: subprocess.CompletedProcess[str], exit_code: int, *words: str) -> None:
    """Check that a command failed with this code and a sentence with these words, and with nothing else."""
    assert (done.returncode, done.stdout) == (exit_code, "")
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize("arguments", [[], ["folders"]])
def test_a_call_without_a_command_shows_the_help_as_an_error(cli: Cli, arguments: list[str]) -> None:
    """Without a command the help goes to stderr, and the exit code is that of wrong usage."""
    done = cli(*arguments)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr.startswith("Usage: contactsync")


def test_the_package_is_a_program() -> None:
    """`python -m contactsync` is the same command, with its exit codes."""
    done = subprocess.run([sys.executable, "-m", "contactsync", "sync"], capture_output=True, text=True, check=False)
    refused(done, 64, "Give either a NAME or --all.")


def test_the_help_loads_no_library_that_only_commands_need() -> None:
    """So that help and completion are fast."""
    program = (
        "import sys, contactsync.cli; print(*{'httpx', 'ldap3', 'psycopg', 'pydantic', 'structlog'} & {*sys.modules})"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert loaded.split() == []


def test_help_names_the_exit_codes_and_fits_a_terminal(cli: Cli) -> None:
    """The help says what exit codes mean, and no line of any help is wider than 80 columns."""
    assert "3 held" in cli("--help").stdout
    for command in (["folders", "add"], ["folders", "edit"], ["sync"]):
        exit_code, shown = cli.in_terminal(*command, "--help")
        assert exit_code == 0
        assert max(map(len, shown.splitlines())) <= 80


def test_help_of_add_shows_the_forms_of_the_query(cli: Cli) -> None:
    """Who adds a folder finds the forms of a query in the help."""
    shown = cli("folders", "add", "--help").stdout
    assert "LDAP://OU=Users,DC=example,DC=com" in shown
    assert "ldaps://dc1.example.com/OU=Users" in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frob"], "No such command 'frob'"),
        (["folders", "list", "--jsn"], "--jsn"),
        (["folders", "add", "Staff"], "Missing option '--query'"),
        (["folders", "add", "Staff", "--query", "dc1", "--page-size", "0"], "--page-size"),
        (["folders", "add", "Staff", "--query", "dc1", "--password", "x"], "--password"),
        (["folders", "list", "--settings", "x"], "goes before the command"),
    ],
)
def test_wrong_usage_ends_with_64_and_a_sentence(cli: Cli, arguments: list[str], words: str) -> None:
    """What typer refuses ends with 64, a sentence, and no output."""
    refused(cli(*arguments), 64, words)


def test_wrong_settings_end_with_78_and_name_the_key(cli: Cli) -> None:
    """A setting that makes no sense is named before anything is done."""
    refused(cli("status", CONTACTSYNC_SCHEDULER__WORKERS="many"), 78, "scheduler.workers")
    refused(cli("--settings", "/nowhere/settings.toml", "status"), 78, "/nowhere/settings.toml")


def test_an_unreachable_database_ends_with_69_without_its_password(cli: Cli) -> None:
    """Who cannot reach the database hears so; the password of its URL is not shown."""
    done = cli("folders", "list", CONTACTSYNC_DATABASE__URL="postgresql://anna:hunter22@127.0.0.1:1/x")
    refused(done, 69, "PostgreSQL cannot be reached")
    assert "hunter22" not in done.stderr


def test_an_added_folder_is_synchronised_listed_and_shown(cli: Cli, person: Person, directory: PrivateSlapd) -> None:
    """A folder is added, filled, found unchanged, listed and shown; its password is sealed and nowhere to be seen."""
    add = ("folders", "add", "Staff", "--query", directory.url, "--user", directory.reader_dn, "--tls", "none")
    done = [cli(*add, "--password-stdin", typed=f"{directory.reader_password}\n")]
    done += [cli("sync", "Staff"), cli("sync", "Staff"), cli("folders", "show", "Staff")]
    assert [command.returncode for command in done] == [0, 0, 0, 0]
    assert "contactsync sync Staff" in done[0].stdout
    assert "30 added; 30 entries read" in done[1].stdout
    assert "nothing changed in 30 entries" in done[2].stdout
    [listed] = cli.json("folders", "list")
    assert (listed["label"], listed["state"], listed["contacts"]) == ("Staff", "ok", PEOPLE)
    shown = cli.json("folders", "show", "Staff")
    assert [run["outcome"] for run in shown["runs"]] == ["unchanged", "changed"]
    assert shown["password_sealed"] is True
    assert directory.reader_password.encode() not in columns(person)["password_sealed"]
    assert directory.reader_password not in json.dumps(shown) + "".join(c.stdout + c.stderr for c in done)


def test_a_password_is_asked_for_and_not_shown(cli: Cli, directory: PrivateSlapd) -> None:
    """In a terminal the password is asked for; what is typed is not shown, and it opens the directory."""
    add = ("folders", "add", "Private", "--owner", "anna", "--query", directory.url, "--user", directory.reader_dn)
    exit_code, shown = cli.in_terminal(
        *add, "--tls", "none", answers={"Password of the directory's user (not shown):": directory.reader_password}
    )
    assert exit_code == 0, shown
    assert "Added anna/Private" in shown
    assert directory.reader_password not in shown
    assert cli("sync", "Private").returncode == 0


def test_a_reference_takes_the_place_of_a_sealed_password(
    cli: Cli, define: Callable[..., None], person: Person
) -> None:
    """A definition has one password: a sealed one displaces a reference, and a reference a sealed one."""
    define("Staff")
    assert cli("folders", "edit", "Staff", "--password-stdin", typed="hunter22\n").returncode == 0
    assert columns(person)["password_ref"] is None
    assert cli("folders", "edit", "Staff", "--password-ref", "env:OTHER").returncode == 0
    assert (columns(person)["password_ref"], columns(person)["password_sealed"]) == ("env:OTHER", None)


def test_a_user_without_a_password_is_refused_where_nobody_can_be_asked(cli: Cli, person: Person) -> None:
    """Without a terminal the ways to give a password are shown, and nothing is stored."""
    refused(cli("folders", "add", "Staff", "--query", "dc1", "--user", "x@example.com"), 64, "--password-stdin")
    assert labels(person) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--query", "http://dc1"], "LDAP://"),
        (["--query", "dc1", "--schedule", "evry 15m"], "evry 15m"),
        (["--query", "dc1", "--filter", "(mail="], "(mail="),
        (["--query", "dc1", "--mapping", '{"fields": {"titel": ["x"]}}'], '"title"'),
        (["--query", "dc1", "--mapping", "nowhere.json"], "nowhere.json"),
        (["--query", "dc1", "--password-ref", "env:X"], "needs a user"),
        (["--query", "dc1", "--user", "x@example.com", "--password-ref", "hunter22"], "env:NAME"),
        (["--query", "dc1", "--user", "x@example.com", "--password-ref", "env:X", "--password-stdin"], "one place"),
        (["--query", "dc1", "--owner", "an/na"], "'an/na'"),
    ],
)
def test_a_definition_that_makes_no_sense_is_not_stored(
    cli: Cli, person: Person, options: list[str], words: str
) -> None:
    """Every field is checked before anything is stored; the sentence says what is wrong or what would be right."""
    done = cli("folders", "add", "Staff", *options)
    refused(done, 64, words)
    assert "hunter22" not in done.stderr
    assert person.execute("SELECT FROM contactsync.folders").fetchall() == []


def test_a_mapping_may_come_from_standard_input(cli: Cli, person: Person) -> None:
    """`--mapping -` reads the mapping from standard input."""
    mapping = {"fields": {"title": ["description"]}}
    done = cli("folders", "add", "Staff", "--query", "dc1", "--mapping", "-", typed=json.dumps(mapping))
    assert done.returncode == 0, done.stderr
    assert columns(person)["mapping"] == mapping


def test_names_are_found_without_owner_unless_that_is_ambiguous(cli: Cli, person: Person) -> None:
    """A name without its owner will do while only one can be meant; otherwise, or for a near miss, labels are shown."""
    add_definition(person, add_folder(person, "Private", "anna"), {"query": "dc1"})
    assert cli.json("folders", "show", "Private")["label"] == "anna/Private"
    refused(cli("folders", "show", "anna/Privat"), 64, "Did you mean anna/Private?")
    add_definition(person, add_folder(person, "Private", "ben"), {"query": "dc1"})
    refused(cli("folders", "pause", "Private"), 64, "anna/Private, ben/Private")
    refused(cli("folders", "add", "Private", "--owner", "ben", "--query", "dc1"), 64, "exists already")


def test_a_definition_is_shown_with_the_values_in_effect(cli: Cli, person: Person) -> None:
    """A field without a value of its own shows the query's, that of settings.toml, or the built-in default."""
    query = "ldap://dc1/dc=example,dc=com??one?(mail=*)"
    add_definition(person, add_folder(person, "Staff", None), {"query": query, "base": "ou=x,dc=example,dc=com"})
    shown = cli("folders", "show", "Staff", CONTACTSYNC_GUARD__DELETE_COUNT="7").stdout
    for line in (
        "Base            ou=x,dc=example,dc=com",
        "Scope           one (in the query)",
        "Filter          (mail=*) (in the query)",
        "Mapping         the preset for the kind of server (default)",
        "Authentication  simple",
        "TLS             auto, 1.2 or later (default), certificate verified",
        "Max. deleted    7 contacts (default)",
        "Deadline        1,800 seconds (default)",
    ):
        assert line in shown.splitlines()


def test_an_edit_changes_what_is_given_and_nothing_else(cli: Cli, define: Callable[..., None], person: Person) -> None:
    """Options that are not given stay as they were; --clear goes back to the default."""
    define("Staff", filter="(sn=*)", jitter_seconds=5)
    before = columns(person)
    done = cli("folders", "edit", "Staff", "--schedule", "@daily", "--clear", "filter")
    assert done.returncode == 0
    assert "held if it would delete" in done.stderr
    after = columns(person)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"schedule", "filter", "revision", "updated_at"}
    assert (after["schedule"], after["filter"]) == ("@daily", None)
    refused(cli("folders", "edit", "Staff"), 64, "nothing to change")


def test_a_user_that_is_cleared_takes_the_password_along(cli: Cli, define: Callable[..., None], person: Person) -> None:
    """Without a user there is no password."""
    define("Staff")
    assert cli("folders", "edit", "Staff", "--clear", "user").returncode == 0
    assert (columns(person)["bind_user"], columns(person)["password_ref"]) == (None, None)


def test_a_refused_password_ends_with_1_until_it_is_set_again(
    cli: Cli, define: Callable[..., None], directory: PrivateSlapd
) -> None:
    """A run with a wrong password fails with a sentence; a new password for the same folder mends it."""
    define("Staff")
    done = cli("sync", "Staff", READER="wrong-horse")
    assert done.returncode == 1
    assert "Staff: failed." in done.stdout
    assert "wrong-horse" not in done.stdout + done.stderr
    assert "Staff is locked: " in cli("folders", "list").stdout
    edited = cli("folders", "edit", "Staff", "--password-stdin", typed=f"{directory.reader_password}\n")
    assert "sealed anew" in edited.stdout
    mended = cli("sync", "Staff", "--quiet")
    assert (mended.returncode, mended.stdout) == (0, "")


def test_a_held_run_ends_with_3_and_changes_nothing(cli: Cli, define: Callable[..., None], person: Person) -> None:
    """A run that would delete after an edited filter is held: exit code 3, the reason, all contacts still there."""
    define("Staff")
    cli("sync", "Staff")
    person.execute("UPDATE contactsync.sync_definitions SET filter = '(sn=nobody at all)'")
    done = cli("sync", "Staff", "--json")
    [run] = json.loads(done.stdout)["runs"]
    assert (done.returncode, run["outcome"], contacts(person)) == (3, "held", PEOPLE)
    assert "30 of 30 contacts would be deleted" in run["held_reason"]
    assert cli.json("folders", "list")[0]["state"] == "held"
    listed = cli("folders", "list").stdout
    assert f"Staff is held: {run['held_reason']}" in listed
    assert f"contactsync runs show {run['run_id']}" in listed


def test_a_definition_that_somebody_broke_ends_with_64_and_is_listed_with_the_reason(
    cli: Cli, define: Callable[..., None], person: Person
) -> None:
    """A definition broken by plain SQL ends its run as a bad definition, and the list says why it is invalid."""
    define("Staff")
    person.execute("UPDATE contactsync.sync_definitions SET schedule = 'whenever'")
    assert cli("sync", "Staff").returncode == 64
    listed = cli("folders", "list").stdout
    assert "Staff is invalid: The schedule 'whenever' is not understood" in listed


def test_a_folders_name_means_all_of_its_definitions(cli: Cli, define: Callable[..., None]) -> None:
    """Sync, pause and resume take a folder's definitions together; the worst outcome decides the exit code."""
    define("Staff")
    define("Staff", name="branch", base="ou=nowhere,dc=example,dc=test")
    done = cli("sync", "Staff", "--json")
    outcomes = [(run["label"], run["outcome"]) for run in json.loads(done.stdout)["runs"]]
    assert (done.returncode, outcomes) == (1, [("Staff", "changed"), ("Staff:branch", "failed")])
    cli("folders", "pause", "Staff")
    assert [row["state"] for row in cli.json("folders", "list")] == ["paused", "paused"]
    cli("folders", "resume", "Staff:branch")
    assert [row["state"] for row in cli.json("folders", "list")] == ["paused", "failing"]


def test_a_definition_that_runs_elsewhere_is_left_alone(cli: Cli, define: Callable[..., None], person: Person) -> None:
    """While another process runs a definition, `sync` says so and ends with 1."""
    define("Staff")
    person.execute(
        "SELECT pg_advisory_lock(hashtextextended('contactsync.run', definition_id)) FROM contactsync.sync_definitions"
    )
    refused(cli("sync", "Staff"), 1, "another process")


def test_an_interrupted_sync_is_recorded_as_cancelled(cli: Cli, person: Person, silent_port: int, until: Any) -> None:
    """Ctrl-C gives up a run that waits for a silent server; the run is recorded and the exit code is 130."""
    add_definition(person, add_folder(person, "Staff", None), {"query": f"127.0.0.1:{silent_port}"})
    process = cli.start("sync", "Staff", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until(lambda: person.execute("SELECT FROM contactsync.sync_runs").fetchall(), "the run to begin")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (130, "")
    assert person.execute("SELECT outcome FROM contactsync.sync_runs").fetchall() == [("cancelled",)]


def test_a_removal_needs_a_yes(cli: Cli, define: Callable[..., None], person: Person) -> None:
    """A removal is asked for in a terminal with what it costs; without one it needs --yes."""
    define("Staff")
    cli("sync", "Staff")
    refused(cli("folders", "remove", "Staff"), 64, "30 contacts deleted", "--yes")
    exit_code, shown = cli.in_terminal("folders", "remove", "Staff", answers={"[y/N]:": "n"})
    assert (exit_code, contacts(person)) == (1, PEOPLE)
    assert "30 contacts deleted" in shown
    exit_code, _ = cli.in_terminal("folders", "remove", "Staff", answers={"[y/N]:": "y"})
    assert (exit_code, contacts(person)) == (0, 0)
    assert labels(person) == []


def test_a_removal_may_keep_the_contacts_as_peoples_own(cli: Cli, define: Callable[..., None], person: Person) -> None:
    """--keep-contacts leaves what the definition brought in the folder, without the definition."""
    define("Staff")
    cli("sync", "Staff")
    done = cli("folders", "remove", "Staff", "--keep-contacts", "--yes")
    assert "30 contacts kept" in done.stdout
    rows = person.execute("SELECT DISTINCT definition_id FROM contactsync.contacts").fetchall()
    assert (rows, contacts(person)) == ([(None,)], PEOPLE)


def test_status_knows_whether_a_daemon_follows_the_database(
    cli: Cli, database: str, person: Person, make_daemon: Callable[..., Any], until: Any
) -> None:
    """Status says whether a daemon runs, when it runs what next, and which database it looks at."""
    add_definition(person, add_folder(person, "Staff", None), {"query": "127.0.0.1:1", "enabled": False})
    assert cli.json("status")["daemon_running"] is False
    daemon = make_daemon(database)
    daemon.start()
    status = until(lambda: (now := cli.json("status"))["daemon_running"] and now, "status to see the daemon")
    assert status["definitions"] == {"paused": 1}
    assert status["database"]["embedded"] is False
    assert daemon.stop() == 0


def test_status_shows_the_database_without_its_password(cli: Cli, database: str) -> None:
    """The password of the database's connection string is left out."""
    done = cli("status", CONTACTSYNC_DATABASE__URL=f"{database} password=hunter22")
    assert done.returncode == 0
    assert "dbname=" in done.stdout
    assert "hunter22" not in done.stdout + done.stderr


def test_migrate_says_what_it_applied(cli: Cli, person: Person) -> None:
    """On an empty database every migration is applied, the second time none."""
    person.execute("DROP SCHEMA contactsync CASCADE")
    first, second = cli.json("migrate")["migrations"], cli.json("migrate")["migrations"]
    assert [migration["name"] for migration in first] == [migration["name"] for migration in second]
    assert all(migration["applied_now"] for migration in first)
    assert not any(migration["applied_now"] for migration in second)


def test_a_reader_that_had_enough_is_met_with_silence(cli: Cli) -> None:
    """A closed pipe ends a command without a word, as it does other programs."""
    reading, writing = os.pipe()
    os.close(reading)
    process = cli.start("folders", "list", stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (141, "")


def test_a_table_fits_the_terminal_and_is_plain_elsewhere(cli: Cli, person: Person) -> None:
    """In a terminal of 80 columns long names are folded; in a pipe each row is one line without escape sequences."""
    name = "A folder with quite a long name for those who like to be exact about what it holds"
    add_definition(person, add_folder(person, name, "annelise.von.der.waterkant"), {"query": "dc1"})
    _, shown = cli.in_terminal("folders", "list")
    assert max(map(len, re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines())) <= 80
    plain = cli("folders", "list").stdout
    assert f"annelise.von.der.waterkant/{name}  never run" in plain
    assert "\x1b" not in plain


def test_what_others_wrote_cannot_steer_the_terminal(cli: Cli, person: Person) -> None:
    """Escape sequences in a value are shown as text."""
    add_definition(person, add_folder(person, "Staff", None), {"query": "dc1\x1b]0;owned\x07"})
    _, shown = cli.in_terminal("folders", "show", "Staff")
    assert "\x1b]0;" not in shown
    assert "dc1\\x1b]0;owned\\x07" in shown
