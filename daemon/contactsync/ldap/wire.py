"""Reads LDAP messages (RFC 4511, section 4.1.1) off a socket as octets, without decoding the entries in them."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count

from contactsync.errors import DirectoryError, ProtocolViolation, ServerTimeout, ServerUnavailable
from contactsync.ldap import ber
from contactsync.ldap.deadline import Deadline
from contactsync.ldap.result import Result, parse_result, read_controls
from contactsync.ldap.tls import our_certificate_refused

BUFFER_BYTES = 1 << 20
"""Holds a page of 1,000 people. Measured with 100,000: a smaller one makes more batches, a larger one gains nothing."""
GREETING_BYTES = 1 << 20
"""The longest message before the search, and later of all but entries: each of them takes a few thousand octets."""

_LULL = 0.0005
"""Seconds in which octets pile up before the next look. A server that writes entry by entry would wake us for each, and
that costs it and us more than the entry: measured over loopback, a third of all the processor time of a search."""
_LULL_ENTRIES = 60
"""About as many as come meanwhile: with less than so many to come a lull would end after the page."""
_FLOOD = 1 << 16
"""Octets of one look that need no piling up."""

_PATIENCE = 0.25
"""Seconds of a single wait, so that a run that was given up does not sit out a whole receive timeout."""

BIND_RESPONSE, SEARCH_DONE, EXTENDED_RESPONSE = 0x61, 0x65, 0x78
SEARCH_ENTRY, INTERMEDIATE = 0x64, 0x79
_SEARCH_REFERENCE = 0x73
_CONTROLS = 0xA0
_RESPONSE_NAME = 0x8A
_NOTICE_OF_DISCONNECTION = b"1.3.6.1.4.1.1466.20036"


@dataclass(frozen=True, slots=True)
class Detail:
    """An entry that came with controls, or an intermediate response: the octets of its protocolOp, and the controls."""

    tag: int
    op: bytes
    controls: Mapping[str, bytes]


@dataclass(slots=True)
class Batch:
    """What one read gave. Entries that are slices of the buffer are valid until the next read only.

    An entry is the octets of a protocolOp, tag 0x64 and length included. `references` counts the search result
    references, which are not followed. `result` is there when the operation has ended. Only a read that asks for
    details has them; the entries among them are not in `entries`.
    """

    entries: list[memoryview | bytes] = field(default_factory=list)
    details: list[Detail] = field(default_factory=list)
    references: int = 0
    result: Result | None = None


class MessageBuffer:
    """Octets as they come in, cut into the messages of one operation; knows nothing of sockets.

    Write to `room()`, tell `filled()` how much that was, and `parse()`. A message that claims more than
    `max_message_bytes` is refused before anything is stored for it.
    """

    def __init__(self, max_message_bytes: int, *, capacity: int = BUFFER_BYTES) -> None:
        self.max_message_bytes = max_message_bytes
        self._capacity = capacity
        self._octets = bytearray(capacity)
        self._view = memoryview(self._octets)
        self._position = 0
        self._end = 0
        self._batch = Batch()
        self.detailed = False

    @property
    def unread(self) -> int:
        """How many octets are here that no message was made of."""
        return self._end - self._position

    @property
    def grown(self) -> bool:
        """Whether it is larger than it was made, for the sake of a long message."""
        return len(self._octets) > BUFFER_BYTES

    @property
    def full(self) -> bool:
        """True when the entries have to be taken before more come; no more are gathered where a long one made room.

        Details are not gathered at all: more of them may come in a second or in a week.
        """
        return (self._end >= self._capacity and bool(self._batch.entries)) or bool(self._batch.details)

    @property
    def entries(self) -> int:
        """How many entries are here that were not taken yet."""
        return len(self._batch.entries)

    def room(self) -> memoryview:
        """Where the next octets go; never empty unless the buffer is `full`."""
        if self._end == len(self._octets) and not self._batch.entries:
            self._make_room()
        return self._view[self._end :]

    def filled(self, octets: int) -> None:
        """So many octets were written to `room()`."""
        self._end += octets

    def take(self) -> Batch:
        """What was parsed since the last time."""
        batch, self._batch = self._batch, Batch()
        return batch

    def rewind(self) -> None:
        """Give up the entries taken so far: they are overwritten from now on, and so their octets make room.

        The unread octets move only when at least as many have been read: a thousand short answers in one buffer would
        otherwise move the rest a thousand times. A buffer that grew for a long message shrinks again.
        """
        if self._position >= self.unread:
            grown = len(self._octets) > self._capacity >= self.unread
            self._move_to(bytearray(self._capacity) if grown else self._octets)

    def _make_room(self) -> None:
        """Double the buffer for a message that is longer; it was found to be within the limit."""
        self._move_to(self._octets if self._position else bytearray(2 * len(self._octets)))

    def _move_to(self, octets: bytearray) -> None:
        unread, view = self.unread, memoryview(octets)
        view[:unread] = self._view[self._position : self._end]
        self._octets, self._view = octets, view
        self._position, self._end = 0, unread

    def parse(self, message_id: int, answer: int) -> bool:
        """Go through the whole messages that are here; true when the operation has ended, with a protocolOp `answer`.

        Spelled out in one loop because every entry of every run passes here: calls would double the time.
        Raises ProtocolViolation, and ServerUnavailable for a notice of disconnection.
        """
        octets, view, position, end = self._octets, self._view, self._position, self._end
        entries, limit, from_bytes = self._batch.entries, self.max_message_bytes, int.from_bytes
        familiar = ber.encode_integer(message_id) + bytes((SEARCH_ENTRY,))
        while position + 2 <= end:
            start, length = position + 2, octets[position + 1]
            if length >= ber.LONG_FORM:
                start += length - ber.LONG_FORM
                length = from_bytes(octets[position + 2 : start], "big") if start <= end else 0
            stop = start + length
            if stop > end or octets[position] != ber.SEQUENCE or stop - position > limit:
                self._check(octets[position], stop - position)
                break
            # The octet after the entry's tag is its length: `stop - 1` makes sure that there is one.
            if octets.startswith(familiar, start, stop - 1):
                op = start + len(familiar) - 1
                start, length = op + 2, octets[op + 1]
                if length >= ber.LONG_FORM:
                    start += length - ber.LONG_FORM
                    length = from_bytes(octets[op + 2 : start], "big")
                if start + length == stop:
                    entries.append(view[op:stop])
                    position = stop
                    continue
            self._position = position
            self._any_message(stop, message_id, answer)
            position = stop
            if self._batch.result:
                break
        self._position = position
        return self._batch.result is not None

    def _check(self, tag: int, octets: int) -> None:
        """Raise unless the message just has not arrived as a whole."""
        if tag != ber.SEQUENCE:
            raise ber.not_ldap(f"a message starts with 0x{tag:02x}")
        if octets > self.max_message_bytes:
            raise ProtocolViolation(
                f"The server announced a message of {octets} octets; at most {self.max_message_bytes} are accepted.",
                hint="If its entries really are that large, raise the limit or leave photos out of the mapping.",
            )

    def _any_message(self, stop: int, message_id: int, answer: int) -> None:
        """Read the message at `_position` that is not an entry in the usual form."""
        first = self._position
        message = bytes(self._view[first:stop])
        outer = ber.element_at(message, 0, len(message))
        parts = ber.elements(message, outer.start, outer.stop)
        if len(parts) < 2 or parts[0].tag != ber.INTEGER:  # noqa: PLR2004 -- an id and an operation
            raise ber.not_ldap("a message has no id or no operation")
        ident, op = parts[:2]
        if op.tag != SEARCH_ENTRY and len(message) > GREETING_BYTES:
            raise ber.not_ldap(f"a message that is no entry has {len(message)} octets")
        number = ber.number_in(message, ident)
        if number != message_id:
            _unsolicited(number, op.tag, message[ident.stop : op.stop])
        elif self.detailed and op.tag in {SEARCH_ENTRY, INTERMEDIATE}:
            self._batch.details.append(Detail(op.tag, message[ident.stop : op.stop], _controls(message, parts[2:])))
        elif op.tag == SEARCH_ENTRY:
            self._batch.entries.append(self._view[first + ident.stop : first + op.stop])
        elif op.tag == _SEARCH_REFERENCE:
            self._batch.references += 1
        elif op.tag == answer:
            self._batch.result = parse_result(message[ident.stop : op.stop], _controls(message, parts[2:]))
        elif op.tag != INTERMEDIATE:
            raise ber.not_ldap(f"operation 0x{op.tag:02x} is no answer to what was asked")


def _controls(message: bytes, parts: Iterable[ber.Element]) -> Mapping[str, bytes]:
    """What stands behind the protocolOp of a message."""
    return read_controls(b"".join(message[part.start : part.stop] for part in parts if part.tag == _CONTROLS))


def _unsolicited(message_id: int, tag: int, op: bytes) -> None:
    """A message that answers nothing: raise unless it is a notification that may be ignored (RFC 4511, section 4.4)."""
    if message_id or tag != EXTENDED_RESPONSE:
        raise ber.not_ldap(f"message {message_id} answers nothing that was asked")
    outer = ber.element_at(op, 0, len(op))
    names = [
        op[part.start : part.stop] for part in ber.elements(op, outer.start, outer.stop) if part.tag == _RESPONSE_NAME
    ]
    if _NOTICE_OF_DISCONNECTION in names:
        raise ServerUnavailable(f"The server gave notice that it ends the connection: {parse_result(op)}.")


class Wire:
    """Asks over one socket, plain or TLS, and reads the answers; no wait outlasts `receive_timeout` or the deadline.

    ldap3's own strategy is passed by: it waits without regard to a deadline, believes every length, decodes every
    value, copies what is left of its buffer for each message, and keeps a copy of each request, the password included.
    """

    def __init__(
        self,
        connected: socket.socket,
        server: str,
        *,
        deadline: Deadline,
        receive_timeout: float,
        max_message_bytes: int = GREETING_BYTES,
    ) -> None:
        self.server = server
        self._socket = connected
        self._message_ids = count(1)
        self._buffer = MessageBuffer(max_message_bytes)
        self.limit(deadline=deadline, receive_timeout=receive_timeout, max_message_bytes=max_message_bytes)

    def limit(self, *, deadline: Deadline, receive_timeout: float, max_message_bytes: int) -> None:
        """Change what the following reads may take: seconds in all, seconds of silence, octets of a message."""
        self._deadline = deadline
        self._receive_timeout = receive_timeout
        self._buffer.max_message_bytes = max_message_bytes

    @property
    def settled(self) -> bool:
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

    def ask(self, op: bytes, answer: int) -> Result:
        """Send an operation that has one answer, of that tag, and wait for it."""
        batch = self.read(self.send(op), answer)
        if batch.result is None or batch.entries:
            raise ber.not_ldap("entries came that were not asked for")
        return batch.result

    def send(self, op: bytes, controls: bytes = b"") -> int:
        """Send one message and give its id; `controls` is the whole encoded element or nothing."""
        message_id = next(self._message_ids)
        self._socket.settimeout(min(self._receive_timeout, self._deadline.remaining()))
        try:
            self._socket.sendall(ber.encode(ber.SEQUENCE, ber.encode_integer(message_id), op, controls))
        except TimeoutError:
            raise self._silent() from None
        except OSError as error:
            raise self._broken(error) from None
        return message_id

    def read(self, message_id: int, answer: int, *, expected: int = 0, detailed: bool = False) -> Batch:
        """The next entries of that operation: all until it ends, or as many as the buffer holds.

        `expected` is how many may come, at most: while that is many, they are not looked for one by one. With
        `detailed` it returns as soon as anything is there.
        """
        buffer = self._buffer
        buffer.detailed = detailed
        buffer.rewind()
        octets = 0
        while not buffer.parse(message_id, answer) and not buffer.full:
            if octets < _FLOOD and _LULL_ENTRIES <= buffer.entries <= expected - _LULL_ENTRIES and self._is_drained():
                time.sleep(_LULL)
            octets = self._receive(buffer.room())
            buffer.filled(octets)
        return buffer.take()

    def _is_drained(self) -> bool:
        """Whether the last look took all there was: over TLS it takes one record, and thousands may lie behind it."""
        return not isinstance(self._socket, ssl.SSLSocket) or self._is_quiet()

    def _receive(self, room: memoryview) -> int:
        patience = self._receive_timeout
        while patience > 0:
            wait = min(patience, _PATIENCE, self._deadline.remaining())
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
            f"{self.server} did not answer for {self._receive_timeout:g} seconds.",
            hint="If the directory is that slow, raise the receive timeout.",
        )

    def _broken(self, error: OSError) -> DirectoryError:
        refused = our_certificate_refused(error, self.server)
        return refused or ServerUnavailable(
            f"The connection to {self.server} broke: {error.strerror or error}.", hint=self._certificate_hint
        )
