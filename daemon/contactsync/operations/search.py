"""Searches that ignore accents and case: the words become regular expressions, so that the rows need not be folded."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

_SCRIPTS = (
    range(0xC0, 0x250),
    range(0x1E00, 0x1F00),  # Latin
    range(0x370, 0x400),
    range(0x1F00, 0x2000),  # Greek
    range(0x400, 0x530),  # Cyrillic
)
"""The letters whose accents are ignored. In other scripts a mark makes another letter, or belongs to its syllable."""
_LETTERS = {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "\u0131": "i", "þ": "t", "æ": "ae", "œ": "oe"}
"""Letters that Unicode does not decompose."""
_LIGATURES = {"ss": "ßẞ", "ae": "æÆǼǽǢǣ", "oe": "œŒ"}
_PART = re.compile(f"{'|'.join(_LIGATURES)}|.", re.DOTALL)
_MARK = "\u0300-\u036f"
"""Combining marks, which follow a letter in decomposed text."""
_NUMBER = re.compile(r"\+?[-0-9./()]+")
_FEWEST_DIGITS = 3
_BETWEEN_DIGITS = "[-./() \u00a0]*"
_SPECIAL = re.compile(r"([.\[\]{}()\\*+?^$|])")


def patterns_of(text: str) -> list[str]:
    """A regular expression of PostgreSQL for each word of the text, the longest word first: it excludes most rows.

    Each is for one line of text: a telephone number is found however its digits are grouped.
    """
    words = sorted(unicodedata.normalize("NFC", text).split(), key=len, reverse=True)
    return [pattern for word in words if (pattern := _pattern(word))]


def _pattern(word: str) -> str:
    digits = re.sub(r"[^0-9]", "", word)
    if len(digits) >= _FEWEST_DIGITS and _NUMBER.fullmatch(word):
        return (r"\+" if word.startswith("+") else "") + _BETWEEN_DIGITS.join(digits)
    folded = "".join(map(_base, word.casefold()))
    return "".join(map(_part, _PART.findall(folded)))


def _part(text: str) -> str:
    letters = "".join(map(_letter, text))
    return f"(?:{letters}|[{_LIGATURES[text]}])" if text in _LIGATURES else letters


def _base(character: str) -> str:
    """A letter without its accents, in small letters; nothing for an accent alone."""
    if re.match(f"[{_MARK}]", character):
        return ""
    if not any(ord(character) in script for script in _SCRIPTS):
        return character.casefold()
    base = re.sub(f"[{_MARK}]", "", unicodedata.normalize("NFD", character)).casefold()
    return "".join(_LETTERS.get(letter, letter) for letter in base)


def _letter(letter: str) -> str:
    variants = {letter, letter.upper(), *_variants().get(letter, ())}
    single = sorted(variant for variant in variants if len(variant) == 1)
    if len(single) == 1:
        return _SPECIAL.sub(r"\\\1", letter)
    return f"[{''.join(single)}][{_MARK}]*"


@cache
def _variants() -> dict[str, set[str]]:
    """The letters with accents by the letter without."""
    variants: dict[str, set[str]] = {}
    for character in (chr(number) for script in _SCRIPTS for number in script):
        base = _base(character)
        if len(base) == 1 and base != character:
            variants.setdefault(base, set()).add(character)
    return variants
