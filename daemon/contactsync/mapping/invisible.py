"""Invisible characters: removed where they have no meaning, kept where a script or an emoji needs them.

Pasted text contains them. They make values that look equal differ, and numbers that cannot be dialled or found.
"""

from __future__ import annotations

import re
from unicodedata import bidirectional, category

_IGNORABLE = (
    "\u00ad\u034f\u17b4\u17b5\u200b\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a"
)
"""Soft hyphen, zero width space, byte order mark, embeddings and overrides of the direction: no name needs them."""
_DIRECTION = "\u061c\u200e\u200f"
"""Marks of the direction: they have a meaning between letters that are written from right to left."""
_JOINERS = "\u180e\u200c\u200d"
"""They shape words of Persian, Hindi and Mongolian, and combine emoji."""
_SELECTORS = "\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef"
"""Variation selectors: they choose the form of the character before them."""
_TAGS = "\U000e0000-\U000e007f"
"""They are the names of regions in flags, after a black flag."""
_FILLERS = "\u115f\u1160"
"""Hangul fillers: they have a meaning within a syllable."""
_BLANKS = "\u2800\u3164\uffa0"
"""A Braille pattern and Hangul letters that look like a space."""
_SPACES = "\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f"
"""White space other than the ASCII and the ideographic space."""
_JAMO = "\u1100-\u115e\u1161-\u11ff\ua960-\ua97f\ud7b0-\ud7ff"
_COMPLEX = (
    "\u0590-\u180a\u1810-\u1fff\u2100-\u27ff\u2801-\u2bff\u3030-\u3163\u3165-\ufdff\ufe10-\ufefe\U00010000-\U000dffff"
)
"""The characters that can have a joiner or a selector: none of Latin, Greek or Cyrillic, and no spaces."""

_INVISIBLE = re.compile(f"[{_IGNORABLE}{_DIRECTION}{_JOINERS}{_SELECTORS}{_TAGS}{_FILLERS}{_BLANKS}{_SPACES}]")
_OTHER_SPACES = re.compile(f"[{_SPACES}]")
_LOOSE_TAGS = re.compile(f"(\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f)|[{_TAGS}]")
_USELESS = re.compile(f"[{_IGNORABLE}]|(?<![{_JAMO}])[{_FILLERS}]+(?![{_JAMO}])")
_LOOSE_SELECTORS = re.compile(f"(?<![\u00a9\u00ae\u203c\u2049{_COMPLEX}])(?<![0-9#*](?=\ufe0f\u20e3))[{_SELECTORS}]")
_LOOSE_JOINERS = re.compile(f"(?<![{_COMPLEX}{_SELECTORS}])[{_JOINERS}]|[{_JOINERS}](?![{_COMPLEX}])")
_WORD = re.compile(r"[^\W_]")
_PICTOGRAPHS = {"So", "Co", "Cn"}

_ACCEPTED = f"\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f{_BLANKS}"
_PRINTABLE = (b"\xef\xb8", b"\xf3\xa0", *(character.encode() for character in _ACCEPTED))
"""The invisible characters that str.isprintable accepts, or their first octets in UTF-8."""


def may_hide(octets: bytes) -> bool:
    """Whether printable UTF-8 may contain an invisible character. This is fast for long text."""
    return any(part in octets for part in _PRINTABLE)


def with_plain_spaces(text: str) -> str:
    """The text with U+0020 instead of other white space, except the ideographic space."""
    return text if text.isascii() else _OTHER_SPACES.sub(" ", text)


def without_invisible(text: str) -> str:
    """The text without the invisible characters that have no meaning where they are."""
    if text.isascii() or not _INVISIBLE.search(text):
        return text
    for blank in _BLANKS:
        text = text.replace(blank, " ")
    text = _LOOSE_TAGS.sub(r"\1", _USELESS.sub("", text)).strip(f"{_DIRECTION} \t\n")
    if not any(bidirectional(character) in {"R", "AL"} for character in text if character not in _DIRECTION):
        text = re.sub(f"[{_DIRECTION}]", "", text)
    return _LOOSE_JOINERS.sub("", _LOOSE_SELECTORS.sub("", text)).strip()


def is_visible(text: str) -> bool:
    """Whether a text has more than white space, and marks without a character that they belong to."""
    return bool(_WORD.search(text)) or any(category(character)[0] not in "MZ" for character in text)


def is_name(text: str) -> bool:
    """Whether a text has a letter, a digit or an emoji; "-" and "." only fill a required attribute."""
    return bool(_WORD.search(text)) or any(category(character) in _PICTOGRAPHS for character in text)
