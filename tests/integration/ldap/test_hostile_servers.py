"""Peers that break the protocol or the connection, or never answer: each ends in one clear error, and in time."""

from __future__ import annotations

import re
import threading
import time
import traceback
from collections.abc import Iterator
from itertools import repeat
from typing import Any

import pytest

from contactsync.errors import (
    AccessRefused,
    ContactsyncError,
    CredentialsRefused,
    DeadlineExceeded,
    DirectoryError,
    IncompleteSnapshot,
    ProtocolViolation,
    RunCancelled,
    ServerBusy,
    ServerTimeout,
    ServerUnavailable,
)
from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.connection.limits import LOOKUP_BYTES, MANY_ENTRIES, ReadLimits
from contactsync.ldap.connection.options import TlsOptions
from contactsync.ldap.connection.session import connect
from contactsync.ldap.protocol import ber
from contactsync.ldap.protocol.requests import PAGED_RESULTS
from contactsync.ldap.query.query import Scope
from contactsync.ldap.search import SearchRequest, read_entries
from contactsync.model import Tls
from tests.support.peers import (
    CLOSE,
    SUCCESS,
    Answer,
    Peer,
    bind_answer,
    done,
    entry,
    message,
    peer,
    result,
    root_dse_answer,
)
from tests.support.sessions import options_at

LIMIT = 1 << 20
"""Octets of a message."""
USER, PASSWORD = "cn=reader,dc=example,dc=test", "correct horse battery staple"
SEARCH = SearchRequest("dc=example,dc=test", Scope.SUB, "(objectClass=*)", ("cn",), 100)

at_every_step = pytest.mark.parametrize("answered", [0, 1, 2], ids=["bind", "root DSE", "search"])


def synchronise(
    server: Peer,
    *,
    deadline: Deadline | None = None,
    tls: Tls = Tls.NONE,
    ldaps: bool = False,
    receive_timeout: float = 5,
    max_entries: int = MANY_ENTRIES,
    max_bytes: int = LOOKUP_BYTES,
) -> int:
    """Connect and read everything by pages; returns the number of entries."""
    deadline = deadline or Deadline(10)
    options = options_at(
        server.port,
        ldaps=ldaps,
        user=USER,
        password=PASSWORD,
        tls=tls,
        trust=TlsOptions(verify=False),
        connect_timeout=receive_timeout,
        receive_timeout=receive_timeout,
    )
    with connect(options, deadline) as session:
        batches = read_entries(session, SEARCH, ReadLimits(deadline, receive_timeout, LIMIT, max_bytes, max_entries))
        return sum(len(batch.entries) for batch in batches)


def error_of(*answers: Answer, answered: int = 2, **options: Any) -> ContactsyncError:
    """The error when `answered` of bind and root DSE succeed, and the next requests are answered like this."""
    before = [bind_answer, root_dse_answer][:answered]
    with peer(*before, *answers) as server, pytest.raises(ContactsyncError) as caught:
        synchronise(server, **options)
    return caught.value


def sends(*octets: bytes) -> Answer:
    """Answer any request with these octets."""
    return lambda _: iter(octets)


def slowly(octets: bytes) -> Answer:
    """Answer any request with these octets, one after the other."""

    def send(_: int) -> Iterator[bytes]:
        for octet in octets:
            time.sleep(0.02)
            yield bytes((octet,))

    return send


def responds(tag: int, contents: bytes = SUCCESS) -> Answer:
    """Answer with this operation."""
    return lambda number: iter([message(number, ber.encode(tag, contents))])


def page(*values: str, contents: bytes = SUCCESS, cookie: bytes | None = b"") -> Answer:
    """Answer with an entry for each value, and the end of the page."""
    return lambda number: iter([*(entry(number, value) for value in values), done(number, contents, cookie)])


silence = sends()


def test_a_sound_peer_is_read() -> None:
    """Page by page."""
    with peer(bind_answer, root_dse_answer, page("a", "b", cookie=b"more"), page("c")) as server:
        assert synchronise(server) == 3


