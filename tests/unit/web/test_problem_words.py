"""The daemon's sentences about errors in other languages than English, by their codes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from markupsafe import escape

from contactsync.errors import UsageError
from contactsync.web.language import use_language
from contactsync.web.words.problems import CODES, in_words, problem_of

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
DOCUMENTED = set(re.findall(r"^\| `([a-z_.0-9]+)` \|", PAGE, re.MULTILINE))
OF_FOLDERS = {code for code in DOCUMENTED if code.split(".")[0] in {"definition", "directory", "run", "undo", "web"}}
ELSEWHERE = {"definition.file", "definition.plan_outdated", "web.actor", "web.peer"}
"""Codes that no page of the console can have."""


@pytest.fixture(autouse=True)
def _german() -> Iterator[None]:
    use_language("de")
    yield
    use_language("en")


def test_each_code_that_people_with_folders_meet_has_words() -> None:
    """And no code has words that does not exist; `run.held` is the reason for a state, which has no code."""
    assert {"run.held"} == CODES - DOCUMENTED
    assert OF_FOLDERS - ELSEWHERE <= CODES


def test_the_translation_comes_first_and_the_daemons_own_sentence_after_it() -> None:
    """That has the names and numbers. It is marked as English, and it is text, whatever a server has sent."""
    hostile = '"<script>alert(1)</script>" is no filter.'
    said = str(escape(in_words("directory.filter", hostile, "Correct it.")))
    assert said.startswith("Der Filter der Suche ist ungültig. <span")
    assert 'lang="en"' in said
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&#34; is no filter. Correct it.</span>" in said
    assert len(in_words("directory.filter", "x" * 10_000)) < 1000
    assert problem_of(UsageError("No.", hint="Do it."))["hint"] == ""


def test_a_longer_code_has_the_words_of_the_shorter_one() -> None:
    """Active Directory's reasons are codes of their own. What is not known stays as it is."""
    assert "Passwort abgelehnt" in in_words("directory.credentials.52e", "invalidCredentials (49)")
    assert in_words("something.else", "A message.", "A hint.") == "A message. A hint."
    assert in_words(None, "A message.") == "A message."


def test_in_english_the_sentence_is_the_daemons() -> None:
    """Which says more than the code."""
    use_language("en")
    assert in_words("directory.filter", "It is <wrong>.", "Do it.") == "It is <wrong>. Do it."
    assert problem_of(UsageError("No.", hint="Do it.")) == {"detail": "No.", "hint": "Do it."}
