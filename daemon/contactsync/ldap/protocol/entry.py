r"""Decodes one SearchResultEntry (RFC 4511, section 4.5.2) into its DN and its attributes.

Entries that are only mapped are parsed by mapping/entry_parser.py, which is several times faster.

Odd input: octets of a DN that are not UTF-8 become `\xff`, a NUL becomes `\00` (RFC 4514, section 2.4). An attribute
that comes twice has the values of both. Additional components are ignored (RFC 4511, section 4). Everything else that
does not conform raises ProtocolViolation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from contactsync.ldap.protocol.ber import LONG_FORM, OCTET_STRING, SEQUENCE, element_at, not_ldap

_SET = 0x31
_SEARCH_RESULT_ENTRY = 0x64
DESCRIPTION = re.compile(r"(?:[A-Za-z][A-Za-z0-9_-]*|[0-9]+(?:\.[0-9]+)+)(?:;[A-Za-z0-9_-]+)*")
"""The pattern of an attribute description."""
RANGE_OPTION = ";range="
"""The option of an attribute with only a part of its values ([MS-ADTS], section 3.1.1.3.1.3.3)."""
LONGEST_DESCRIPTION = 128
_LINE = b"\n"
_TWO_OCTETS = LONG_FORM | 2
_ENTRY_OF_TWO_OCTETS = bytes((_SEARCH_RESULT_ENTRY, _TWO_OCTETS))
_SEQUENCE_OF_TWO_OCTETS = bytes((SEQUENCE, _TWO_OCTETS))
_SHORTEST = 256
"""Octets of an entry with lengths of two octets, a DN included."""


@dataclass(slots=True)
class Entry:
    """One directory entry: its DN as text, and its values by attribute description in lower case with options."""

    dn: str
    attributes: dict[str, list[bytes]]


def decode_entry(op: bytes | memoryview) -> Entry:
    """Decode one protocolOp, tag and length included; raises ProtocolViolation."""
    data = bytes(op)
    dn, pos, end = open_entry(data)
    attributes: dict[str, list[bytes]] = {}
    while pos < end:
        description, values, pos = attribute_at(data, pos, end)
        attributes.setdefault(without_range(description), []).extend(values)
    return Entry(dn_text(dn), attributes)


def is_attribute_description(text: str) -> bool:
    """Whether the text is a name or an OID, with or without options (RFC 4512, section 2.5), of up to 128 characters.

    Underscores are accepted, because some servers use them, although the RFC does not allow them.
    """
    return len(text) <= LONGEST_DESCRIPTION and DESCRIPTION.fullmatch(text) is not None


def open_entry(data: bytes) -> tuple[bytes, int, int]:
    """The raw DN of an entry, and where its attributes start and end; raises ProtocolViolation."""
    if data[:2] == _ENTRY_OF_TWO_OCTETS and len(data) > _SHORTEST and data[4] == OCTET_STRING and data[5] < LONG_FORM:
        # A fast path for nearly every entry: 256 octets to 64 KiB, with a DN of less than 128 octets.
        dn_end = 6 + data[5]
        attributes = dn_end + 4
        if data[dn_end : dn_end + 2] == _SEQUENCE_OF_TWO_OCTETS and 4 + (data[2] << 8 | data[3]) == len(
            data
        ) == attributes + (data[dn_end + 2] << 8 | data[dn_end + 3]):
            return data[6:dn_end], attributes, len(data)
    pos, end = _content(data, 0, len(data), _SEARCH_RESULT_ENTRY)
    if end != len(data):
        raise not_ldap("octets are left over after an entry")
    start, pos = _content(data, pos, end, OCTET_STRING)
    return data[start:pos], *_content(data, pos, end, SEQUENCE)


def attribute_at(data: bytes, pos: int, end: int) -> tuple[str, list[bytes], int]:
    """The description in lower case and the values of the attribute at `pos`, and where the next one starts.

    Raises ProtocolViolation.
    """
    pos, following = _content(data, pos, end, SEQUENCE)
    start, pos = _content(data, pos, following, OCTET_STRING)
    description = data[start:pos].lower().decode("utf-8", "backslashreplace")
    values = []
    pos, end = _content(data, pos, following, _SET)
    while pos < end:
        start, pos = _content(data, pos, end, OCTET_STRING)
        values.append(data[start:pos])
    return description, values, following


def without_range(description: str) -> str:
    """The description without Active Directory's `range` option."""
    if RANGE_OPTION not in description:
        return description
    return ";".join(part for part in description.split(";") if not part.startswith(RANGE_OPTION[1:]))


def dn_text(raw: bytes) -> str:
    """Decode a DN."""
    return raw.decode("utf-8", "backslashreplace").replace("\0", "\\00")


def dn_texts(raws: list[bytes]) -> list[str]:
    """Decode many DNs, in one step if they have no odd octets."""
    try:
        joined = _LINE.join(raws).decode()
    except UnicodeDecodeError:
        return [dn_text(raw) for raw in raws]
    texts = joined.split(_LINE.decode())
    return texts if len(texts) == len(raws) and "\0" not in joined else [dn_text(raw) for raw in raws]


def _content(data: bytes, pos: int, end: int, tag: int) -> tuple[int, int]:
    """Where the contents of the element at `pos` start and end; it must have this tag and end by `end`."""
    start = pos + 2
    if start <= end and data[pos] == tag and data[pos + 1] < LONG_FORM and start + data[pos + 1] <= end:
        return start, start + data[pos + 1]  # a fast path for nearly every value
    element = element_at(data, pos, end)
    if element.tag != tag:
        raise not_ldap(f"an element has the tag 0x{element.tag:02x} instead of 0x{tag:02x}")
    return element.start, element.stop
