"""What the command line does with a stored password when a definition is edited, by it or behind its back."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from contactsync.testing.slapd import PrivateSlapd
from tests.support.processes import CommandLine

Person = psycopg.Connection[Any]


@pytest.fixture
def staff(cli: CommandLine, slapd: PrivateSlapd) -> CommandLine:
    """Add a folder with a sealed password, as a person does, and give the command line."""
    arguments = ("folders", "add", "Staff", "--query", f"{slapd.url}/{slapd.suffix}", "--user", slapd.reader_dn)
    done = cli(*arguments, "--tls", "none", "--password-stdin", typed=f"{slapd.reader_password}\n")
    assert done.returncode == 0, done.stderr
    return cli


def succeeds(cli: CommandLine, *arguments: str, typed: str = "") -> None:
    """Run a command that ends well."""
    done = cli(*arguments, typed=typed)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_password_goes_along_with_an_edit_of_the_command_line(staff: CommandLine, slapd: PrivateSlapd) -> None:
    """Who has the key may say where the password goes, and need not type it again."""
    succeeds(staff, "folders", "edit", "Staff", "--query", f"ldap://localhost:{slapd.port}/{slapd.suffix}")
    succeeds(staff, "sync", "Staff")
    succeeds(staff, "folders", "edit", "Staff", "--tls", "starttls", "--ca-file", str(slapd.ca_file))
    succeeds(staff, "sync", "Staff")


def test_an_edit_behind_its_back_is_not_made_good_by_the_next(
    staff: CommandLine, person: Person, slapd: PrivateSlapd
) -> None:
    """Neither by one that leaves where the password goes, nor by one that sets it; only the password itself does."""
    person.execute("UPDATE contactsync.sync_definitions SET query = 'ldap://127.0.0.1:1'")
    succeeds(staff, "folders", "edit", "Staff", "--schedule", "@daily")
    done = staff("sync", "Staff")
    assert done.returncode == 1
    assert "it is not sent" in done.stdout + done.stderr
    query = ("folders", "edit", "Staff", "--query", f"ldap://localhost:{slapd.port}/{slapd.suffix}")
    done = staff(*query)
    assert (done.returncode, "has to be given again" in done.stderr) == (64, True)
    assert "--password-prompt" in done.stderr
    succeeds(staff, *query, "--password-stdin", typed=f"{slapd.reader_password}\n")
    succeeds(staff, "sync", "Staff")


def test_an_edit_is_tried_with_the_stored_password(staff: CommandLine, slapd: PrivateSlapd) -> None:
    """`check` asks another server with it before the edit is made, as who has the key wants it to."""
    done = staff("check", "Staff", "--query", f"ldap://localhost:{slapd.port}/{slapd.suffix}")
    assert "not sent" not in done.stdout
    assert f"ldap://localhost:{slapd.port}" in done.stdout


@pytest.mark.parametrize("command", [("add", "More", "--query", "dc1", "--user", "a@b"), ("edit", "Staff")])
@pytest.mark.parametrize("reference", ["file:/etc/shadow", "credential:secret.key", "env:PGPASSWORD"])
def test_a_reference_that_is_not_allowed_is_not_saved(
    staff: CommandLine, command: tuple[str, ...], reference: str
) -> None:
    """The sentence says which setting allows it."""
    allowed = "file:/etc/contactsync/* credential:* env:LDAP_*"
    done = staff("folders", *command, "--password-ref", reference, CONTACTSYNC_SECRETS__REFERENCES=allowed)
    assert (done.returncode, done.stdout) == (64, "")
    assert f"do not allow the reference {reference}" in done.stderr
    assert "[secrets]" in done.stderr