def test_a_server_that_does_not_list_paging_is_not_sent_the_control() -> None:
    """The control is critical, so the server would refuse the request."""
    with peer(bind_answer, page("a", cookie=None), page("a", cookie=None)) as server:
        assert synchronise(server) == 1
    assert PAGED_RESULTS.encode() not in server.received


@at_every_step
def test_a_silent_server_ends_the_run_after_the_receive_timeout(answered: int) -> None:
    """The error is retryable."""
    error = error_of(answered=answered, receive_timeout=0.2)
    assert isinstance(error, ServerTimeout)
    assert "did not answer for 0.2 seconds" in error.message
    assert error.retryable


@at_every_step
@pytest.mark.parametrize(
    ("octets", "what"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "starts with 0x48"),
        (bytes(1000), "starts with 0x00"),
        (bytes.fromhex("3084 80000000 020101"), "2147483654 octets"),
        (bytes.fromhex("30ff") + b"\xff" * 127, "octets"),
        (message(77, ber.encode(0x65, SUCCESS)), "message 77 answers no request"),
    ],
)
def test_octets_that_are_not_ldap_are_refused(answered: int, octets: bytes, what: str) -> None:
    """Neither lengths nor ids are trusted."""
    error = error_of(sends(octets), answered=answered)
    assert isinstance(error, ProtocolViolation)
    assert what in error.message


@at_every_step
def test_a_connection_that_ends_in_a_message_is_an_outage(answered: int) -> None:
    """The part that came is not used."""
    error = error_of(sends(message(3, bytes(100))[:50], CLOSE), answered=answered)
    assert isinstance(error, ServerUnavailable)
    assert "in the middle of a message" in error.message


@at_every_step
def test_the_deadline_ends_a_message_that_comes_slowly(answered: int) -> None:
    """Every octet comes in time, but not the whole."""
    error = error_of(slowly(message(3, bytes(10_000))), answered=answered, deadline=Deadline(0.4))
    assert isinstance(error, DeadlineExceeded)


@at_every_step
def test_a_message_over_the_limit_is_refused_by_its_length(answered: int) -> None:
    """Its sixty megabytes are not waited for."""
    error = error_of(slowly(bytes.fromhex("3084 03938700")), answered=answered)
    assert isinstance(error, ProtocolViolation)
    assert "message of 60000006 octets" in error.message


def test_a_long_entry_in_small_pieces_is_read() -> None:
    """Its message has exactly the permitted octets, and the messages after it are read as well."""

    def in_pieces(number: int) -> Iterator[bytes]:
        around = len(entry(number, "a" * 900_000)) - 900_000
        octets = entry(number, "a" * (LIMIT - around)) + entry(number, "b") + done(number)
        assert len(octets) - len(entry(number, "b") + done(number)) == LIMIT
        for start in range(0, len(octets), 1000):
            yield octets[start : start + 1000]

    with peer(bind_answer, root_dse_answer, in_pieces) as server:
        assert synchronise(server) == 2


@pytest.mark.parametrize("answered", [0, 2], ids=["bind", "search"])
@pytest.mark.parametrize(
    ("contents", "what"),
    [
        (ber.encode(0x0A, b"\1" * 5000) + ber.encode(0x04) * 2, "a number has 5000 octets"),
        (ber.encode(0x0A) + ber.encode(0x04) * 2, "a number has 0 octets"),
        (SUCCESS + ber.encode(0xA3, ber.encode(0x04) * 5000), "more than 1000 others"),
        (SUCCESS + ber.encode(0x04) * 5000, "more than 1000 others"),
    ],
)
def test_an_absurd_result_is_refused(answered: int, contents: bytes, what: str) -> None:
    """Of a bind or of a page."""
    error = error_of(responds(0x61 if answered == 0 else 0x65, contents), answered=answered)
    assert isinstance(error, ProtocolViolation)
    assert what in error.message


def test_the_deadline_ends_an_endless_response() -> None:
    """References may come in any number."""
    reference = ber.encode(0x73, ber.encode(0x04, b"ldap://elsewhere.example/"))
    error = error_of(lambda number: repeat(message(number, reference)), deadline=Deadline(0.4))
    assert isinstance(error, DeadlineExceeded)


