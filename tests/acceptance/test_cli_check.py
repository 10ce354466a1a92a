"""`contactsync check` and `contactsync browse` from outside: the real command, a real slapd, a real PostgreSQL."""

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
STEPS = [
    "definition", "dns", "tcp", "tls", "bind", "root_dse", "base",
    "filter", "identity", "paging", "changes", "deleted_objects", "sample", "plan",
]  # fmt: skip
WRONG_PASSWORD = "correct horse battery staple"
COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def directory(make_slapd: Callable[..., PrivateSlapd]) -> PrivateSlapd:
    """Start a slapd with thirty people."""
    return make_slapd(ldif=people_ldif(PEOPLE, seed=5))


@pytest.fixture
def options(cli: Cli, directory: PrivateSlapd) -> list[str]:
    """Give the options that ask the directory over LDAPS as its reader, the password by reference."""
    cli.environ["READER"] = directory.reader_password
    user = ["--user", directory.reader_dn, "--password-ref", "env:READER"]
    return ["--query", directory.tls_url, *user, "--ca-file", str(directory.ca_file)]


@pytest.fixture
def staff(cli: Cli, person: Person, directory: PrivateSlapd) -> None:
    """Store a definition that works."""
    cli.environ["READER"] = directory.reader_password
    source = {"query": f"{directory.url}/{directory.suffix}", "bind_user": directory.reader_dn}
    folder_id = add_folder(person, "Staff", None)
    trust = {"password_ref": "env:READER", "tls_ca_file": str(directory.ca_file), "schedule": "manual"}
    add_definition(person, folder_id, {**source, **trust})


def words(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Give the word for its status with which each step's line begins."""
    assert done.stderr == ""
    return re.findall(r"^(ok|warning|failed|skipped) +[A-Z]", done.stdout, re.MULTILINE)


def test_a_definition_is_checked_before_it_is_saved(
    cli: Cli, options: list[str], person: Person, directory: PrivateSlapd
) -> None:
    """Exit code 0, a line for each step, five contacts, and nothing is stored anywhere."""
    done = cli("check", *options)
    assert done.returncode == 0
    assert words(done) == ["ok"] * 11 + ["skipped"] + ["ok"] * 2
    assert f"finds {PEOPLE} entries" in done.stdout
    assert f"A new folder would get {PEOPLE} contacts" in done.stdout
    assert done.stdout.splitlines()[-1] == "The definition works."
    assert done.stdout.count("@example.test") >= 3
    assert directory.reader_password not in done.stdout
    assert person.execute("SELECT count(*) FROM contactsync.folders").fetchone() == (0,)


@pytest.mark.usefixtures("staff")
def test_a_stored_definition_is_checked_up_to_its_real_plan(cli: Cli, person: Person) -> None:
    """Nothing of it is applied, no run is recorded; after a run there is nothing to do."""
    done = cli("check", "Staff")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "Staff works.")
    assert f"A run would insert {PEOPLE}, update 0 and delete 0 contacts." in done.stdout
    assert person.execute("SELECT count(*) FROM contactsync.contacts").fetchone() == (0,)
    assert person.execute("SELECT count(*) FROM contactsync.sync_runs").fetchone() == (0,)
    assert cli("sync", "Staff").returncode == 0
    assert "A run would insert 0, update 0 and delete 0 contacts." in cli("check", "Staff").stdout


@pytest.mark.usefixtures("staff")
def test_an_edit_is_tried_before_it_is_made(cli: Cli, person: Person) -> None:
    """The option stands in for what is stored, which stays as it is."""
    done = cli("check", "Staff", "--filter", "(uid=u000001)")
    assert done.returncode == 0
    assert "(uid=u000001) finds 1 entry." in done.stdout
    assert "A run now would add 1, change 0 and delete 0." in done.stdout
    assert person.execute("SELECT filter FROM contactsync.sync_definitions").fetchone() == (None,)


