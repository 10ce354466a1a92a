"""Conversion of single attribute values; `mapping` lists the rules."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from contactsync.ldap import dn
from contactsync.mapping import invisible

_MAX_NOTES = 1000
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_CONTROLS_BUT_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]+")
_LINE_ENDS = re.compile("\r\n?|\u2028|\u2029")
_MAX_COMPOSED = 500
"""Characters. Python's normalisation takes quadratic time over a run of combining marks: 32,000 take 1.5 seconds."""
_MAX_COMPOSED_BYTES = 12
"""Bytes that one character may become: NFC makes up to three characters of it, and UTF-8 up to four bytes of each."""
_ADDRESS_ESCAPES = re.compile(r"\\(24|5[cC])")
_SMTP = "smtp:"


class TrimCounter:
    """Counts the values that were dropped or changed, and notes row, field and reason of the first ones.

    The caller sets `row` and `field` before it reads a value.
    """

    __slots__ = ("count", "field", "notes", "row")

    def __init__(self) -> None:
        self.count = self.row = 0
        self.field = ""
        self.notes: list[tuple[int, str, str]] = []

    def add(self, reason: str, count: int = 1) -> None:
        """Count values, with a clause that says which and why."""
        self.count += count
        if len(self.notes) < _MAX_NOTES:
            self.notes.append((self.row, self.field, reason))


class TextCleaner:
    """Converts octets to text that PostgreSQL can hold, of at most `limit` bytes in UTF-8."""

    __slots__ = ("_limit", "_multi_line", "edit", "is_name", "simple_length")

    def __init__(
        self, limit: int, *, multi_line: bool, is_name: bool = False, edit: Callable[[str], str] | None = None
    ) -> None:
        self._limit = limit
        self.is_name = is_name
        self._multi_line = multi_line
        self.edit = edit
        self.simple_length = min(_MAX_COMPOSED, limit // _MAX_COMPOSED_BYTES)
        """Characters of a text that is fast to normalise and within the limit afterwards."""

    def clean(self, raw: bytes, trims: TrimCounter) -> str:
        """The text of a value; "" if it is blank or not UTF-8."""
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            trims.add(f"a text that is not UTF-8 was dropped ({len(raw):,} bytes)")
            return ""
        if self.edit:
            text = self.edit(text)
        if len(text) <= self.simple_length and text.isascii() and text.isprintable() and not self.is_name:
            return text.strip()
        return clean_text(text, self._limit, trims, multi_line=self._multi_line, is_name=self.is_name)


def clean_text(text: str, limit: int, trims: TrimCounter, *, multi_line: bool = False, is_name: bool = False) -> str:
    """The text in NFC (RFC 5198 section 3), cut at `limit` bytes; "" if nothing of it is visible or it is no name.

    Outer white space, control characters and invisible ones are removed.
    """
    stripped = text.strip()
    clear = stripped if stripped.isprintable() else _without_controls(stripped, multi_line=multi_line)
    plain = invisible.with_plain_spaces(clear).strip()
    visible = invisible.without_invisible(plain)
    composed = _composed(visible[:limit].rstrip())
    kept = _cut(composed, limit)
    if kept and not invisible.is_visible(kept):
        trims.add("a text of marks without a letter was dropped")
        return ""
    if is_name and kept and not invisible.is_name(kept):
        trims.add("a name without a letter or a digit was dropped")
        return ""
    if len(visible) > limit or kept != composed:
        trims.add(f"a text of {len(visible.encode()):,} bytes was cut to {len(kept.encode()):,}")
    elif visible != plain:
        trims.add("invisible characters were removed")
    elif clear != stripped and clear != _unix_lines(stripped):
        trims.add("control characters were removed")
    return kept


def address(text: str) -> str:
    r"""The lines of a Postal Address (RFC 4517 section 3.3.28): `$` separates them, `\24` is `$`, `\5C` a backslash."""
    lines = (line.strip() for line in text.split("$"))
    return "\n".join(
        _ADDRESS_ESCAPES.sub(lambda escape: "$" if escape[1] == "24" else "\\", line) for line in lines if line
    )


def address_in_one_line(text: str) -> str:
    """The same for a field that has one line."""
    return ", ".join(address(text).split("\n"))


def fax(text: str) -> str:
    """The number of a Facsimile Telephone Number, without its parameters (RFC 4517 section 3.3.11)."""
    return text.partition("$")[0]


def rdn(text: str) -> str:
    """The value of the first RDN of a DN; the text itself if it is not a DN."""
    value = dn.first_value(text)
    return text if value is None else value


def smtp(text: str) -> str:
    """The address in an SMTP value of Active Directory's proxyAddresses; "" for X400, SIP and other kinds.

    The primary address has its prefix in capitals, which sort first, so that it is the first of the values.
    """
    return text[len(_SMTP) :] if text[: len(_SMTP)].lower() == _SMTP else ""


def uri(text: str) -> str:
    """The URI of a labeledURI, without the label (RFC 2079)."""
    return text.strip().partition(" ")[0]


def _without_controls(text: str, *, multi_line: bool) -> str:
    text = text.replace("\0", "")
    if multi_line:
        return _CONTROLS_BUT_LINES.sub(" ", _unix_lines(text)).strip()
    return _CONTROLS.sub(" ", text).strip()


def _unix_lines(text: str) -> str:
    return _LINE_ENDS.sub("\n", text)


def _composed(text: str) -> str:
    """The text in NFC. In a long text, words of over 500 characters stay as they are: they would take too long."""
    if text.isascii():
        return text
    if len(text) <= _MAX_COMPOSED:
        return unicodedata.normalize("NFC", text)
    return " ".join(
        unicodedata.normalize("NFC", word) if len(word) <= _MAX_COMPOSED else word for word in text.split(" ")
    )


def _cut(text: str, limit: int) -> str:
    octets = text.encode()
    return text if len(octets) <= limit else octets[:limit].decode("utf-8", "ignore").rstrip()
