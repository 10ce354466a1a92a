"""The cost of reading grows no faster than the octets received, and announced octets take no memory.

The tests count steps of the interpreter and not seconds, so that the outcome is the same on every machine.
"""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import pytest

from contactsync.ldap.protocol.entry import decode_entry
from contactsync.ldap.protocol.messages import MessageBuffer
from contactsync.ldap.protocol.requests import PAGED_RESULTS, paging_cookie
from tests.support.decoders import REFUSED, read
from tests.support.messages import DONE, ENTRY, MESSAGE_ID, Encoder

BER = Encoder()
LIMIT = 1 << 24


class Steps:
    """Counts the instructions of bytecode that the interpreter executes."""

    count = 0

    def trace(self, frame: FrameType, event: str, _argument: Any) -> Callable[..., Any]:
        """The interpreter calls this for every frame and every instruction."""
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self.count += event == "opcode"
        return self.trace


@contextmanager
def counted() -> Iterator[Steps]:
    """Count the steps of a block; a tracer such as coverage is restored afterwards."""
    steps, before = Steps(), sys.gettrace()
    sys.settrace(steps.trace)
    try:
        yield steps
    finally:
        sys.settrace(before)


def steps_of(work: Callable[[bytes], Any], octets: bytes) -> int:
    """The steps of some work, whether it succeeds or raises one of our errors."""
    with counted() as steps, suppress(*REFUSED):
        work(octets)
    return steps.count


def in_one_piece(octets: bytes) -> None:
    """Read messages that arrive at once."""
    read(octets, [len(octets)], capacity=1 << 16, limit=LIMIT)


def in_one_read(octets: bytes) -> None:
    """The same, into a buffer that is large enough from the start; parse the cookie as well."""
    found = read(octets, [len(octets)], capacity=1 << 20, limit=LIMIT)
    if found.result and found.result.controls:
        paging_cookie(found.result.controls[PAGED_RESULTS])


def octet_by_octet(octets: bytes) -> None:
    """Read messages that arrive octet by octet."""
    read(octets, [1], capacity=64, limit=LIMIT)


def decode(message: bytes) -> None:
    """Decode the entry of a message."""
    decode_entry(read(message, [len(message)], capacity=1 << 16, limit=LIMIT).entries[0])


def entry(*attributes: bytes) -> bytes:
    """A message with an entry of these encoded attributes."""
    return BER.message(BER.tlv(ENTRY, BER.string(b"cn=a"), BER.tlv(0x30, *attributes)))


def attributes(count: int, *values: bytes) -> bytes:
    """An entry with so many attributes."""
    return entry(*(BER.attribute(b"a%d" % number, values) for number in range(count)))


GROWING: dict[str, tuple[Callable[[bytes], None], Callable[[int], bytes]]] = {
    "a message in one piece": (in_one_piece, lambda n: entry(bytes(n)) + BER.done()),
    "a message octet by octet": (octet_by_octet, lambda n: entry(bytes(n)) + BER.done()),
    "an announced length that does not come": (octet_by_octet, lambda n: entry(bytes(4 * n))[:n]),
    "small entries": (in_one_piece, lambda n: attributes(1, b"v") * n + BER.done()),
    "entries of an odd form": (in_one_piece, lambda n: Encoder([2]).entry(b"cn=a", []) * n + BER.done()),
    "references": (in_one_piece, lambda n: BER.reference(b"ldap://a/") * n + BER.done()),
    "notifications": (in_one_piece, lambda n: BER.notification(b"1.2.3") * n + BER.done()),
    "attributes": (decode, lambda n: attributes(n, b"value")),
    "attributes without values": (decode, attributes),
    "attributes with several values": (decode, lambda n: attributes(n, b"a", b"b")),
    "one attribute again and again": (decode, lambda n: entry(BER.attribute(b"mail", [b"a"]) * n)),
    "two attributes in turn": (
        decode,
        lambda n: entry((BER.attribute(b"mail", [b"a"]) + BER.attribute(b"sn", [b"b"])) * n),
    ),
    "values": (decode, lambda n: entry(BER.attribute(b"mail", [b"%d" % number for number in range(n)]))),
    "a long value": (decode, lambda n: attributes(1, bytes(n))),
    "a long name": (decode, lambda n: entry(BER.attribute(b"a" * n, [b"value"]))),
    "options": (decode, lambda n: entry(BER.attribute(b"a" + b";range=1" * n, [b"value"]))),
    "a long DN": (decode, lambda n: Encoder().entry(b"\xff" * n, [])),
}


@pytest.mark.parametrize("case", GROWING)
def test_four_times_as_much_takes_at_most_four_times_the_steps(case: str) -> None:
    """Octets, messages, attributes, values."""
    work, make = GROWING[case]
    work(make(8))  # fill the caches

    few, many = steps_of(work, make(400)), steps_of(work, make(1600))

    assert few > 0
    assert many <= 4 * few


def test_steps_are_counted() -> None:
    """The count shows work that grows with the square."""
    quadratic = lambda octets: [octet for _ in octets for octet in octets]  # noqa: E731

    assert steps_of(quadratic, bytes(40)) > 12 * steps_of(quadratic, bytes(10))