def test_a_failed_step_ends_with_1_and_says_what_to_do(cli: Cli, options: list[str], directory: PrivateSlapd) -> None:
    """A wrong password: all before it is good, all that needs it is left out with the reason."""
    options[options.index("--password-ref") + 1] = "env:WRONG"
    done = cli("check", *options, WRONG=WRONG_PASSWORD)
    assert done.returncode == 1
    assert words(done) == ["ok"] * 4 + ["failed"] + ["skipped"] * 9
    assert f"refused the user '{directory.reader_dn}'" in done.stdout
    assert "-> Check the user and the password" in done.stdout
    assert 'Not checked, because "Bind" failed.' in done.stdout
    assert done.stdout.splitlines()[-1] == "The definition does not work: 1 step failed."
    assert WRONG_PASSWORD not in done.stdout


def test_the_password_may_come_from_standard_input(cli: Cli, options: list[str], directory: PrivateSlapd) -> None:
    """As for `folders add`."""
    at = options.index("--password-ref")
    done = cli("check", *options[:at], *options[at + 2 :], "--password-stdin", typed=directory.reader_password + "\n")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_check_is_a_json_document_for_scripts(cli: Cli, options: list[str], directory: PrivateSlapd) -> None:
    """Every step with its status, its seconds and its data; the exit code is the same."""
    document = cli.json("check", *options)
    assert (document["ok"], document["label"]) == (True, None)
    assert [step["name"] for step in document["steps"]] == STEPS
    assert {step["status"] for step in document["steps"]} == {"ok", "skipped"}
    by_name = {step["name"]: step for step in document["steps"]}
    assert by_name["tls"]["data"]["chain"][0]["names"] == ["localhost", directory.name_in_domain, "127.0.0.1", "::1"]
    assert len(by_name["sample"]["data"]["contacts"]) == 5
    assert all(step["seconds"] >= 0 for step in document["steps"])

    done = cli("check", *options, "--base", f"ou=nobody,{directory.suffix}", "--json")
    assert (done.returncode, json.loads(done.stdout)["ok"]) == (1, False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check"], "Neither a NAME nor a --query"),
        (["check", "Nobody"], 'no folder or definition named "Nobody"'),
        (["check", "--query", "localhost", "--user", "cn=x"], "needs a password"),
        (["check", "--query", "localhost", "--tls", "perhaps"], "perhaps"),
        (["check", "--query", "localhost", "--mapping", "{"], "not JSON"),
        (["browse"], "Neither a NAME nor a --query"),
        (["browse", "Staff", "dc=x", "--query", "localhost"], "NAME or --query"),
        (["browse", "--query", "localhost", "people"], "people"),
    ],
)
def test_what_cannot_be_looked_at_is_wrong_usage(cli: Cli, arguments: list[str], said: str) -> None:
    """Exit code 64 and one sentence."""
    done = cli(*arguments)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr.startswith("Error: ")
    assert said in done.stderr


def test_a_check_fits_a_terminal_of_eighty_columns(cli: Cli, options: list[str]) -> None:
    """With ticks in place of words, and no line that the terminal has to break."""
    code, seen = cli.in_terminal("check", *options)
    lines = [COLOURS.sub("", line).split("\r")[-1].rstrip() for line in seen.replace("\r\n", "\n").split("\n")]
    assert code == 0
    assert len([line for line in lines if line.startswith("✓ ")]) == 13
    assert max(map(cell_len, lines)) <= 80


def test_browsing_leads_to_a_base_that_can_be_copied(cli: Cli, options: list[str], directory: PrivateSlapd) -> None:
    """From the naming context to the departments; the command for more stands below."""
    done = cli("browse", *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(rf"^{directory.suffix}\n.*\nou=people +organizationalUnit +7 ", done.stdout)
    assert f"folders add NAME --query {directory.tls_url} --base {directory.people_base}" in done.stdout

    below = cli("browse", *options, f"ou=people , {directory.suffix}")
    assert "ou=Sales" in below.stdout


@pytest.mark.usefixtures("staff")
def test_browsing_shows_what_people_would_be(cli: Cli, directory: PrivateSlapd) -> None:
    """With the stored definition; more than the limit is said."""
    base = f"ou=Sales,{directory.people_base}"
    done = cli("browse", "Staff", base, "--limit", "2")
    assert "<" in done.stdout
    assert "There are more than these 2" in done.stdout
    assert f"folders edit Staff --base {base}" in done.stdout
    (level,) = cli.json("browse", "Staff", base)["levels"]
    assert {node["object_class"] for node in level["nodes"]} == {"inetOrgPerson"}
    assert all(node["dn"].endswith(base) for node in level["nodes"])
