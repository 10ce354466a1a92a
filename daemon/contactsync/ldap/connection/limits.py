"""The limits of what is read from a server."""

from __future__ import annotations

from dataclasses import dataclass, replace

from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.protocol.messages import GREETING_BYTES


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """A deadline, the seconds that the server may be silent, and the octets that a message may have."""

    deadline: Deadline
    receive_timeout: float
    max_message_bytes: int = GREETING_BYTES

    def tightened(self, *, seconds: float, receive_timeout: float) -> ReadLimits:
        """The same limits, but at most `seconds` from now and at most this receive timeout."""
        receive_timeout = min(self.receive_timeout, receive_timeout)
        return replace(self, deadline=self.deadline.within(seconds), receive_timeout=receive_timeout)
