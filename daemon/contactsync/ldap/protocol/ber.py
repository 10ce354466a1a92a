"""The few forms of BER (X.690) that LDAP messages are made of (RFC 4511, section 5.1): definite lengths only."""

from __future__ import annotations

from typing import NamedTuple

from contactsync.errors import ProtocolViolation

BOOLEAN, INTEGER, OCTET_STRING, ENUMERATED, SEQUENCE = 0x01, 0x02, 0x04, 0x0A, 0x30
TRUE = b"\xff"
LONG_FORM = 0x80
"""A length octet below this is the length; else its low seven bits count the octets of the length that follow."""

_MOST_ELEMENTS = 1000
"""In one element that is taken apart by `elements`. Far beyond what servers send, and 64 MiB could hold 32 million."""
_LONGEST_NUMBER = 8
"""Octets. LDAP's own numbers fit into four (RFC 4511, section 4.1.1); the rest is for zeros in front of them."""


class Element(NamedTuple):
    """One tag-length-value inside some octets; its contents are `octets[start:stop]`."""

    tag: int
    start: int
    stop: int


def element_at(octets: bytes, position: int, end: int) -> Element:
    """The element at `position`, which has to end by `end`; raises ProtocolViolation otherwise."""
    start = position + 2
    if start > end:
        raise not_ldap("an element is cut off")
    length = octets[position + 1]
    if length == LONG_FORM:
        raise not_ldap("a length is indefinite, which LDAP does not allow")
    if length > LONG_FORM:
        start += length - LONG_FORM
        length = int.from_bytes(octets[position + 2 : start], "big")
    if start + length > end:
        raise not_ldap("an element is longer than what holds it")
    return Element(octets[position], start, start + length)


def elements(octets: bytes, position: int, end: int) -> list[Element]:
    """All the elements from `position` to `end`, none of them opened; ProtocolViolation for thousands."""
    found: list[Element] = []
    while position < end:
        element = element_at(octets, position, end)
        if len(found) == _MOST_ELEMENTS:
            raise not_ldap(f"more than {_MOST_ELEMENTS} elements stand where a few belong")
        found.append(element)
        position = element.stop
    return found


def number_in(octets: bytes, element: Element) -> int:
    """The value of an INTEGER or ENUMERATED; ProtocolViolation for one that is empty or longer than any of LDAP's."""
    length = element.stop - element.start
    if not 1 <= length <= _LONGEST_NUMBER:
        raise not_ldap(f"a number has {length} octets")
    return int.from_bytes(octets[element.start : element.stop], "big", signed=True)


def encode(tag: int, *contents: bytes) -> bytes:
    """One element around `contents`, its length in the shortest form."""
    value = b"".join(contents)
    length = len(value)
    if length < LONG_FORM:
        return bytes((tag, length)) + value
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, LONG_FORM | len(octets))) + octets + value


def encode_integer(number: int, tag: int = INTEGER) -> bytes:
    """A number that is not negative, with the leading zero octet that keeps its sign where it needs one."""
    return encode(tag, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def not_ldap(problem: str) -> ProtocolViolation:
    """The error for octets that no LDAP server sends; `problem` goes on the sentence."""
    return ProtocolViolation(
        f"The server sent octets that are not LDAP: {problem}.",
        hint="Check that the address and port are those of an LDAP server; a port that expects TLS needs ldaps://.",
    )
