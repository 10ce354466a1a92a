"""Text of others on its way to a terminal or into a log: what would be obeyed there is shown instead. Pure.

That are control characters, escape sequences among them (ECMA-48), and what reorders or hides letters (Unicode's Cf).
"""

from __future__ import annotations

MOMENT = "%Y-%m-%d %H:%M %Z"
"""The format of a time for people: `2026-11-23 17:20 CET`."""


def printable(text: str) -> str:
    r"""The text with such characters as `\x1b`; line ends are such characters too."""
    return text if text.isprintable() else "".join(map(_shown, text))


def printable_json(text: str) -> str:
    """The same for a JSON document, which says the same to a program afterwards (RFC 8259, section 7)."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def _shown(char: str) -> str:
    return char if char.isprintable() else f"\\x{ord(char):02x}"


def _escaped(char: str) -> str:
    # Outside of strings a document has no such character but line ends, and inside none that stands for itself.
    if char.isprintable() or char == "\n":
        return char
    octets = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{octets[at : at + 2].hex()}" for at in range(0, len(octets), 2))
