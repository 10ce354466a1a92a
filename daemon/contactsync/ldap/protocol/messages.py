"""Splits received octets into LDAP messages (RFC 4511, section 4.1.1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from contactsync.errors import ProtocolViolation, ServerUnavailable
from contactsync.ldap.protocol import ber
from contactsync.ldap.protocol.results import Result, parse_result, read_controls

BUFFER_BYTES = 1 << 20
"""Room for a page of 1,000 people; a larger buffer is no faster (measured with 100,000 people)."""
GREETING_BYTES = 1 << 20
"""The limit of messages before a search, and of all messages that are not entries; they take a few thousand octets."""

BIND_RESPONSE, SEARCH_DONE, EXTENDED_RESPONSE = 0x61, 0x65, 0x78
SEARCH_ENTRY, INTERMEDIATE = 0x64, 0x79
_SEARCH_REFERENCE = 0x73
_CONTROLS = 0xA0
_RESPONSE_NAME = 0x8A
_NOTICE_OF_DISCONNECTION = b"1.3.6.1.4.1.1466.20036"


@dataclass(frozen=True, slots=True)
class Detail:
    """An entry with its controls, or an intermediate response; `op` has the octets of the protocolOp."""

    tag: int
    op: bytes
    controls: Mapping[str, bytes]


@dataclass(slots=True)
class EntryBatch:
    """The messages of one read. Entries are slices of the buffer, valid only until the next read.

    An entry is a protocolOp, tag 0x64 and length included. `references` counts search result references, which are not
    followed. `result` is set when the operation has ended. A read with `detailed` has its entries in `details`.
    """

    entries: list[memoryview | bytes] = field(default_factory=list)
    details: list[Detail] = field(default_factory=list)
    references: int = 0
    result: Result | None = None


class MessageBuffer:
    """A receive buffer that splits octets into the messages of one operation.

    Write to `room()`, call `filled()` with the number of octets, and `parse()`. A message that announces more than
    `max_message_bytes` is refused before memory is allocated for it.
    """

    def __init__(self, max_message_bytes: int, *, capacity: int = BUFFER_BYTES) -> None:
        self.max_message_bytes = max_message_bytes
        self._capacity = capacity
        self._octets = bytearray(capacity)
        self._view = memoryview(self._octets)
        self._position = 0
        self._end = 0
        self._batch = EntryBatch()
        self.detailed = False

    @property
    def unread(self) -> int:
        """The number of octets that no message was made of yet."""
        return self._end - self._position

    @property
    def grown(self) -> bool:
        """Whether the buffer has grown for a long message."""
        return len(self._octets) > BUFFER_BYTES

    @property
    def full(self) -> bool:
        """Whether the entries must be taken before more octets are received.

        True for any detail: the next one may come in a second or in a week.
        """
        return (self._end >= self._capacity and bool(self._batch.entries)) or bool(self._batch.details)

    @property
    def entries(self) -> int:
        """The number of entries that were not taken yet."""
        return len(self._batch.entries)

    def room(self) -> memoryview:
        """The part of the buffer for the next octets; empty only if the buffer is `full`."""
        if self._end == len(self._octets) and not self._batch.entries:
            self._make_room()
        return self._view[self._end :]

    def filled(self, octets: int) -> None:
        """Record that so many octets were written to `room()`."""
        self._end += octets

    def take(self) -> EntryBatch:
        """The messages that were parsed since the last call."""
        batch, self._batch = self._batch, EntryBatch()
        return batch

    def rewind(self) -> None:
        """Free the entries taken so far, whose octets may now be overwritten. A buffer that has grown shrinks again.

        Unread octets are moved only if at least as many were read: a thousand short responses in one buffer would
        otherwise move the rest a thousand times.
        """
        if self._position >= self.unread:
            grown = len(self._octets) > self._capacity >= self.unread
            self._move_to(bytearray(self._capacity) if grown else self._octets)

    def _make_room(self) -> None:
        """Double the buffer for a message that is longer; `parse` has checked it against the limit."""
        self._move_to(self._octets if self._position else bytearray(2 * len(self._octets)))

    def _move_to(self, octets: bytearray) -> None:
        unread, view = self.unread, memoryview(octets)
        view[:unread] = self._view[self._position : self._end]
        self._octets, self._view = octets, view
        self._position, self._end = 0, unread

    def parse(self, message_id: int, answer: int) -> bool:
        """Parse the complete messages; true if the operation has ended, by a protocolOp with the tag `answer`.

        Raises ProtocolViolation, and ServerUnavailable for a notice of disconnection.
        """
        # One loop without calls: every entry of every run passes here, and calls would double the time.
        octets, view, position, end = self._octets, self._view, self._position, self._end
        entries, limit, from_bytes = self._batch.entries, self.max_message_bytes, int.from_bytes
        known_headers = ber.encode_integer(message_id) + bytes((SEARCH_ENTRY,))
        while position + 2 <= end:
            start, length = position + 2, octets[position + 1]
            if length >= ber.LONG_FORM:
                start += length - ber.LONG_FORM
                length = from_bytes(octets[position + 2 : start], "big") if start <= end else 0
            stop = start + length
            if stop > end or octets[position] != ber.SEQUENCE or stop - position > limit:
                self._check(octets[position], stop - position)
                break
            # `stop - 1`: there must be a length octet behind the entry's tag.
            if octets.startswith(known_headers, start, stop - 1):
                op = start + len(known_headers) - 1
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
        """Raise unless the message is only incomplete."""
        if tag != ber.SEQUENCE:
            raise ber.not_ldap(f"a message starts with 0x{tag:02x}")
        if octets > self.max_message_bytes:
            raise ProtocolViolation(
                f"The server announced a message of {octets} octets; at most {self.max_message_bytes} are accepted.",
                hint="If entries are that large, raise directory.max_message_bytes or leave photos out of the mapping.",
            )

    def _any_message(self, stop: int, message_id: int, answer: int) -> None:
        """Parse the message at `_position`, which is not an entry in the usual form."""
        first = self._position
        message = bytes(self._view[first:stop])
        parts = parts_of(message)
        ident, op = parts[:2]
        if op.tag != SEARCH_ENTRY and len(message) > GREETING_BYTES:
            raise ber.not_ldap(f"a message that is not an entry has {len(message)} octets")
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
            raise ber.not_ldap(f"operation 0x{op.tag:02x} does not answer the request")


class MessageSplitter:
    """Splits octets into messages of any operation, of up to `max_message_bytes`."""

    def __init__(self, max_message_bytes: int) -> None:
        self._max_message_bytes = max_message_bytes
        self._octets = bytearray()

    def add(self, octets: bytes) -> list[tuple[int, bytes]]:
        """The id and the protocolOp of each message that is now complete; raises ProtocolViolation."""
        self._octets += octets
        messages, position = [], 0
        while (stop := _end_of(self._octets, position)) <= len(self._octets):
            message = bytes(self._octets[position:stop])
            ident, op = parts_of(message)[:2]
            messages.append((ber.number_in(message, ident), message[ident.stop : op.stop]))
            position = stop
        if stop - position > self._max_message_bytes:
            raise ber.not_ldap(f"a message has {stop - position} octets where a few are expected")
        del self._octets[:position]
        return messages


def _end_of(octets: bytearray, position: int) -> int:
    """Where the message at `position` ends; any place behind the octets while its length is incomplete."""
    start = position + 2
    if start > len(octets):
        return len(octets) + 1
    length = octets[position + 1]
    if length >= ber.LONG_FORM:
        start += length - ber.LONG_FORM
        if start > len(octets):
            return len(octets) + 1
        length = int.from_bytes(octets[position + 2 : start], "big")
    return start + length


def parts_of(message: bytes) -> list[ber.Element]:
    """The id, the protocolOp and what follows them in one complete message; raises ProtocolViolation."""
    outer = ber.element_at(message, 0, len(message))
    parts = ber.elements(message, outer.start, outer.stop)
    if outer.tag != ber.SEQUENCE or len(parts) < 2 or parts[0].tag != ber.INTEGER:  # noqa: PLR2004 -- id and operation
        raise ber.not_ldap("a message has no id or no operation")
    return parts


def _controls(message: bytes, parts: Iterable[ber.Element]) -> Mapping[str, bytes]:
    return read_controls(b"".join(message[part.start : part.stop] for part in parts if part.tag == _CONTROLS))


def _unsolicited(message_id: int, tag: int, op: bytes) -> None:
    """Raise for a message with another id, unless it is a notification to ignore (RFC 4511, section 4.4)."""
    if message_id or tag != EXTENDED_RESPONSE:
        raise ber.not_ldap(f"message {message_id} answers no request")
    outer = ber.element_at(op, 0, len(op))
    names = [
        op[part.start : part.stop] for part in ber.elements(op, outer.start, outer.stop) if part.tag == _RESPONSE_NAME
    ]
    if _NOTICE_OF_DISCONNECTION in names:
        raise ServerUnavailable(f"The server announced that it closes the connection: {parse_result(op)}.")
