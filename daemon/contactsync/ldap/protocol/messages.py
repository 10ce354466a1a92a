"""Cuts the octets of one operation's answers into LDAP messages (RFC 4511, section 4.1.1); knows nothing of sockets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from contactsync.errors import ProtocolViolation, ServerUnavailable
from contactsync.ldap.protocol import ber
from contactsync.ldap.protocol.results import Result, parse_result, read_controls

BUFFER_BYTES = 1 << 20
"""Holds a page of 1,000 people. Measured with 100,000: a smaller one makes more batches, a larger one gains nothing."""
GREETING_BYTES = 1 << 20
"""The longest message before the search, and later of all but entries: each of them takes a few thousand octets."""

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
class EntryBatch:
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
        self._batch = EntryBatch()
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

    def take(self) -> EntryBatch:
        """What was parsed since the last time."""
        batch, self._batch = self._batch, EntryBatch()
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
            # The octet after the entry's tag is its length: `stop - 1` makes sure that there is one.
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
        parts = parts_of(message)
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


def parts_of(message: bytes) -> list[ber.Element]:
    """The id, the protocolOp and whatever follows them in one whole message; raises ProtocolViolation."""
    outer = ber.element_at(message, 0, len(message))
    parts = ber.elements(message, outer.start, outer.stop)
    if outer.tag != ber.SEQUENCE or len(parts) < 2 or parts[0].tag != ber.INTEGER:  # noqa: PLR2004 -- id and operation
        raise ber.not_ldap("a message has no id or no operation")
    return parts


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
