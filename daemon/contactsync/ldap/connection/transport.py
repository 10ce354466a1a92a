"""Sends requests over a socket and reads the responses as octets (RFC 4511); entries are not decoded here."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable
from itertools import count

from contactsync.errors import DirectoryError, ServerTimeout, ServerUnavailable
from contactsync.ldap.connection.limits import ReadLimits
from contactsync.ldap.connection.pacing import Pacing
from contactsync.ldap.connection.tls import our_certificate_refused
from contactsync.ldap.protocol import ber
from contactsync.ldap.protocol.messages import GREETING_BYTES, EntryBatch, MessageBuffer
from contactsync.ldap.protocol.results import Result

_SMALLEST_BUFFER = 64
_LONGEST_WAIT = 0.25
"""Seconds of one wait, so that a cancelled run ends at once and not after a whole receive timeout."""


class Wire:
    """Sends and reads over one socket, plain or TLS, within `limits`.

    It replaces ldap3's strategies: they wait without a deadline, trust every length, decode every value, copy the rest
    of their buffer for each message, and keep a copy of each request with the password.
    """

    def __init__(self, connected: socket.socket, server: str, limits: ReadLimits) -> None:
        self.server = server
        self._socket = connected
        self._message_ids = count(1)
        self._buffer = MessageBuffer(limits.max_message_bytes)
        self._limits = limits
        self._pacing = Pacing()

    @property
    def limits(self) -> ReadLimits:
        """The limits of the reads that follow."""
        return self._limits

    @limits.setter
    def limits(self, limits: ReadLimits) -> None:
        self._limits = limits
        self._buffer.max_message_bytes = limits.max_message_bytes

    def tighten_limits(self, *, seconds: float, receive_timeout: float) -> None:
        """Limit the reads that follow to `seconds` from now, and to this receive timeout."""
        self._limits = self._limits.tightened(seconds=seconds, receive_timeout=receive_timeout)

    @property
    def idle(self) -> bool:
        """Whether everything was read and the server has not closed the connection.

        False as well while the buffer is larger than a new one.
        """
        return not self._buffer.unread and not self._buffer.grown and self._is_quiet()

    @property
    def peer_certificate(self) -> bytes | None:
        """The server's certificate (DER); None without TLS."""
        return self._socket.getpeercert(binary_form=True) if isinstance(self._socket, ssl.SSLSocket) else None

    def secure(self, wrap: Callable[[], socket.socket]) -> None:
        """Continue over the TLS socket that `wrap` returns; refuse plain text that was sent ahead of it."""
        if self._buffer.unread:
            raise ber.not_ldap("the response to StartTLS was followed by plain text")
        self._socket = wrap()

    def only_send(self) -> None:
        """Free the buffer: from here on somebody else reads the socket."""
        self._buffer = MessageBuffer(GREETING_BYTES, capacity=_SMALLEST_BUFFER)

    def ask(self, op: bytes, answer: int) -> Result:
        """Send an operation and return its one response, of the tag `answer`."""
        batch = self.read(self.send(op), answer)
        if batch.result is None or batch.entries:
            raise ber.not_ldap("entries came in response to another operation than a search")
        return batch.result

    def send(self, op: bytes, controls: bytes = b"") -> int:
        """Send one message and return its id; `controls` is the encoded element or empty."""
        message_id = next(self._message_ids)
        self._socket.settimeout(min(self._limits.receive_timeout, self._limits.deadline.remaining()))
        try:
            self._socket.sendall(ber.encode(ber.SEQUENCE, ber.encode_integer(message_id), op, controls))
        except TimeoutError:
            raise self._silent() from None
        except OSError as error:
            raise self._broken(error) from None
        return message_id

    def read(self, message_id: int, answer: int, *, expected: int = 0, detailed: bool = False) -> EntryBatch:
        """Return the next entries of that operation: all until it ends, or as many as the buffer holds.

        `expected` is the largest number of entries that may come. With `detailed` it returns after each receive that
        brought a detail.
        """
        buffer, pacing, octets = self._buffer, self._pacing, 0
        buffer.detailed = detailed
        buffer.rewind()
        pacing.begin(expected)
        while not buffer.parse(message_id, answer) and not buffer.full:
            if (pause := pacing.pause(buffer.entries, octets)) and self._is_drained():
                time.sleep(pause)
            octets = self._receive(buffer.room())
            buffer.filled(octets)
        return buffer.take()

    def _is_drained(self) -> bool:
        """Whether the last receive took everything: over TLS it takes one record, and more may have arrived."""
        return not isinstance(self._socket, ssl.SSLSocket) or self._is_quiet()

    def _is_quiet(self) -> bool:
        """Whether nothing has arrived, not even the end of the connection."""
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def _receive(self, room: memoryview) -> int:
        remaining, deadline = self._limits.receive_timeout, self._limits.deadline
        while remaining > 0:
            wait = min(remaining, _LONGEST_WAIT, deadline.remaining())
            if self._socket.gettimeout() != wait:  # setting it takes a system call, reading it none
                self._socket.settimeout(wait)
            try:
                octets = self._socket.recv_into(room)
            except TimeoutError:
                remaining -= wait
            except OSError as error:
                raise self._broken(error) from None
            else:
                if octets:
                    return octets
                raise self._closed()
        raise self._silent()

    def _closed(self) -> ServerUnavailable:
        where = " in the middle of a message" if self._buffer.unread else ""
        hint = self._certificate_hint or "If it always does, check whether this port expects TLS (ldaps://)."
        return ServerUnavailable(f"{self.server} closed the connection{where}.", hint=hint)

    @property
    def _certificate_hint(self) -> str:
        """OpenLDAP with GnuTLS just closes the connection if the client certificate is missing or not trusted."""
        if not isinstance(self._socket, ssl.SSLSocket):
            return ""
        return "If it always does, check whether it requires a client certificate, or another one (--client-cert)."

    def _silent(self) -> ServerTimeout:
        return ServerTimeout(
            f"{self.server} did not answer for {self._limits.receive_timeout:g} seconds.",
            hint="If the directory is that slow, raise the receive timeout.",
        )

    def _broken(self, error: OSError) -> DirectoryError:
        refused = our_certificate_refused(error, self.server)
        return refused or ServerUnavailable(
            f"The connection to {self.server} broke: {error.strerror or error}.", hint=self._certificate_hint
        )