def test_cancelling_ends_a_wait_before_its_timeout() -> None:
    """A daemon that stops does not wait for a silent server."""
    deadline = Deadline(3600)
    canceller = threading.Timer(0.1, deadline.cancel)
    canceller.start()
    assert isinstance(error_of(silence, deadline=deadline, receive_timeout=3600), RunCancelled)
    canceller.join()


def test_a_page_without_the_paging_control_is_incomplete() -> None:
    """It is not known whether it was the last."""
    error = error_of(page("a", cookie=None))
    assert isinstance(error, IncompleteSnapshot)
    assert "after 1 entries" in error.message


def test_a_paging_control_without_a_cookie_is_refused() -> None:
    """It does not mean the last page."""
    control = ber.encode(0x30, ber.encode(0x04, PAGED_RESULTS.encode()), ber.encode(0x04, ber.encode(0x30)))
    ending = ber.encode(0x65, SUCCESS), ber.encode(0xA0, control)
    assert isinstance(error_of(lambda number: iter([message(number, *ending)])), ProtocolViolation)


def test_endless_empty_pages_are_given_up() -> None:
    """After a hundred."""
    error = error_of(*repeat(page(cookie=b"again"), 200))
    assert isinstance(error, IncompleteSnapshot)
    assert "100 empty pages" in error.message


def test_some_empty_pages_are_accepted() -> None:
    """Active Directory sends them when a filter finds little; a cookie may stay the same."""
    with peer(bind_answer, root_dse_answer, *repeat(page(cookie=b"again"), 20), page("a")) as server:
        assert synchronise(server) == 1


@pytest.mark.parametrize(
    ("code", "kind", "retryable"),
    [
        (1, IncompleteSnapshot, False),
        (3, IncompleteSnapshot, False),
        (11, IncompleteSnapshot, False),
        (12, IncompleteSnapshot, False),
        (50, AccessRefused, False),
        (51, ServerBusy, True),
        (52, ServerUnavailable, True),
        (80, IncompleteSnapshot, False),
        (4096, IncompleteSnapshot, False),
    ],
)
def test_a_failed_search_is_an_error(code: int, kind: type[DirectoryError], *, retryable: bool) -> None:
    """With the server's result code and text."""
    error = error_of(page("a", contents=result(code, "said so")))
    assert type(error) is kind
    assert f'({code}): "said so"' in error.message
    assert error.retryable is retryable


def test_a_notice_of_disconnection_is_an_outage() -> None:
    """With the server's reason."""
    notice = message(0, ber.encode(0x78, result(52, "shutting down"), ber.encode(0x8A, b"1.3.6.1.4.1.1466.20036")))
    error = error_of(lambda number: iter([entry(number, "a"), notice]))
    assert isinstance(error, ServerUnavailable)
    assert "shutting down" in error.message


def active_directory(data: str) -> str:
    """The text in which Active Directory refuses a bind."""
    return f"80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data {data}, v4563"


@pytest.mark.parametrize(
    ("code", "text", "kind", "words"),
    [
        (8, "", AccessRefused, "strongerAuthRequired"),
        (10, "", AccessRefused, "referral"),
        (13, "", AccessRefused, "confidentialityRequired"),
        (49, active_directory("52e"), CredentialsRefused, "password is wrong"),
        (49, active_directory("532"), CredentialsRefused, "password has expired"),
        (49, active_directory("533"), CredentialsRefused, "disabled"),
        (49, active_directory("701"), CredentialsRefused, "account has expired"),
        (49, active_directory("773"), CredentialsRefused, "must be changed"),
        (49, active_directory("775"), CredentialsRefused, "locked"),
        (49, "data 9ff, v1", CredentialsRefused, "reason is 9ff"),
        (51, "", ServerBusy, "busy"),
        (53, "", CredentialsRefused, "unwillingToPerform"),
    ],
)
def test_a_refused_bind_is_explained(code: int, text: str, kind: type[DirectoryError], words: str) -> None:
    """By the result code, or by the number in Active Directory's text; the message has no password."""
    error = error_of(responds(0x61, result(code, text)), answered=0)
    assert isinstance(error, kind)
    assert re.search(words, error.message)
    assert PASSWORD not in str(error)
    if code in {8, 13}:
        assert "tls" in error.hint


