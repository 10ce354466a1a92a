"""One direction of a connection, and where in it messages begin."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

LengthOf = Callable[[bytes], int | None]
"""How many octets the message that begins with these has; None while that cannot be told."""


class Stream:
    """What goes from `source` to `sink`; without `length_of` a message may begin anywhere."""

    def __init__(self, source: socket.socket, sink: socket.socket, length_of: LengthOf | None) -> None:
        self.source, self.sink = source, sink
        self._length_of = length_of
        self._head = b""
        self._left = 0

    def message_starts(self, octets: bytes) -> Sequence[int]:
        """The places in `octets`, which are the next of the stream, where messages begin; all where nobody can tell."""
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
    """Of an LDAPMessage: tag, length of BER (X.690, section 8.1.3), contents."""
    if len(head) < 2 or len(head) < 2 + (head[1] & 0x7F if head[1] >= 0x80 else 0):
        return None
    return len(head) + (int.from_bytes(head[2:]) if head[1] >= 0x80 else head[1])


def postgresql_length(head: bytes) -> int | None:
    """Of a message of PostgreSQL's protocol (manual, section 54.7): type, length without it; no type in the first."""
    typed = head[:1] != b"\0"
    return int.from_bytes(head[typed : typed + 4]) + typed if len(head) >= 4 + typed else None


LDAP_LENGTHS = ldap_length, ldap_length
POSTGRESQL_LENGTHS = postgresql_length, postgresql_length
