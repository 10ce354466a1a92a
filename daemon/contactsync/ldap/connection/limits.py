"""The limits of what is read from a server."""

from __future__ import annotations

from dataclasses import dataclass, replace

from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.protocol.messages import GREETING_BYTES

LOOKUP_BYTES = 64 << 20
"""The octets that a server may send before and beside a search: a large schema has a few million."""
MANY_ENTRIES = 5_000_000


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """What is accepted from a server; the octets and entries count from when the limits are set.

    `receive_timeout` are the seconds that the server may be silent, `max_message_bytes` the octets of one message,
    `max_bytes` those of all messages, `max_entries` the entries of one search.
    """

    deadline: Deadline
    receive_timeout: float
    max_message_bytes: int = GREETING_BYTES
    max_bytes: int = LOOKUP_BYTES
    max_entries: int = MANY_ENTRIES

    def tightened(self, *, seconds: float, receive_timeout: float) -> ReadLimits:
        """The same limits, but at most `seconds` from now and at most this receive timeout."""
        receive_timeout = min(self.receive_timeout, receive_timeout)
        return replace(self, deadline=self.deadline.within(seconds), receive_timeout=receive_timeout)
