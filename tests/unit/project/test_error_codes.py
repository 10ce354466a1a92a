"""The codes of errors: one enumeration has them all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import contactsync
from contactsync.api.problems import problem_of_error
from contactsync.errors import ContactsyncError, error_codes, exit_code_of

OF_COMMANDS = ("control", "definition.file", "demo", "fleet", "output")
"""The API never answers with these."""
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "errors.md"
SOURCES = Path(contactsync.__file__).parent


def classes(kind: type[ContactsyncError] = ContactsyncError) -> Iterator[type[ContactsyncError]]:
    """Every class of errors of the package."""
    yield kind
    for subclass in kind.__subclasses__():
        yield from classes(subclass)


def test_every_code_is_in_the_enumeration() -> None:
    """Those of classes anywhere, and those that are only written down."""
    for module in walk_packages(contactsync.__path__, "contactsync."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    of_classes = {kind.code for kind in classes() if kind.__module__.startswith("contactsync.")}
    written = {
        code
        for path in [*SOURCES.rglob("*.py"), *SOURCES.rglob("*.sql")]
        for code in re.findall(r"error_code\"? ?= ?(?:CASE .*THEN )?[\"\']([a-z_.]+)", path.read_text(encoding="utf-8"))
    }
    assert "run.interrupted" in written
    assert of_classes | written <= error_codes().keys()


def test_each_code_is_explained_in_a_sentence() -> None:
    """For the page of the codes."""
    assert all(re.fullmatch(r"[^\n]+\.", meaning) for meaning in error_codes().values())


def test_the_page_has_each_code_with_its_meaning_and_its_numbers() -> None:
    """A code that is new, another meaning, exit code or status is missed on the page."""
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith("| `")
    ]
    meanings = {code.strip("`"): meaning for code, meaning, *_ in rows}
    assert meanings == error_codes()
    assert {row[0].strip("`"): int(row[3]) for row in rows} == {code: int(exit_code_of(code)) for code in meanings}
    assert all(advice.endswith(".") for _, _, advice, *_ in rows)
    shown = {row[0].strip("`"): int(row[4]) for row in rows if row[4]}
    for kind in classes():
        if kind.__module__ == ContactsyncError.__module__ and not kind.code.startswith(OF_COMMANDS):
            error = kind.__new__(kind)
            ContactsyncError.__init__(error, "It failed.")
            assert shown[kind.code] == problem_of_error(error).status, kind.code
