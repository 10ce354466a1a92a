"""The stored password of a definition that is edited on the command line or by SQL."""

from __future__ import annotations

import pytest

from contactsync.testing.slapd import PrivateSlapd
from tests.support.definitions import Person
from tests.support.processes import CommandLine, assert_refused


@pytest.fixture
def staff(cli: CommandLine, slapd: PrivateSlapd) -> None:
    """Add a folder with a sealed password."""
    arguments = ("folders", "add", "Staff", "--query", f"{slapd.url}/{slapd.suffix}", "--user", slapd.reader_dn)
    cli.ok(*arguments, "--tls", "none", "--password-stdin", typed=f"{slapd.reader_password}\n")


pytestmark = pytest.mark.usefixtures("staff")


def edit(cli: CommandLine, *options: str, typed: str = "") -> None:
    """Edit the folder; the command succeeds, with or without a warning."""
    done = cli("folders", "edit", "Staff", *options, typed=typed)
    assert done.returncode == 0, done


def test_an_edit_of_the_server_or_of_tls_needs_the_password_again(cli: CommandLine, slapd: PrivateSlapd) -> None:
    """The rule of the command line is that of the API: a stored password goes nowhere else."""
    for options in (
        ("--query", f"ldap://localhost:{slapd.port}/{slapd.suffix}"),
        ("--tls", "starttls", "--ca-file", str(slapd.ca_file)),
    ):
        assert_refused(cli("folders", "edit", "Staff", *options), 64, "has to be given again", "--password-prompt")
        edit(cli, *options, "--password-stdin", typed=f"{slapd.reader_password}\n")
        cli.ok("sync", "Staff")


def test_an_edit_by_sql_is_not_made_valid_by_the_next_edit(
    cli: CommandLine, person: Person, slapd: PrivateSlapd
) -> None:
    """After an edit by SQL, neither an edit of other fields nor one of the query sends the password anywhere."""
    person.execute("UPDATE contactsync.sync_definitions SET query = 'ldap://127.0.0.1:1'")
    edit(cli, "--schedule", "@daily")
    done = cli("sync", "Staff")
    assert done.returncode == 1
    assert "is not sent" in done.stdout + done.stderr
    query = ("--query", f"ldap://localhost:{slapd.port}/{slapd.suffix}")
    assert_refused(cli("folders", "edit", "Staff", *query), 64, "has to be given again", "--password-prompt")
    edit(cli, *query, "--password-stdin", typed=f"{slapd.reader_password}\n")
    cli.ok("sync", "Staff")


def test_a_check_of_an_edit_uses_the_stored_password(cli: CommandLine, slapd: PrivateSlapd) -> None:
    """`check` tries the password with another server before the edit is saved."""
    done = cli("check", "Staff", "--query", f"ldap://localhost:{slapd.port}/{slapd.suffix}")
    assert "not sent" not in done.stdout
    assert f"ldap://localhost:{slapd.port}" in done.stdout


@pytest.mark.parametrize("reference", ["file:/etc/shadow", "credential:secret.key", "env:PGPASSWORD"])
def test_a_reference_that_is_not_allowed_is_not_stored(cli: CommandLine, reference: str) -> None:
    """The message names the setting that allows it."""
    allowed = "file:/etc/contactsync/* credential:* env:LDAP_*"
    for command in (("add", "More", "--query", "dc1", "--user", "a@b"), ("edit", "Staff")):
        done = cli("folders", *command, "--password-ref", reference, CONTACTSYNC_SECRETS__REFERENCES=allowed)
        assert_refused(done, 64, f"do not allow the reference {reference}", "[secrets]")
