"""`contactsync folders`: definitions are added, listed, shown, edited, paused and removed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from psycopg.rows import dict_row

from contactsync.store.definitions import add_definition, add_folder
from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support.definitions import PEOPLE, Person, count, define
from tests.support.processes import CommandLine, assert_refused


def columns(person: Person) -> dict[str, Any]:
    """The columns of the only definition."""
    with person.cursor(row_factory=dict_row) as cursor:
        [row] = cursor.execute("SELECT * FROM contactsync.sync_definitions").fetchall()
    return row


def test_an_incremental_run_without_changes_says_that_it_read_nothing(
    cli: CommandLine, person: Person, make_slapd: Callable[..., PrivateSlapd]
) -> None:
    """Its 0 entries are no sign that the directory has become empty."""
    directory = make_slapd(ldif=people_ldif(PEOPLE), session_log=100)
    cli.environ["READER"] = directory.reader_password
    define(person, directory, mode="incremental")
    cli.ok("sync", "Staff")
    assert "Staff: nothing changed since the last run; no entries read from ldap" in cli.ok("sync", "Staff")


def test_an_added_folder_is_synchronised_listed_and_shown(
    cli: CommandLine, person: Person, directory: PrivateSlapd
) -> None:
    """A folder is added, filled, found unchanged, listed and shown; its password is sealed and shown nowhere."""
    add = ("folders", "add", "Staff", "--query", directory.url, "--user", directory.reader_dn, "--tls", "none")
    added = cli.ok(*add, "--password-stdin", typed=f"{directory.reader_password}\n")
    first, second = cli.ok("sync", "Staff"), cli.ok("sync", "Staff")
    assert "contactsync sync Staff" in added
    assert f"{PEOPLE} added; {PEOPLE} entries read" in first
    assert f"nothing changed in {PEOPLE} entries" in second
    [listed] = cli.json("folders", "list")
    assert (listed["label"], listed["state"], listed["contacts"]) == ("Staff", "ok", PEOPLE)
    shown = cli.json("folders", "show", "Staff")
    assert [run["outcome"] for run in shown["runs"]] == ["unchanged", "changed"]
    assert shown["password_stored"] is True
    assert directory.reader_password.encode() not in columns(person)["password_sealed"]
    shown_everywhere = json.dumps(shown) + added + first + second + cli.ok("folders", "show", "Staff")
    assert directory.reader_password not in shown_everywhere


def test_a_password_is_asked_for_and_not_shown(cli: CommandLine, directory: PrivateSlapd) -> None:
    """The terminal asks for the password without an echo, and the directory accepts what was typed."""
    add = ("folders", "add", "Private", "--owner", "anna", "--query", directory.url, "--user", directory.reader_dn)
    answers = {"Password of the directory's user (not shown):": directory.reader_password}
    exit_code, shown = cli.in_terminal(*add, "--tls", "none", answers=answers)
    assert exit_code == 0, shown
    assert "Added anna/Private" in shown
    assert directory.reader_password not in shown
    cli.ok("sync", "Private")


def test_a_user_without_a_password_is_refused_without_a_terminal(cli: CommandLine, person: Person) -> None:
    """The message names the ways to give a password, and nothing is stored."""
    assert_refused(cli("folders", "add", "Staff", "--query", "dc1", "--user", "x@example.com"), 64, "--password-stdin")
    assert count(person, "sync_definitions") == 0


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
        (["--query", "dc1", "--owner", "an/na"], '"an/na"'),
    ],
)
def test_a_definition_that_is_not_valid_is_not_stored(
    cli: CommandLine, person: Person, options: list[str], words: str
) -> None:
    """Every field is checked before anything is stored; the message says what is wrong, or what would be right."""
    done = cli("folders", "add", "Staff", *options)
    assert_refused(done, 64, words)
    assert "hunter22" not in done.stderr
    assert count(person, "folders") == 0


def test_a_mapping_may_come_from_standard_input(cli: CommandLine, person: Person) -> None:
    """`--mapping -` reads the mapping from standard input."""
    mapping = {"fields": {"title": ["description"]}}
    cli.ok("folders", "add", "Staff", "--query", "dc1", "--mapping", "-", typed=json.dumps(mapping))
    assert columns(person)["mapping"] == mapping


def test_names_are_found_without_owner_unless_that_is_ambiguous(cli: CommandLine, person: Person) -> None:
    """The owner may be omitted while one folder has the name; otherwise, or for a near miss, labels are shown."""
    add_definition(person, add_folder(person, "Private", "anna"), {"query": "dc1"})
    assert cli.json("folders", "show", "Private")["label"] == "anna/Private"
    assert_refused(cli("folders", "show", "anna/Privat"), 64, "Did you mean anna/Private?")
    add_definition(person, add_folder(person, "Private", "ben"), {"query": "dc1"})
    assert_refused(cli("folders", "pause", "Private"), 64, "anna/Private, ben/Private")
    assert_refused(cli("folders", "add", "Private", "--owner", "ben", "--query", "dc1"), 64, "exists already")


def test_a_definition_is_shown_with_the_values_in_effect(cli: CommandLine, person: Person) -> None:
    """A field without a value of its own shows the query's, that of settings.toml, or the built-in default."""
    query = "ldap://dc1/dc=example,dc=com??one?(mail=*)"
    add_definition(person, add_folder(person, "Staff", None), {"query": query, "base": "ou=x,dc=example,dc=com"})
    shown = cli("folders", "show", "Staff", CONTACTSYNC_GUARD__DELETE_COUNT="7").stdout
    for line in (
        "Base            ou=x,dc=example,dc=com",
        "Scope           one (in the query)",
        "Filter          (mail=*) (in the query), narrows the mapping's",
        "Mapping         the preset for the kind of server (default)",
        "Authentication  simple",
        "TLS             auto, 1.2 or later (default), certificate verified",
        "Max. deleted    7 contacts (default)",
        "Deadline        1,800 seconds (default)",
    ):
        assert line in shown.splitlines()


