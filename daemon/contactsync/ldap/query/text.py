"""Text fields: trimmed, checked, and shown in messages."""

from __future__ import annotations

import unicodedata

from contactsync.errors import QueryError
from contactsync.text import quoted

MAX_CHARACTERS = 8192
"""Longer than any real query, and short enough for every parser."""

_SHOWN_CHARACTERS = 80


def tidy(text: str) -> str:
    """The text without surrounding spaces; raises QueryError if it is too long or has control characters."""
    text = text.strip()
    if len(text) > MAX_CHARACTERS:
        raise QueryError(f"The text is {len(text)} characters long; {MAX_CHARACTERS} are allowed.")
    return refuse_control_characters(text)


def refuse_control_characters(text: str) -> str:
    """The same text; raises QueryError for a control character or half a surrogate pair."""
    for position, character in enumerate(text, start=1):
        if unicodedata.category(character) in {"Cc", "Cs"}:
            raise QueryError(f"Character {position} is U+{ord(character):04X}, a control character.")
    return text


def shown(text: str) -> str:
    """The text in quotation marks for a message, shortened if it is long."""
    return quoted(text, most=_SHOWN_CHARACTERS)
