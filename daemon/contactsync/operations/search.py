"""Searches that ignore accents and case: the words become regular expressions, so that the rows need not be folded."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

_LATIN = (*range(0xC0, 0x250), *range(0x1E00, 0x1F00))
_LETTERS = {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "\u0131": "i", "þ": "t"}
"""Letters that Unicode does not decompose."""
_MARKS = "[\u0300-\u036f]*"
"""Combining marks, which follow a letter in decomposed text."""


def patterns_of(text: str) -> list[str]:
    """A regular expression of PostgreSQL for each word of the text, the longest word first: it excludes most rows."""
    words = sorted(text.split(), key=len, reverse=True)
    return ["".join(map(_pattern, _folded(word))) for word in words]


def _folded(text: str) -> str:
    return "".join(_base(character) for character in text.casefold())


def _base(character: str) -> str:
    decomposed = unicodedata.normalize("NFD", character)
    base = "".join(part for part in decomposed if not unicodedata.combining(part)).casefold()
    return _LETTERS.get(base, base)


def _pattern(letter: str) -> str:
    variants = {letter, letter.upper(), *_variants().get(letter, ())}
    single = sorted(variant for variant in variants if len(variant) == 1)
    if len(single) == 1:
        return re.sub(r"([^\w\s])", r"\\\1", letter)
    return f"[{''.join(single)}]{_MARKS}"


@cache
def _variants() -> dict[str, set[str]]:
    """The letters with accents by the letter without."""
    variants: dict[str, set[str]] = {}
    for character in map(chr, _LATIN):
        base = _base(character)
        if len(base) == 1 and base != character:
            variants.setdefault(base, set()).add(character)
    return variants
