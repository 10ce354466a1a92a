"""Hints in answers of the API name routes and fields, or pages of the console, not commands and options."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import contactsync
from contactsync.api.hints import FORM_FIELDS, PAGES, ROUTES, for_people, for_programs
from contactsync.web.pages.fields import form_fields

PACKAGE = Path(contactsync.__file__).parent
OF_THE_API = ("api", "checks", "credentials", "dispatch", "ldap", "mapping", "operations", "schedule", "store", "sync")
COMMANDS = re.compile(rf"contactsync ({'|'.join(ROUTES)})\b|--[a-z]")


def hints() -> Iterator[str]:
    """Every hint that these folders may raise, with a number in place of what is filled in."""
    for path in (path for folder in OF_THE_API for path in (PACKAGE / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "hint":
                yield "".join(
                    part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "12"
                    for part in (node.value.values if isinstance(node.value, ast.JoinedStr) else [node.value])
                )


def test_no_hint_names_a_command_that_has_a_route() -> None:
    """Nor an option."""
    found = list(hints())
    assert sum(bool(COMMANDS.search(hint)) for hint in found) > 20
    assert [hint for hint in map(for_programs, found) if COMMANDS.search(hint)] == []


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        ("`contactsync runs` lists the newest ones.", "GET /v1/runs lists the newest ones."),
        ("To make its changes again: contactsync undo 12", "To make its changes again: POST /v1/runs/12/undo"),
        ("See it now: contactsync preview NAME.", "See it now: POST /v1/definitions/ID/preview."),
        ("Set a smaller page size: --page-size 100.", "Set a smaller page size: `page_size` 100."),
        ("`tls_verify` false (--no-tls-verify) skips the check.", "`tls_verify` false skips the check."),
        ("Run `contactsync migrate`.", "Run `contactsync migrate`."),
    ],
)  # fmt: skip
def test_a_command_becomes_its_route(hint: str, expected: str) -> None:
    """With the number, if it has one; a command that only the daemon's machine has stays."""
    assert for_programs(hint) == expected


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        ("`contactsync runs` lists the newest ones.", 'The page "Runs" lists the newest ones.'),
        ("See `contactsync runs show 12`.", 'See the page "Run 12".'),
        ("To make its changes again: contactsync undo 12", 'To make its changes again: the page "Undo run 12"'),
        ("Remove the obstacle, or set --mode auto.", 'Remove the obstacle, or set "Mode" to auto.'),
        ("`tls_verify` false (--no-tls-verify) skips", '"Verify the server\'s certificate" without a mark skips'),
        ('Set "identity" in the mapping.', 'Set "identity" in the mapping.'),
        ("Run `contactsync migrate`.", "Run `contactsync migrate` on the daemon's machine."),
        ("On the daemon's machine: `contactsync tokens list`.", "On the daemon's machine: `contactsync tokens list`."),
    ],
)  # fmt: skip
def test_a_command_becomes_a_page_of_the_console(hint: str, expected: str) -> None:
    """People there cannot call a route."""
    assert for_people(hint) == expected


def test_no_hint_for_people_is_for_a_shell() -> None:
    """It says where the few commands are run that no page has; nor has it an option."""
    reworded = {hint: for_people(hint) for hint in hints()}
    assert [hint for hint in reworded.values() if re.search("--[a-z]|systemctl", hint)] == []
    left = [hint for hint in reworded.values() if "`contactsync " in hint and "daemon's machine" not in hint]
    assert left == []


def test_the_console_has_the_pages_that_hints_name() -> None:
    """And the fields of its forms, under the same words."""
    texts = (PACKAGE / "web" / "locale" / "de" / "LC_MESSAGES" / "contactsync.po").read_text(encoding="utf-8")
    fields = {field.name: field.words for field in form_fields(str).values()}
    assert FORM_FIELDS.items() <= {name.replace("_", "-"): words for name, words in fields.items()}.items()
    named = {place.split('"')[1].replace("ID", "%(id)s") for place in PAGES.values()}
    assert [name for name in named if f'msgid "{name}"' not in texts] == []
