"""Sends requests over a socket and reads the responses as octets (RFC 4511); entries are not decoded here."""

from __future__ import annotations

import select
import socket
import ssl
import time
from contextlib import suppress
from dataclasses import replace
from itertools import count

from contactsync.errors import DirectoryError, IncompleteSnapshot, ServerTimeout, ServerUnavailable
from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.connection.limits import ReadLimits
from contactsync.ldap.connection.pacing import Pacing
from contactsync.ldap.connection.tls import handshake_error, our_certificate_refused
from contactsync.ldap.protocol import ber
from contactsync.ldap.protocol.messages import GREETING_BYTES, EntryBatch, MessageBuffer
from contactsync.ldap.protocol.results import Result

_UNBIND_REQUEST = 0x42
_SMALLEST_BUFFER = 64
_NO_DEADLINE_SECONDS = 10 * 366 * 86_400
_LONGEST_WAIT = 0.1
"""Seconds of one wait, so that a cancelled run ends at once and not after a whole receive timeout."""


class Wire:
    """Sends and reads over one socket, plain or TLS, within `limits`.

    ldap3's connections are not used. They wait without a deadline, trust every length, and check no certificate by
    default. They decode every value, copy the rest of their buffer for each message, and keep each request with the
    password.
    """

    def __init__(self, connected: socket.socket, server: str, limits: ReadLimits) -> None:
        self.server = server
        self.socket = connected
        self._message_ids = count(1)
        self._buffer = MessageBuffer(limits.max_message_bytes)
        self._limits = limits
        self._octets_left = limits.max_bytes
        self._pacing = Pacing()

    @property
    def limits(self) -> ReadLimits:
        """The limits of the reads that follow."""
        return self._limits

    @limits.setter
    def limits(self, limits: ReadLimits) -> None:
        self._limits = limits
        self._octets_left = limits.max_bytes
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
        return self.socket.getpeercert(binary_form=True) if isinstance(self.socket, ssl.SSLSocket) else None

    def secure(self, context: ssl.SSLContext, host: str, *, seconds: float) -> None:
        """Do the TLS handshake within `seconds`; plain text that was sent ahead of it is refused."""
        if self._buffer.unread:
            raise ber.not_ldap("the response to StartTLS was followed by plain text")
        self.socket.settimeout(seconds)
        try:
            self.socket = context.wrap_socket(self.socket, server_hostname=host)
        except (OSError, ValueError) as failure:
            raise handshake_error(failure, self.server, seconds=seconds) from None

    def close(self) -> None:
        """Unbind (RFC 4511, section 4.3) if that is still possible, and close the socket."""
        unbind = ber.encode(ber.SEQUENCE, ber.encode_integer(next(self._message_ids)), ber.encode(_UNBIND_REQUEST))
        with suppress(OSError):
            self.socket.settimeout(_LONGEST_WAIT)
            self.socket.sendall(unbind)
        self.socket.close()

    def only_send(self) -> None:
        """Free the buffer: another object reads the socket from now on. Requests have no deadline."""
        self._limits = replace(self._limits, deadline=Deadline(_NO_DEADLINE_SECONDS))
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
        self.socket.settimeout(min(self._limits.receive_timeout, self._limits.deadline.remaining()))
        try:
            self.socket.sendall(ber.encode(ber.SEQUENCE, ber.encode_integer(message_id), op, controls))
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
        return not isinstance(self.socket, ssl.SSLSocket) or self._is_quiet()

    def _is_quiet(self) -> bool:
        """Whether nothing has arrived, not even the end of the connection."""
        if isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
            return False
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return not poll.poll(0)

    def _receive(self, room: memoryview) -> int:
        remaining, deadline = self._limits.receive_timeout, self._limits.deadline
        while remaining > 0:
            wait = min(remaining, _LONGEST_WAIT, deadline.remaining())
            if self.socket.gettimeout() != wait:  # setting it takes a system call, reading it none
                self.socket.settimeout(wait)
            try:
                octets = self.socket.recv_into(room)
            except TimeoutError:
                remaining -= wait
            except OSError as error:
                raise self._broken(error) from None
            else:
                if not octets:
                    raise self._closed()
                self._octets_left -= octets
                if self._octets_left < 0:
                    raise self._endless()
                return octets
        raise self._silent()

    def _closed(self) -> ServerUnavailable:
        where = " in the middle of a message" if self._buffer.unread else ""
        hint = self._certificate_hint or "If it always does, check whether this port expects TLS (ldaps://)."
        return ServerUnavailable(f"{self.server} closed the connection{where}.", hint=hint)

    @property
    def _certificate_hint(self) -> str:
        """OpenLDAP with GnuTLS just closes the connection if the client certificate is missing or not trusted."""
        if not isinstance(self.socket, ssl.SSLSocket):
            return ""
        return "If it always does, check whether it requires a client certificate, or another one (--client-cert)."

    def _endless(self) -> IncompleteSnapshot:
        return IncompleteSnapshot(
            f"{self.server} sent more than {self._limits.max_bytes:,} octets in response to one run.",
            hint="Nothing was changed. Narrow the base or the filter, or raise directory.max_search_bytes.",
        )

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
