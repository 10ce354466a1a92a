"""`contactsync folders rights`: who may see and who may edit a folder."""

from __future__ import annotations

from contactsync.testing.slapd import PrivateSlapd
from tests.support.definitions import Person, define
from tests.support.processes import CommandLine, assert_refused

GROUP = "CN=Sales, OU=Groups,DC=example,DC=com"


def test_rights_are_granted_shown_and_revoked(cli: CommandLine, person: Person, directory: PrivateSlapd) -> None:
    """Without a daemon. A new right replaces the one before, in any spelling of the name; the audit has the user."""
    define(person, directory, "Staff")
    folder = ("folders", "rights")
    assert "Everyone who signs in" in cli.ok(*folder, "show", "Staff")
    cli.ok(*folder, "grant", "Staff", " anna ", "--may", "edit")
    cli.ok(*folder, "grant", "Staff", GROUP, "--group", "--may", "edit")
    cli.ok(*folder, "grant", "Staff", "cn=sales,ou=Groups,dc=example,dc=com", "--group", "--may", "view")
    shown = cli.json(*folder, "show", "Staff")
    assert [(each["who"], each["is_group"], each["right"]) for each in shown["rights"]] == [
        ("anna", False, "edit"),
        ("cn=sales,ou=Groups,dc=example,dc=com", True, "view"),
    ]
    assert shown["everybody"] is False
    table = cli.ok(*folder, "revoke", "Staff", " ANNA ")
    assert ("Only these" in table, " group " in table, " person " in table) == (True, True, False)
    assert_refused(cli(*folder, "revoke", "Staff", "anna"), 64, "The person", "has no right in this folder")
    assert "Everyone who signs in" in cli.ok(*folder, "revoke", "Staff", GROUP, "--group")
    define(person, directory, "Private")
    person.execute("UPDATE contactsync.folders SET owner = 'anna' WHERE name = 'Private'")
    assert "anna owns anna/Private" in cli.ok(*folder, "show", "anna/Private")
    assert_refused(cli(*folder, "grant", "Staff", "bob", "--may", "own"), 64, "view")
    assert_refused(cli(*folder, "grant", "Staff", "b" * 257, "--may", "view"), 64, "256 characters")
    assert_refused(cli(*folder, "show", "Nowhere"), 64, "Nowhere")
    deeds = [deed for deed in cli.json("audit") if deed["action"] == "rights.set"]
    assert [deed["via"] for deed in deeds] == ["cli"] * 5
    assert deeds[2]["after"]["before"] == ["anna: edit", f"group {GROUP}: edit"]
