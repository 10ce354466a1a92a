"""The subset of BER (X.690) that LDAP uses (RFC 4511, section 5.1): definite lengths only."""

from __future__ import annotations

from typing import NamedTuple

from contactsync.errors import ProtocolViolation

BOOLEAN, INTEGER, OCTET_STRING, ENUMERATED, SEQUENCE = 0x01, 0x02, 0x04, 0x0A, 0x30
TRUE = b"\xff"
_CONSTRUCTED_STRING = 0x24
LONG_FORM = 0x80
"""A length octet below this is the length; otherwise its low seven bits count the length octets that follow."""

_MOST_ELEMENTS = 1000
"""In one call of `elements`: far more than servers send, and 64 MiB have room for 32 million."""
_LONGEST_NUMBER = 8
"""Octets. LDAP's numbers fit into four (RFC 4511, section 4.1.1); the rest allows for leading zeros."""


class Element(NamedTuple):
    """One element; its contents are `octets[start:stop]`."""

    tag: int
    start: int
    stop: int


def element_at(octets: bytes, position: int, end: int) -> Element:
    """The element at `position`; raises ProtocolViolation if it does not end by `end`."""
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
        raise not_ldap("an element ends behind the element that contains it")
    return Element(octets[position], start, start + length)


def elements(octets: bytes, position: int, end: int) -> list[Element]:
    """The elements from `position` to `end`; raises ProtocolViolation, also for more than 1,000 of them."""
    found: list[Element] = []
    while position < end:
        element = element_at(octets, position, end)
        if element.tag == _CONSTRUCTED_STRING:
            raise not_ldap("an octet string has the constructed form, which LDAP does not allow")
        if len(found) == _MOST_ELEMENTS:
            raise not_ldap(f"an element contains more than {_MOST_ELEMENTS} others")
        found.append(element)
        position = element.stop
    return found


def number_in(octets: bytes, element: Element) -> int:
    """The value of an INTEGER or ENUMERATED; raises ProtocolViolation if it is empty or too long."""
    length = element.stop - element.start
    if not 1 <= length <= _LONGEST_NUMBER:
        raise not_ldap(f"a number has {length} octets")
    return int.from_bytes(octets[element.start : element.stop], "big", signed=True)


def encode(tag: int, *contents: bytes) -> bytes:
    """One element with these contents; its length has the shortest form."""
    value = b"".join(contents)
    length = len(value)
    if length < LONG_FORM:
        return bytes((tag, length)) + value
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, LONG_FORM | len(octets))) + octets + value


def encode_integer(number: int, tag: int = INTEGER) -> bytes:
    """A number that is not negative."""
    return encode(tag, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def not_ldap(problem: str) -> ProtocolViolation:
    """The error for octets that are not LDAP; `problem` is a clause."""
    return ProtocolViolation(
        f"The server sent octets that are not LDAP: {problem}.",
        hint="Check that the address and port are those of an LDAP server; a port that expects TLS needs ldaps://.",
    )