BOUNDED: dict[str, Callable[[int], bytes]] = {
    "referrals": lambda n: BER.done(BER.ldap_result(10, uris=[b"ldap://a/"] * n)),
    "components of a result": lambda n: BER.done(BER.ldap_result() + BER.tlv(0x8C) * n),
    "components of a message": lambda n: BER.message(BER.tlv(DONE, BER.ldap_result()), BER.tlv(0x8C) * n),
    "controls": lambda n: BER.done(controls=[(b"1.2", None)] * n),
    "components of a control": lambda n: BER.message(
        BER.tlv(DONE, BER.ldap_result()), BER.tlv(0xA0, BER.tlv(0x30, BER.string(b"1.2", *[b""] * n)))
    ),
    "components of a notification": lambda n: BER.message(
        BER.tlv(0x78, BER.ldap_result(), BER.tlv(0x8A, b"") * n), message_id=0
    ),
    "a diagnostic text": lambda n: BER.done(BER.ldap_result(80, said=b"so " * n)),
    "a matched DN": lambda n: BER.done(BER.ldap_result(32, matched_dn=b"\xff" * n)),
    "a result code": lambda n: BER.done(BER.tlv(0x0A, b"\1" * n) + BER.string(b"", b"")),
    "a message id": lambda n: BER.tlv(0x30, BER.tlv(0x02, b"\1" * n), BER.tlv(DONE, BER.ldap_result())),
    "a cookie": lambda n: BER.done(controls=[BER.page(b"c" * n)]),
}


@pytest.mark.parametrize("case", BOUNDED)
def test_other_messages_take_a_bounded_number_of_steps(case: str) -> None:
    """However many parts they have, and however long those are."""
    few, many = (steps_of(in_one_read, BOUNDED[case](count)) for count in (20_000, 80_000))

    assert many == few


@pytest.mark.parametrize("case", BOUNDED)
def test_other_messages_take_little_memory(case: str) -> None:
    """The buffer that doubles, a copy of the message and one of its part, but no object for each octet."""
    octets = BOUNDED[case](100_000)

    assert peak(in_one_piece, octets) < 8 * len(octets) + (1 << 20)


def test_other_messages_are_limited_to_a_mebibyte() -> None:
    """A cookie of that size would be sent back with every page."""
    octets = BER.done(controls=[BER.page(bytes(1 << 20))])

    with pytest.raises(REFUSED, match="not an entry has 1048"):
        in_one_piece(octets)


@pytest.mark.parametrize("number", [b"", b"\0" * 9])
def test_numbers_of_no_size_are_refused(number: bytes) -> None:
    """An empty result code is not a success, and Python refuses to print a very long one."""
    result = BER.tlv(0x0A, number) + BER.string(b"", b"")

    with pytest.raises(REFUSED, match=f"a number has {len(number)} octets"):
        in_one_piece(BER.done(result))
    with pytest.raises(REFUSED, match=f"a number has {len(number)} octets"):
        in_one_piece(BER.tlv(0x30, BER.tlv(0x02, number), BER.tlv(DONE, BER.ldap_result())))


def test_ten_referrals_of_a_server_are_kept() -> None:
    """They are shown on one line."""
    found = read(BER.done(BER.ldap_result(10, uris=[b"ldap://%d/" % number for number in range(900)])), limit=LIMIT)

    assert found.result is not None
    assert found.result.referrals == tuple(f"ldap://{number}/" for number in range(10))


def peak(work: Callable[[bytes], Any], octets: bytes) -> int:
    """The most memory that was allocated at once."""
    tracemalloc.start()
    try:
        with suppress(*REFUSED):
            work(octets)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("case", GROWING)
def test_four_times_as_much_takes_no_more_than_its_share_of_memory(case: str) -> None:
    """A buffer that doubles may take twice as much; the square would be sixteen times as much."""
    work, make = GROWING[case]
    work(make(8))

    few, many = peak(work, make(1000)), peak(work, make(4000))

    assert many <= 8 * few


def test_the_cache_of_names_is_bounded() -> None:
    """A server that invents attribute names does not fill the memory."""

    def invent(entries: bytes) -> None:
        for number, _ in enumerate(entries):
            decode(entry(*(BER.attribute(b"a%d" % (100 * number + index), [b"v"]) for index in range(100))))

    assert peak(invent, bytes(300)) < 3 << 20


@pytest.mark.parametrize("announced", [1 << 20, LIMIT - 100])
def test_an_announced_length_allocates_nothing(announced: int) -> None:
    """Only the octets received and the buffer take memory."""
    octets = entry(bytes(announced))[:1000]

    assert peak(in_one_piece, octets) < (1 << 16) + 20_000


def test_a_buffer_shrinks_after_a_long_message() -> None:
    """It collects no small entries, and shrinks when the long one was taken."""
    buffer = MessageBuffer(LIMIT, capacity=1024)
    fill(buffer, entry(bytes(100_000)))
    assert buffer.full
    assert len(buffer.take().entries) == 1

    buffer.rewind()

    assert len(buffer.room()) == 1024


def fill(buffer: MessageBuffer, octets: bytes) -> None:
    """Fill the buffer with octets and parse them."""
    while octets:
        room = buffer.room()
        piece, octets = octets[: len(room)], octets[len(room) :]
        room[: len(piece)] = piece
        buffer.filled(len(piece))
        buffer.parse(MESSAGE_ID, DONE)


@pytest.mark.parametrize("answers", [1000, 4000])
def test_responses_in_one_buffer_are_moved_once_on_average(answers: int) -> None:
    """A server can guess the next message ids and answer them all at once."""
    octets = BER.done() * answers
    buffer = MessageBuffer(LIMIT, capacity=len(octets) + 1)
    fill(buffer, octets)
    moved = 0
    for _ in range(answers):
        assert buffer.take().result
        before, unread = len(buffer.room()), buffer.unread
        buffer.rewind()
        moved += unread if len(buffer.room()) != before else 0
        buffer.parse(MESSAGE_ID, DONE)

    assert (moved, buffer.unread) <= (len(octets), 0)
    assert moved
