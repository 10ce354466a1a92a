"""What people type into a field: tidied, measured, and safe to show again."""

from __future__ import annotations

import unicodedata

from contactsync.errors import QueryError

MAX_CHARACTERS = 8192
"""Longer than any query that people write, short enough for every parser to be done at once."""

_SHOWN_CHARACTERS = 80


def tidy(text: str) -> str:
    """The text without spaces around it; QueryError when it is too long or holds what cannot be typed."""
    text = text.strip()
    if len(text) > MAX_CHARACTERS:
        raise QueryError(f"This is {len(text)} characters long; {MAX_CHARACTERS} are possible.")
    return refuse_control_characters(text)


def refuse_control_characters(text: str) -> str:
    """The same text; QueryError when it holds a NUL, another control character, or half a surrogate pair."""
    for position, character in enumerate(text, start=1):
        if unicodedata.category(character) in {"Cc", "Cs"}:
            raise QueryError(f"Character {position} is U+{ord(character):04X}, a control character.")
    return text


def shown(text: str) -> str:
    """The text in quotation marks for a message, shortened when it is long."""
    return f'"{text}"' if len(text) <= _SHOWN_CHARACTERS else f'"{text[:_SHOWN_CHARACTERS]}…"'
