"""`contactsync check` and `contactsync browse`."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from contactsync.testing.slapd import PrivateSlapd
from tests.support.definitions import PEOPLE, Person, count, define
from tests.support.processes import CommandLine, assert_refused, visible_lines, width

STEPS = [
    "definition", "dns", "tcp", "tls", "bind", "root_dse", "base",
    "filter", "identity", "paging", "changes", "deleted_objects", "sample", "plan",
]  # fmt: skip
WRONG_PASSWORD = "correct horse battery staple"


@pytest.fixture
def options(cli: CommandLine, directory: PrivateSlapd) -> list[str]:
    """Give the options for the directory over LDAPS with its reader, the password by reference."""
    cli.environ["READER"] = directory.reader_password
    user = ["--user", directory.reader_dn, "--password-ref", "env:READER"]
    return ["--query", directory.tls_url, *user, "--ca-file", str(directory.ca_file)]


@pytest.fixture
def encrypted(cli: CommandLine, person: Person, directory: PrivateSlapd) -> None:
    """Define the folder Staff without a warning: with StartTLS."""
    cli.environ["READER"] = directory.reader_password
    define(person, directory, tls="auto", tls_ca_file=str(directory.ca_file), schedule="manual")


def statuses(shown: str) -> list[str]:
    """The status of each step, the first word of its line."""
    return re.findall(r"^(ok|warning|failed|skipped) +[A-Z]", shown, re.MULTILINE)


def test_a_definition_is_checked_before_it_is_saved(
    cli: CommandLine, options: list[str], person: Person, directory: PrivateSlapd
) -> None:
    """The output has a line for each step and five contacts; nothing is stored."""
    shown = cli.ok("check", *options)
    assert statuses(shown) == ["ok"] * 11 + ["skipped"] + ["ok"] * 2
    assert f"finds {PEOPLE} entries" in shown
    assert f"A new folder would get {PEOPLE} contacts" in shown
    assert shown.splitlines()[-1] == "The definition works."
    assert shown.count("@example.test") >= 3
    assert directory.reader_password not in shown
    assert count(person, "folders") == 0


@pytest.mark.usefixtures("encrypted")
def test_a_stored_definition_is_checked_up_to_its_plan(cli: CommandLine, person: Person) -> None:
    """The plan is not applied and no run is recorded; after a run there is nothing to do."""
    shown = cli.ok("check", "Staff")
    assert shown.splitlines()[-1] == "Staff works."
    assert f"A run would insert {PEOPLE}, update 0 and delete 0 contacts." in shown
    assert (count(person), count(person, "sync_runs")) == (0, 0)
    cli.ok("sync", "Staff")
    assert "A run would insert 0, update 0 and delete 0 contacts." in cli.ok("check", "Staff")


@pytest.mark.usefixtures("encrypted")
def test_an_edit_is_tried_before_it_is_made(cli: CommandLine, person: Person) -> None:
    """The option overrides the stored value, which does not change."""
    shown = cli.ok("check", "Staff", "--filter", "(uid=u000001)")
    assert "(uid=u000001)) (narrows the mapping's) finds 1 entry." in shown
    assert "A run would insert 1, update 0 and delete 0 contacts." in shown
    assert person.execute("SELECT filter FROM contactsync.sync_definitions").fetchone() == (None,)


def test_a_failed_step_ends_with_1_and_says_what_to_do(
    cli: CommandLine, options: list[str], directory: PrivateSlapd
) -> None:
    """With a wrong password, the steps before it succeed, and those that need it are skipped with the reason."""
    options[options.index("--password-ref") + 1] = "env:WRONG"
    done = cli("check", *options, WRONG=WRONG_PASSWORD)
    assert done.returncode == 1
    assert statuses(done.stdout) == ["ok"] * 4 + ["failed"] + ["skipped"] * 9
    assert f'refused the user "{directory.reader_dn}"' in done.stdout
    assert "-> Check the user and the password" in done.stdout
    assert 'Not checked, because "Bind" failed.' in done.stdout
    assert done.stdout.splitlines()[-1] == "The definition does not work: 1 step failed."
    assert WRONG_PASSWORD not in done.stdout


def test_the_password_may_come_from_standard_input(
    cli: CommandLine, options: list[str], directory: PrivateSlapd
) -> None:
    """--password-stdin works as in `folders add`."""
    at = options.index("--password-ref")
    cli.ok("check", *options[:at], *options[at + 2 :], "--password-stdin", typed=directory.reader_password + "\n")


def test_the_check_is_a_json_document_for_scripts(
    cli: CommandLine, options: list[str], directory: PrivateSlapd
) -> None:
    """It has every step with its status, its seconds and its data; the exit code is the same."""
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
    ("arguments", "words"),
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
def test_a_check_without_a_definition_is_wrong_usage(cli: CommandLine, arguments: list[str], words: str) -> None:
    """The exit code is 64, with a sentence."""
    assert_refused(cli(*arguments), 64, words)


def test_a_check_fits_a_terminal_of_eighty_columns(cli: CommandLine, options: list[str]) -> None:
    """A terminal gets marks in place of words, and no line that it has to wrap."""
    exit_code, shown = cli.in_terminal("check", *options)
    assert (exit_code, width(shown) <= 80) == (0, True)
    assert len([line for line in visible_lines(shown) if line.startswith("✓ ")]) == 13


def test_browsing_leads_to_a_base_that_can_be_copied(
    cli: CommandLine, options: list[str], directory: PrivateSlapd
) -> None:
    """The commands for the next level and for a definition are printed below the entries, and work as printed."""
    shown = cli.ok("browse", *options)
    assert re.search(rf"^{directory.suffix}\n.*\nou=people +organizationalUnit +7 ", shown)
    assert f"folders add NAME --query {directory.tls_url} --base {directory.people_base}" in shown
    assert "ou=Sales" in cli.ok("browse", *options, f"ou=people , {directory.suffix}")
    browse, add = (shlex.split(line)[1:] for line in shown.splitlines() if line.startswith("  contactsync "))
    assert "ou=Sales" in cli.ok(*browse)
    assert "Added NAME" in cli.ok(*add)


@pytest.mark.usefixtures("encrypted")
def test_browsing_shows_the_contacts_of_entries(cli: CommandLine, directory: PrivateSlapd) -> None:
    """With a stored definition; the output says if there are more entries than the limit."""
    base = f"ou=Sales,{directory.people_base}"
    shown = cli.ok("browse", "Staff", base, "--limit", "2")
    assert "<" in shown
    assert "There are more than these 2" in shown
    assert f"folders edit Staff --base {base}" in shown
    (level,) = cli.json("browse", "Staff", base)["levels"]
    assert {node["object_class"] for node in level["nodes"]} == {"inetOrgPerson"}
    assert all(node["dn"].endswith(base) for node in level["nodes"])
