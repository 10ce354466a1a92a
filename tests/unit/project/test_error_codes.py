"""The codes of errors: one enumeration has them all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import contactsync
from contactsync.errors import ContactsyncError, error_codes

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
