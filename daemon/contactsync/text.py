"""Text for people: numbers and times, and escapes for untrusted text in terminals and logs. Pure.

Escaped are control characters, which begin escape sequences (ECMA-48), and characters that reorder or hide letters
(Unicode category Cf).
"""

from __future__ import annotations

MOMENT = "%Y-%m-%d %H:%M %Z"
"""The format of a time for people: `2026-11-23 17:20 CET`."""


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun: `1 entry`, `2,000 entries`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def quoted(text: str | None, *, most: int | None = None) -> str:
    r"""The text in quotation marks for a message, safe as by `printable`, and cut after `most` characters.

    It is no literal of a programming language: a backslash stays one, as in `"EXAMPLE\reader"`.
    """
    text = text or ""
    return f'"{printable(text if most is None or len(text) <= most else f"{text[:most]}…")}"'


def lower(text: str) -> str:
    """A text in lower case, character by character, as PostgreSQL writes it."""
    return text.lower() if text.isascii() else "".join(character.lower()[0] for character in text)


def printable(text: str) -> str:
    r"""The text with each such character in the form `\x1b`, line ends included."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def printable_json(text: str) -> str:
    """The JSON document with each such character as a JSON escape (RFC 8259, section 7)."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(char: str) -> str:
    # Outside strings, line ends are the only such characters in a document; inside strings they are escaped already.
    if char.isprintable() or char == "\n":
        return char
    octets = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{octets[at : at + 2].hex()}" for at in range(0, len(octets), 2))
