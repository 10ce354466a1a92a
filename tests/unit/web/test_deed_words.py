"""The words for what users did, and how."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from contactsync.web.language import use_language
from contactsync.web.words.deeds import ACTIONS, deed_words, way_words

SQL = Path(__file__).parents[3] / "docs" / "reference" / "sql.md"


def documented_actions() -> set[str]:
    """The actions in the table about contactsync.audit."""
    (row,) = re.findall(r"^\| `action` \| (.+) \|$", SQL.read_text(encoding="utf-8"), re.MULTILINE)
    return set(re.findall(r"`([^`]+)`", row))


def test_each_action_has_words() -> None:
    """An action without words would stand on the page as a code."""
    assert set(ACTIONS) == documented_actions()


@pytest.mark.parametrize(("language", "words"), [("en", "run approved"), ("de", "Lauf genehmigt")])
def test_a_deed_has_words_in_each_language(language: str, words: str) -> None:
    """Of the request."""
    use_language(language)
    assert deed_words({"action": "run.approved"}) == words
    assert deed_words({"action": "moon.eclipsed"}) == "moon.eclipsed"


def test_a_token_is_a_way_of_its_own() -> None:
    """A program with a token comes by the API as well."""
    use_language("en")
    assert way_words({"actor_kind": "token", "via": "api"}) == "with a token"
    assert way_words({"actor_kind": "unix", "via": "cli"}) == "on the command line"
