r"""Decodes the octets of one SearchResultEntry (RFC 4511 section 4.5.2) into its DN and its attributes.

By hand, because a first load waits for it: an attribute with one short value, which nearly every attribute is, is
recognised by the octets before its value; every other form goes the plain way. The work grows with the octets.

Outcomes of odd input: octets that are not UTF-8 in a DN are shown as `\xff`, and a NUL as `\00` (its form in RFC 4514
section 2.4). An attribute that comes twice has the values of both. Components that follow the known ones are an
extension and are passed over (RFC 4511 section 4). Everything else that does not fit is a ProtocolViolation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from contactsync.ldap.ber import LONG_FORM, OCTET_STRING, SEQUENCE, element_at, not_ldap

_SET = 0x31
_SEARCH_RESULT_ENTRY = 0x64
_HEADERS = 8
"""Octets of tags and lengths before the value of an attribute that has one value and only one-octet lengths."""
_MOST_FAMILIAR = 8192
_DESCRIPTION = re.compile(r"(?:[A-Za-z][A-Za-z0-9_-]*|\d+(?:\.\d+)+)(?:;[A-Za-z0-9-]+)*", re.ASCII)
_LONGEST_DESCRIPTION = 128
_familiar_headers: dict[bytes, str] = {}
"""All octets before the value of such an attribute, checked once: they settle its description and all its lengths."""


@dataclass(slots=True)
class Entry:
    """One directory entry: its DN as text, and its values by attribute description in lower case, options included."""

    dn: str
    attributes: dict[str, list[bytes]]


def decode_entry(op: bytes | memoryview) -> Entry:
    """The entry in the octets of one protocolOp, its tag and length included; raises ProtocolViolation."""
    data = bytes(op)
    pos, end = _content(data, 0, len(data), _SEARCH_RESULT_ENTRY)
    if end != len(data):
        raise not_ldap("octets are left over after an entry")
    start, pos = _content(data, pos, end, OCTET_STRING)
    dn = data[start:pos]
    pos, end = _content(data, pos, end, SEQUENCE)
    return Entry(_dn_text(dn), _attributes(data, pos, end))


def is_attribute_description(text: str) -> bool:
    """Whether the text is a name or an OID with or without options (RFC 4512 section 2.5), at most 128 characters.

    The underscore is let through: some servers have names with it, though the RFC knows none.
    """
    return len(text) <= _LONGEST_DESCRIPTION and _DESCRIPTION.fullmatch(text) is not None


def _attributes(data: bytes, pos: int, end: int) -> dict[str, list[bytes]]:
    attributes: dict[str, list[bytes]] = {}
    while (pos := _familiar_attributes(data, pos, end, attributes)) < end:
        pos = _any_attribute(data, pos, end, attributes)
    return attributes


def _familiar_attributes(data: bytes, pos: int, end: int, attributes: dict[str, list[bytes]]) -> int:
    """Adds the attributes from `pos` on while their headers are familiar; returns where it stopped."""
    familiar = _familiar_headers.get
    while pos <= end - _HEADERS:
        value = pos + _HEADERS + data[pos + 3]
        stop = pos + 2 + data[pos + 1]
        description = familiar(data[pos:value])
        if description is None or description in attributes or stop > end:
            break
        attributes[description] = [data[value:stop]]
        pos = stop
    return pos


def _any_attribute(data: bytes, pos: int, end: int, attributes: dict[str, list[bytes]]) -> int:
    """Adds the attribute at `pos`, in whatever form it is encoded, and returns where the next one starts."""
    first = pos
    pos, following = _content(data, pos, end, SEQUENCE)
    start, pos = _content(data, pos, following, OCTET_STRING)
    description = _description(data[start:pos])
    values = attributes.setdefault(description, [])
    pos, end = _content(data, pos, following, _SET)
    while pos < end:
        start, pos = _content(data, pos, end, OCTET_STRING)
        values.append(data[start:pos])
        if following == pos == first + 2 + data[first + 1] and start == first + _HEADERS + data[first + 3]:
            _remember(data[first:start], description)
    return following


def _remember(header: bytes, description: str) -> None:
    """Makes the octets before an only value familiar; forgets the others when a server has no end of them."""
    if len(_familiar_headers) >= _MOST_FAMILIAR:
        _familiar_headers.clear()
    _familiar_headers[header] = description


def _content(data: bytes, pos: int, end: int, tag: int) -> tuple[int, int]:
    """Where the content of the element at `pos` starts and stops; it has to be of that tag and to end by `end`."""
    start = pos + 2
    if start <= end and data[pos] == tag and data[pos + 1] < LONG_FORM and start + data[pos + 1] <= end:
        return start, start + data[pos + 1]  # spares the call for nearly every value
    element = element_at(data, pos, end)
    if element.tag != tag:
        raise not_ldap(f"tag 0x{element.tag:02x} stands where 0x{tag:02x} belongs")
    return element.start, element.stop


def _description(raw: bytes) -> str:
    """An attribute description in lower case.

    Without Active Directory's `range` option, which says how many of the values are there, not what they are.
    """
    text = raw.lower().decode("utf-8", "backslashreplace")
    if ";range=" not in text:
        return text
    return ";".join(part for part in text.split(";") if not part.startswith("range="))


def _dn_text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace").replace("\0", "\\00")
