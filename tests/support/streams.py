"""One direction of a connection, and where its messages begin."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

LengthOf = Callable[[bytes], int | None]
"""The length of the message that begins with these octets; None while it is unknown."""


class Stream:
    """The octets from `source` to `sink`; without `length_of` a message may begin anywhere."""

    def __init__(self, source: socket.socket, sink: socket.socket, length_of: LengthOf | None) -> None:
        self.source, self.sink = source, sink
        self._length_of = length_of
        self._head = b""
        self._left = 0

    def message_starts(self, octets: bytes) -> Sequence[int]:
        """The positions in the next `octets` where messages begin; all positions without `length_of`."""
        if self._length_of is None:
            return range(len(octets))
        places = []
        position = 0
        while position < len(octets):
            if not self._left:
                if not self._head:
                    places.append(position)
                self._head += octets[position : position + 1]
                position += 1
                length = self._length_of(self._head)
                if length is not None:
                    self._left, self._head = length - len(self._head), b""
                continue
            step = min(self._left, len(octets) - position)
            self._left -= step
            position += step
        return places


def ldap_length(head: bytes) -> int | None:
    """The length of an LDAPMessage: tag, length (X.690, section 8.1.3), contents."""
    if len(head) < 2 or len(head) < 2 + (head[1] & 0x7F if head[1] >= 0x80 else 0):
        return None
    return len(head) + (int.from_bytes(head[2:]) if head[1] >= 0x80 else head[1])


def postgresql_length(head: bytes) -> int | None:
    """The length of a message of PostgreSQL's protocol (section 54.7 of the manual). The first has no type."""
    typed = head[:1] != b"\0"
    return int.from_bytes(head[typed : typed + 4]) + typed if len(head) >= 4 + typed else None


LDAP_LENGTHS = ldap_length, ldap_length
POSTGRESQL_LENGTHS = postgresql_length, postgresql_length
