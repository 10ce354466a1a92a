"""LDAP messages out of octets, however those arrive and whatever they claim."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contactsync.errors import DirectoryError, ProtocolViolation, ServerUnavailable
from contactsync.ldap.protocol.messages import BIND_RESPONSE, EXTENDED_RESPONSE, SEARCH_DONE, MessageBuffer
from contactsync.ldap.protocol.requests import PAGED_RESULTS, paging_control, paging_cookie
from contactsync.ldap.protocol.results import Result

LIMIT = 100_000
MESSAGE_ID = 5
SUCCESS = bytes.fromhex("0a0100 0400 0400")


def tlv(tag: int, *contents: bytes, length_octets: int | None = None) -> bytes:
    """One element; with `length_octets` its length takes that many, needed or not."""
    value = b"".join(contents)
    if length_octets is None:
        length_octets = 0 if len(value) < 0x80 else (len(value).bit_length() + 7) // 8
    if length_octets == 0:
        return bytes((tag, len(value))) + value
    return bytes((tag, 0x80 | length_octets)) + len(value).to_bytes(length_octets, "big") + value


def message(*parts: bytes, message_id: int = MESSAGE_ID) -> bytes:
    """An LDAPMessage around its protocolOp and controls."""
    return tlv(0x30, tlv(0x02, message_id.to_bytes(message_id.bit_length() // 8 + 1, "big")), *parts)


def read(octets: bytes, cuts: list[int], *, capacity: int = 64, limit: int = LIMIT) -> tuple[list[bytes], int, Result]:
    """Feed the octets in pieces of the sizes in `cuts`, in turn; what came until the operation ended."""
    buffer = MessageBuffer(limit, capacity=capacity)
    entries, references, position, turn = [], 0, 0, 0
    while True:
        ended = buffer.parse(MESSAGE_ID, SEARCH_DONE)
        if ended or buffer.full:
            batch = buffer.take()
            entries += [bytes(entry) for entry in batch.entries]
            references += batch.references
            if batch.result:
                return entries, references, batch.result
            buffer.rewind()
            continue
        room = buffer.room()
        piece = octets[position : position + min(cuts[turn % len(cuts)], len(room))]
        if not piece:
            raise EOFError
        room[: len(piece)] = piece
        buffer.filled(len(piece))
        position, turn = position + len(piece), turn + 1


LENGTH_OCTETS = st.sampled_from([None, None, 4, 5, 8])
ENTRIES = st.builds(
    lambda content, octets: tlv(0x64, content, length_octets=octets), st.binary(max_size=400), LENGTH_OCTETS
)
REFERENCE = message(tlv(0x73, tlv(0x04, b"ldap://elsewhere.example/")))
INTERMEDIATE = message(tlv(0x79, tlv(0x80, b"1.3.6.1.4.1.4203.1.9.1.4")))
NOTIFICATION = message(tlv(0x78, SUCCESS, tlv(0x8A, b"1.2.3.4")), message_id=0)
DONE = message(tlv(0x65, SUCCESS))
CUTS = st.lists(st.integers(1, 300), min_size=1, max_size=8)


@given(
    st.lists(ENTRIES, max_size=12),
    st.lists(st.sampled_from([REFERENCE, INTERMEDIATE, NOTIFICATION]), max_size=4),
    st.sampled_from([b"", tlv(0xA0, tlv(0x30, tlv(0x04, b"1.2.3")))]),
    CUTS,
    st.integers(16, 2000),
)
def test_messages_come_out_whole_wherever_they_are_cut(
    entries: list[bytes], others: list[bytes], controls: bytes, cuts: list[int], capacity: int
) -> None:
    """Entries leave as the octets of their operation, without their controls, whatever the pieces and the buffer."""
    octets = b"".join([*others, *(message(entry, controls) for entry in entries), DONE])

    found, references, result = read(octets, cuts, capacity=capacity)

    assert found == entries
    assert references == others.count(REFERENCE)
    assert result.code == 0


@given(
    st.lists(ENTRIES, min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=6),
    CUTS,
)
def test_damaged_octets_end_in_an_error_of_ours_or_an_answer(
    entries: list[bytes], damages: list[tuple[int, int]], cuts: list[int]
) -> None:
    """Nothing else is raised, and reading ends with the octets."""
    octets = bytearray(b"".join([*map(message, entries), REFERENCE, DONE]))
    for place, octet in damages:
        octets[place % len(octets)] = octet
    try:
        _, _, result = read(bytes(octets), cuts)
    except (DirectoryError, EOFError):
        return
    assert isinstance(result, Result)


def test_a_claim_of_two_gibibytes_is_refused_at_once() -> None:
    """The six octets of the header are enough, and the buffer has not grown."""
    buffer = MessageBuffer(LIMIT, capacity=64)
    buffer.room()[:6] = bytes.fromhex("30 84 80000000")
    buffer.filled(6)

    with pytest.raises(ProtocolViolation, match="message of 2147483654 octets"):
        buffer.parse(MESSAGE_ID, SEARCH_DONE)
    assert len(buffer.room()) == 64 - 6


@pytest.mark.parametrize("surplus", [0, 1])
def test_the_limit_holds_for_a_whole_message(surplus: int) -> None:
    """A message of just the permitted length is read, one octet more is refused."""
    octets = message(tlv(0x64, bytes(300)))
    if surplus:
        with pytest.raises(ProtocolViolation):
            read(octets + DONE, [len(octets)], capacity=4096, limit=len(octets) - surplus)
    else:
        assert len(read(octets + DONE, [len(octets)], capacity=4096, limit=len(octets))[0]) == 1


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="another protocol"),
        pytest.param(bytes.fromhex("15030300020228"), id="a TLS alert"),
        pytest.param(bytes.fromhex("3080 020105 6480 0000 0000"), id="indefinite length of the message"),
        pytest.param(tlv(0x30, bytes.fromhex("020105 6480 0400 0000")), id="indefinite length of the entry"),
        pytest.param(tlv(0x30), id="an empty message"),
        pytest.param(tlv(0x30, bytes.fromhex("020105")), id="no operation"),
        pytest.param(tlv(0x30, bytes.fromhex("020105 64")), id="an entry without a length"),
        pytest.param(tlv(0x30, bytes.fromhex("020105 6405 0400")), id="an entry longer than its message"),
        pytest.param(tlv(0x30, bytes.fromhex("020105 6505 0a01")), id="a result longer than its message"),
        pytest.param(message(tlv(0x65, bytes.fromhex("0a0100"))), id="half a result"),
        pytest.param(message(tlv(0x64), message_id=6), id="an entry of another operation"),
        pytest.param(message(tlv(0x65, SUCCESS), message_id=4), id="the end of another operation"),
        pytest.param(message(tlv(0x64), message_id=0), id="an entry as a notification"),
        pytest.param(message(tlv(BIND_RESPONSE, SUCCESS)), id="the answer to a bind"),
        pytest.param(message(tlv(EXTENDED_RESPONSE, SUCCESS)), id="the answer to an extended operation"),
    ],
)
def test_octets_that_are_no_answer_are_refused(octets: bytes) -> None:
    """What LDAP does not allow here is a ProtocolViolation, even when a good message follows."""
    with pytest.raises(ProtocolViolation):
        read(octets + DONE, [1000], capacity=4096)


def test_a_message_id_in_a_longer_form_is_the_same() -> None:
    """Leading zeros change neither the entry nor the end of the operation."""
    ident = bytes.fromhex("020400000005")
    octets = tlv(0x30, ident, tlv(0x64, b"entry")) + tlv(0x30, ident, tlv(0x65, SUCCESS))

    assert read(octets, [1000])[0] == [tlv(0x64, b"entry")]


def test_a_notice_of_disconnection_is_an_unavailable_server() -> None:
    """The server's own reason is in the message."""
    result = bytes.fromhex("0a0134 0400") + tlv(0x04, b"going down")
    notice = message(tlv(0x78, result, tlv(0x8A, b"1.3.6.1.4.1.1466.20036")), message_id=0)

    with pytest.raises(ServerUnavailable, match=r'unavailable \(52\): "going down"'):
        read(notice, [1000])


