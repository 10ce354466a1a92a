"""What becomes of one attribute value on its way into a contact; the rules are listed in `mapping`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from contactsync.ldap import dn
from contactsync.mapping.cutter import SHORT

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_CONTROLS_BUT_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]+")
_COMPOSED_AT_ONCE = 500
"""Characters. Python's normalisation takes quadratic time over a run of combining marks: 32,000 take 1.5 seconds."""
_LARGEST_COMPOSED = 12
"""Octets that one character may become: NFC makes up to three of it, and UTF-8 up to four octets of each."""
_ADDRESS_ESCAPES = re.compile(r"\\(24|5[cC])")
_SMTP = "smtp:"
_BETWEEN = "\x1f"
"""Stands between the values of a column while they are one text."""
_FEW = 16
"""Values of a column that are looked at one by one where one of them is odd."""
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")
"""JPEG, PNG, GIF; WebP has its name after the size of its file."""


@dataclass(frozen=True, slots=True)
class MapLimits:
    """The most that a contact takes: octets of a text in UTF-8, values in a list, octets of a photo."""

    text_bytes: int = 65_536
    values: int = 100
    photo_bytes: int = 1_048_576


class TrimCounter:
    """Counts the values of one entry that were dropped or changed."""

    __slots__ = ("trimmed",)

    def __init__(self) -> None:
        self.trimmed = 0


Edit = Callable[[str], str]
Clean = Callable[[bytes, TrimCounter], str]
CleanColumn = Callable[[list[bytes], TrimCounter], list[str]]


def cleaner(limit: int, *, multi_line: bool, edit: Edit | None = None) -> Clean:
    """A function from a value's octets to a text that PostgreSQL can hold, "" when the value is blank or not UTF-8."""
    ordinary = min(_COMPOSED_AT_ONCE, limit // _LARGEST_COMPOSED)

    def clean(raw: bytes, tally: TrimCounter) -> str:
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            tally.trimmed += 1
            return ""
        if edit:
            text = edit(text)
        if len(text) <= ordinary and text.isprintable():
            return text.strip() if text.isascii() else unicodedata.normalize("NFC", text).strip()
        return tidy(text, limit, tally, multi_line=multi_line)

    return clean


def column_cleaner(limit: int, *, multi_line: bool, edit: Edit | None = None) -> CleanColumn:
    """The same for the values of many entries at once, each of at most `SHORT` octets, the empty ones included.

    They are decoded and looked over as one text, in a few calls. Where one of them is odd, the halves are looked over
    by themselves, and of few values each goes through `cleaner`.
    """
    clean = cleaner(limit, multi_line=multi_line, edit=edit)
    one_by_one = edit is not None or min(_COMPOSED_AT_ONCE, limit // _LARGEST_COMPOSED) < SHORT

    def clean_all(column: list[bytes], tally: TrimCounter) -> list[str]:
        if not one_by_one:
            texts = _ordinary(column)
            if texts is not None:
                return texts
            if len(column) > _FEW:
                middle = len(column) // 2
                return clean_all(column[:middle], tally) + clean_all(column[middle:], tally)
        return [clean(raw, tally) if raw else "" for raw in column]

    return clean_all


def _ordinary(column: list[bytes]) -> list[str] | None:
    """The texts of a column in which each is as `cleaner` would leave it; None where one is not."""
    try:
        joined = _BETWEEN.encode().join(column).decode()
    except UnicodeDecodeError:
        return None
    texts = joined.split(_BETWEEN)
    framed = f"{_BETWEEN}{joined}{_BETWEEN}"
    if (
        len(texts) != len(column)
        or f"{_BETWEEN} " in framed
        or f" {_BETWEEN}" in framed
        or not joined.replace(_BETWEEN, "").isprintable()
        or not (joined.isascii() or unicodedata.is_normalized("NFC", joined))
    ):
        return None
    return texts


def tidy(text: str, limit: int, tally: TrimCounter, *, multi_line: bool = False) -> str:
    """The text in NFC (RFC 5198 section 3), without control characters and outer white space, cut at `limit` octets."""
    whole = text.strip()
    clear = whole if whole.isprintable() else _without_controls(whole, multi_line=multi_line)
    composed = _composed(clear[:limit].rstrip())
    kept = _cut(composed, limit)
    if len(clear) > limit or kept != composed or (clear != whole and clear != _unix_lines(whole)):
        tally.trimmed += 1
    return kept


def address(text: str) -> str:
    r"""The lines of a Postal Address (RFC 4517 section 3.3.28): `$` parts them, `\24` is `$` and `\5C` a backslash."""
    lines = (line.strip() for line in text.split("$"))
    return "\n".join(_ADDRESS_ESCAPES.sub(_address_character, line) for line in lines if line)


def address_in_one_line(text: str) -> str:
    """The same for a field that has one line."""
    return ", ".join(address(text).split("\n"))


def fax(text: str) -> str:
    """The number of a Facsimile Telephone Number, without the parameters after it (RFC 4517 section 3.3.11)."""
    return text.partition("$")[0]


def rdn(text: str) -> str:
    """The name in a DN: the value of its first RDN. A text that is no DN stays as it is."""
    value = dn.first_value(text)
    return text if value is None else value


def smtp(text: str) -> str:
    """The address in an SMTP value of Active Directory's proxyAddresses; "" for X400, SIP and the others.

    The primary one has its prefix in capitals, which sort first: the order of the values is the right one already.
    """
    return text[len(_SMTP) :] if text[: len(_SMTP)].lower() == _SMTP else ""


def uri(text: str) -> str:
    """The URI of a labeledURI, without the label (RFC 2079)."""
    return text.strip().partition(" ")[0]


def is_picture(octets: bytes) -> bool:
    """Whether octets begin as a JPEG, PNG, GIF or WebP file does."""
    return octets.startswith(_PICTURES) or (octets[:4] == b"RIFF" and octets[8:12] == b"WEBP")


def _without_controls(text: str, *, multi_line: bool) -> str:
    text = text.replace("\0", "")
    if multi_line:
        return _CONTROLS_BUT_LINES.sub(" ", _unix_lines(text)).strip()
    return _CONTROLS.sub(" ", text).strip()


def _unix_lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _composed(text: str) -> str:
    """The text in NFC; in a long one, words that are too long to be words stay as they came."""
    if text.isascii():
        return text
    if len(text) <= _COMPOSED_AT_ONCE:
        return unicodedata.normalize("NFC", text)
    words = text.split(" ")
    return " ".join(unicodedata.normalize("NFC", word) if len(word) <= _COMPOSED_AT_ONCE else word for word in words)


def _cut(text: str, limit: int) -> str:
    octets = text.encode()
    if len(octets) <= limit:
        return text
    return octets[:limit].decode("utf-8", "ignore").rstrip()


def _address_character(escape: re.Match[str]) -> str:
    return "$" if escape[1] == "24" else "\\"