def test_an_edit_changes_what_is_given_and_nothing_else(
    cli: CommandLine, person: Person, directory: PrivateSlapd
) -> None:
    """Options that are not given keep their values; --clear sets the default."""
    define(person, directory, filter="(sn=*)", jitter_seconds=5)
    before = columns(person)
    done = cli("folders", "edit", "Staff", "--schedule", "@daily", "--clear", "filter")
    assert done.returncode == 0
    assert "held if it would delete" in done.stderr
    after = columns(person)
    assert {name for name in before if before[name] != after[name]} == {"schedule", "filter", "revision", "updated_at"}
    assert (after["schedule"], after["filter"]) == ("@daily", None)
    assert_refused(cli("folders", "edit", "Staff"), 64, "nothing to change")


@pytest.mark.usefixtures("staff")
def test_a_definition_has_one_password(cli: CommandLine, person: Person) -> None:
    """A sealed password replaces a reference, a reference replaces a sealed one, and none is left without a user."""
    cli.ok("folders", "edit", "Staff", "--password-stdin", typed="hunter22\n")
    assert columns(person)["password_ref"] is None
    cli.ok("folders", "edit", "Staff", "--password-ref", "env:OTHER")
    assert (columns(person)["password_ref"], columns(person)["password_sealed"]) == ("env:OTHER", None)
    cli.ok("folders", "edit", "Staff", "--clear", "user")
    assert (columns(person)["bind_user"], columns(person)["password_ref"]) == (None, None)


@pytest.mark.usefixtures("staff")
def test_a_removal_needs_a_confirmation(cli: CommandLine, person: Person) -> None:
    """The terminal asks, with the number of contacts; without a terminal --yes is needed."""
    cli.ok("sync", "Staff")
    assert_refused(cli("folders", "remove", "Staff"), 64, f"{PEOPLE} contacts deleted", "--yes")
    exit_code, shown = cli.in_terminal("folders", "remove", "Staff", answers={"[y/N]:": "n"})
    assert (exit_code, count(person)) == (1, PEOPLE)
    assert f"{PEOPLE} contacts deleted" in shown
    exit_code, _ = cli.in_terminal("folders", "remove", "Staff", answers={"[y/N]:": "y"})
    assert (exit_code, count(person), count(person, "sync_definitions")) == (0, 0, 0)


@pytest.mark.usefixtures("staff")
def test_a_removal_may_keep_the_contacts(cli: CommandLine, person: Person) -> None:
    """--keep-contacts leaves the contacts in the folder, without the definition."""
    cli.ok("sync", "Staff")
    assert f"{PEOPLE} contacts kept" in cli.ok("folders", "remove", "Staff", "--keep-contacts", "--yes")
    rows = person.execute("SELECT DISTINCT definition_id FROM contactsync.contacts").fetchall()
    assert (rows, count(person)) == ([(None,)], PEOPLE)
