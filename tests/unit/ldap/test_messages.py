"""Splitting octets into LDAP messages; test_reader_properties.py compares it with ldap3's decoders."""

from __future__ import annotations

import pytest

from contactsync.errors import ProtocolViolation, ServerUnavailable
from contactsync.ldap.protocol.messages import MessageBuffer
from contactsync.ldap.protocol.requests import PAGED_RESULTS, paging_control, paging_cookie
from contactsync.ldap.protocol.results import Result
from tests.support.decoders import read
from tests.support.messages import BIND_RESPONSE, DONE, ENTRY, EXTENDED_RESPONSE, MESSAGE_ID, Encoder

BER = Encoder()
tlv, message = BER.tlv, BER.message
SUCCESS = BER.ldap_result()


def test_a_claim_of_two_gibibytes_is_refused_at_once() -> None:
    """The six octets of the header are enough, and the buffer has not grown."""
    buffer = MessageBuffer(100_000, capacity=64)
    buffer.room()[:6] = bytes.fromhex("30 84 80000000")
    buffer.filled(6)

    with pytest.raises(ProtocolViolation, match="message of 2147483654 octets"):
        buffer.parse(MESSAGE_ID, DONE)
    assert len(buffer.room()) == 64 - 6


def test_the_limit_is_that_of_a_whole_message() -> None:
    """A message of just the permitted length is read, one octet more is refused."""
    octets = message(tlv(ENTRY, bytes(300)))
    assert len(read(octets + BER.done(), capacity=4096, limit=len(octets)).entries) == 1
    with pytest.raises(ProtocolViolation):
        read(octets + BER.done(), capacity=4096, limit=len(octets) - 1)


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
        pytest.param(message(tlv(DONE, bytes.fromhex("0a0100"))), id="half a result"),
        pytest.param(message(tlv(ENTRY), message_id=6), id="an entry of another operation"),
        pytest.param(message(tlv(DONE, SUCCESS), message_id=4), id="the end of another operation"),
        pytest.param(message(tlv(ENTRY), message_id=0), id="an entry as a notification"),
        pytest.param(message(tlv(BIND_RESPONSE, SUCCESS)), id="the response to a bind"),
        pytest.param(message(tlv(EXTENDED_RESPONSE, SUCCESS)), id="the response to an extended operation"),
    ],
)
def test_octets_that_do_not_answer_the_request_are_refused(octets: bytes) -> None:
    """Even when a sound message follows."""
    with pytest.raises(ProtocolViolation):
        read(octets + BER.done(), capacity=4096)


def test_a_message_id_in_a_longer_form_is_the_same() -> None:
    """Leading zeros change neither the entry nor the end of the operation."""
    ident = bytes.fromhex("020400000005")
    octets = tlv(0x30, ident, tlv(ENTRY, b"entry")) + tlv(0x30, ident, tlv(DONE, SUCCESS))

    assert read(octets).entries == [tlv(ENTRY, b"entry")]


def test_a_notice_of_disconnection_is_an_unavailable_server() -> None:
    """The server's own reason is in the message."""
    result = BER.ldap_result(52, said=b"going down")
    notice = message(tlv(EXTENDED_RESPONSE, result, tlv(0x8A, b"1.3.6.1.4.1.1466.20036")), message_id=0)

    with pytest.raises(ServerUnavailable, match=r'unavailable \(52\): "going down"'):
        read(notice)


def response(*parts: bytes) -> Result:
    """The result in a message of these parts."""
    result = read(message(*parts)).result
    assert result is not None
    return result


def test_the_control_of_a_page_has_the_cookie() -> None:
    """Octet by octet as the server sent it."""
    cookie = bytes(range(256))
    result = response(tlv(DONE, SUCCESS), paging_control(0, cookie))

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
def test_a_cookie_in_another_form_is_refused(value: bytes) -> None:
    """Only a realSearchControlValue (RFC 2696) has one."""
    with pytest.raises(ProtocolViolation):
        paging_cookie(value)


def test_a_control_has_its_name_and_no_other() -> None:
    """A name that only looks the same when printed is another one."""
    control = tlv(0x30, tlv(0x04, PAGED_RESULTS.encode() + b"\0"), tlv(0x04, b""))

    assert PAGED_RESULTS not in response(tlv(DONE, SUCCESS), tlv(0xA0, control)).controls


def test_a_result_has_the_servers_text_on_one_line() -> None:
    """Matched DN, diagnostic message and referrals, without control characters."""
    result = BER.ldap_result(10, "o=Ünion".encode(), b"go\nthere\x00\x1b[1m", [b"ldap://elsewhere.example/"])

    expected = Result(10, "o=Ünion", "go there  [1m", ("ldap://elsewhere.example/",), {})
    assert response(tlv(DONE, result)) == expected