@pytest.mark.parametrize("answer", [silence, sends(CLOSE), sends(b"garbage")])
def test_a_failed_bind_leaves_no_password_in_the_traceback(answer: Answer) -> None:
    """Not even in one with the variables of every frame."""
    with peer(answer) as server, pytest.raises(DirectoryError) as caught:
        synchronise(server, receive_timeout=0.2)

    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert PASSWORD.encode() in server.received
    assert PASSWORD not in shown


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (responds(0x78, result(2, "unsupported")), AccessRefused),
        (lambda number: iter([message(number, ber.encode(0x78, SUCCESS)) + b"injected"]), ProtocolViolation),
        (lambda number: iter([message(number, ber.encode(0x78, SUCCESS)), b"no handshake"]), ProtocolViolation),
        (lambda number: iter([message(number, ber.encode(0x78, SUCCESS)), CLOSE]), ServerUnavailable),
        (responds(0x78), ServerTimeout),
        (silence, ServerTimeout),
        (sends(CLOSE), ServerUnavailable),
    ],
)
def test_starttls_never_falls_back_to_plain_text(answer: Answer, kind: type[DirectoryError]) -> None:
    """Whatever the peer answers, the password is not sent."""
    with peer(answer) as server, pytest.raises(DirectoryError) as caught:
        synchronise(server, tls=Tls.AUTO, receive_timeout=0.3)

    assert type(caught.value) is kind
    assert b"1.3.6.1.4.1.1466.20037" in server.received
    assert PASSWORD.encode() not in server.received
    assert USER.encode() not in server.received


def test_ldaps_to_a_silent_peer_ends_after_the_connect_timeout() -> None:
    """It applies to the whole handshake."""
    error = error_of(answered=0, ldaps=True, tls=Tls.AUTO, receive_timeout=0.2)
    assert isinstance(error, ServerTimeout)
    assert "TLS handshake" in error.message


@pytest.mark.parametrize(
    ("size", "words"), [(1, "in response to a small search"), (60_000, "more than 67,108,864 octets")]
)
def test_an_endless_root_dse_is_given_up(size: int, words: str) -> None:
    """Neither its entries nor its octets fill the memory."""
    entries: Answer = lambda number: repeat(entry(number, "x" * size) * (1 + 6000 // size))  # noqa: E731
    error = error_of(entries, answered=1, deadline=Deadline(60))
    assert isinstance(error, DirectoryError)
    assert words in error.message


@pytest.mark.parametrize(
    ("limits", "words"),
    [((1000, 1 << 30), "more than 1,000 entries"), ((MANY_ENTRIES, 100_000), "more than 100,000 octets")],
)
def test_an_endless_search_is_given_up(limits: tuple[int, int], words: str) -> None:
    """After a number of entries or octets; the hint names the setting."""
    endless: Answer = lambda number: repeat(entry(number, "x" * 40) * 100)  # noqa: E731
    error = error_of(endless, max_entries=limits[0], max_bytes=limits[1])
    assert isinstance(error, IncompleteSnapshot)
    assert words in error.message
    assert "directory.max_" in error.hint


@pytest.mark.parametrize("code", [1, 2, 12, 34, 53])
def test_a_server_without_a_root_dse_can_be_read(code: int) -> None:
    """Gateways answer the request for it with an error; base and filter are known without it."""
    with peer(bind_answer, page(contents=result(code), cookie=None), page("a", cookie=None)) as server:
        assert synchronise(server) == 1


def test_nothing_beside_a_message_is_no_complete_answer() -> None:
    """A directory that is being rebuilt says success, nothing, and that the results are incomplete."""
    error = error_of(lambda number: iter([done(number, result(0, "results are incomplete"))]))
    assert isinstance(error, IncompleteSnapshot)
    assert '"results are incomplete"' in error.message
    with peer(
        bind_answer, root_dse_answer, lambda number: iter([entry(number, "a"), done(number, result(0, "hm"))])
    ) as server:
        assert synchronise(server) == 1