def test_the_control_of_a_finished_page_holds_the_cookie() -> None:
    """What a server sends back to be continued is found again octet by octet."""
    cookie = bytes(range(256))
    done = message(tlv(0x65, SUCCESS), paging_control(0, cookie))

    _, _, result = read(done, [1])

    assert paging_cookie(result.controls[PAGED_RESULTS]) == cookie


@pytest.mark.parametrize(
    "value",
    [
        b"",
        tlv(0x04, tlv(0x02, b"\0"), tlv(0x04, b"next")),  # the right parts, and not in a sequence
        tlv(0x30, tlv(0x04, b"next")),
        tlv(0x30, tlv(0x02, b"\0"), tlv(0x02, b"next")),
    ],
)
def test_a_cookie_in_another_form_is_none(value: bytes) -> None:
    """What is no realSearchControlValue (RFC 2696) does not say where the next page starts."""
    with pytest.raises(ProtocolViolation):
        paging_cookie(value)


def test_a_control_has_its_name_and_no_other() -> None:
    """What only looks like the paging control when it is printed is none."""
    control = tlv(0x30, tlv(0x04, PAGED_RESULTS.encode() + b"\0"), tlv(0x04, b""))

    _, _, result = read(message(tlv(0x65, SUCCESS), tlv(0xA0, control)), [1000])

    assert PAGED_RESULTS not in result.controls


def test_a_result_says_what_the_server_said_on_one_line() -> None:
    """Matched DN, diagnostic text and referrals are read; control characters in them are not passed on."""
    referral = tlv(0xA3, tlv(0x04, b"ldap://elsewhere.example/"))
    result = bytes.fromhex("0a010a") + tlv(0x04, "o=Ünion".encode()) + tlv(0x04, b"go\nthere\x00\x1b[1m") + referral

    _, _, found = read(message(tlv(0x65, result)), [1000])

    assert found == Result(10, "o=Ünion", "go there  [1m", ("ldap://elsewhere.example/",), {})
