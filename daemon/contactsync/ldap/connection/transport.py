"""Asks over a socket and reads the answers as octets (RFC 4511), without decoding the entries in them."""

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

_SMALLEST = 64
"""Octets: what there has to be."""

_PATIENCE = 0.25
"""Seconds of a single wait, so that a run that was given up does not sit out a whole receive timeout."""


class Wire:
    """Asks over one socket, plain or TLS, and reads the answers within `limits`.

    ldap3's own strategy is passed by: it waits without regard to a deadline, believes every length, decodes every
    value, copies what is left of its buffer for each message, and keeps a copy of each request, the password included.
    """

    def __init__(self, connected: socket.socket, server: str, limits: ReadLimits) -> None:
        self.server = server
        self._socket = connected
        self._message_ids = count(1)
        self._buffer = MessageBuffer(limits.max_message_bytes)
        self._limits = limits
        self._pace = Pacing()

    @property
    def limits(self) -> ReadLimits:
        """The limits of the reads that follow."""
        return self._limits

    @limits.setter
    def limits(self, limits: ReadLimits) -> None:
        self._limits = limits
        self._buffer.max_message_bytes = limits.max_message_bytes

    def tighten_limits(self, *, seconds: float, receive_timeout: float) -> None:
        """Give the reads that follow at most `seconds` from now, and at most this receive timeout."""
        self._limits = self._limits.tightened(seconds=seconds, receive_timeout=receive_timeout)

    @property
    def idle(self) -> bool:
        """Whether all that came was read and nothing more is there, not even the connection's end.

        False as well when it holds more memory than a new one.
        """
        return not self._buffer.unread and not self._buffer.grown and self._is_quiet()

    @property
    def peer_certificate(self) -> bytes | None:
        """The server's own certificate (DER); None without TLS."""
        return self._socket.getpeercert(binary_form=True) if isinstance(self._socket, ssl.SSLSocket) else None

    def _is_quiet(self) -> bool:
        """Whether nothing is there to be received at this moment, not even the connection's end."""
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def secure(self, wrap: Callable[[], socket.socket]) -> None:
        """Go on over TLS; what came before it in plain text must not be taken for what comes after."""
        if self._buffer.unread:
            raise ber.not_ldap("something followed the answer to StartTLS in plain text")
        self._socket = wrap()

    def only_send(self) -> None:
        """From here on somebody else reads what comes: give back the memory for it."""
        self._buffer = MessageBuffer(GREETING_BYTES, capacity=_SMALLEST)

    def ask(self, op: bytes, answer: int) -> Result:
        """Send an operation that has one answer, of that tag, and wait for it."""
        batch = self.read(self.send(op), answer)
        if batch.result is None or batch.entries:
            raise ber.not_ldap("entries came that were not asked for")
        return batch.result

    def send(self, op: bytes, controls: bytes = b"") -> int:
        """Send one message and give its id; `controls` is the whole encoded element or nothing."""
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
        """The next entries of that operation: all until it ends, or as many as the buffer holds.

        `expected` is how many may come, at most: while that is many, they are not looked for one by one. With
        `detailed` it returns as soon as anything is there.
        """
        buffer = self._buffer
        buffer.detailed = detailed
        buffer.rewind()
        pace, entries, octets = self._pace, 0, 0
        pace.begin()
        while not buffer.parse(message_id, answer) and not buffer.full:
            if octets:
                pace.looked(buffer.entries - entries, octets)
            entries = buffer.entries
            if (lull := pace.lull(entries, expected - entries)) and self._is_drained():
                time.sleep(lull)
            octets = self._receive(buffer.room())
            buffer.filled(octets)
        return buffer.take()

    def _is_drained(self) -> bool:
        """Whether the last look took all there was: over TLS it takes one record, and thousands may lie behind it."""
        return not isinstance(self._socket, ssl.SSLSocket) or self._is_quiet()

    def _receive(self, room: memoryview) -> int:
        patience = self._limits.receive_timeout
        while patience > 0:
            wait = min(patience, _PATIENCE, self._limits.deadline.remaining())
            if self._socket.gettimeout() != wait:  # setting it takes a system call, asking for it none
                self._socket.settimeout(wait)
            try:
                octets = self._socket.recv_into(room)
            except TimeoutError:
                patience -= wait
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
        """OpenLDAP with GnuTLS gives no other answer to who shows it no certificate, or one that it does not know."""
        if not isinstance(self._socket, ssl.SSLSocket):
            return ""
        return "If it always does, check whether it wants a client certificate, or another one (--client-cert)."

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
