"""Peers that break the protocol, the connection or our patience: each ends in one clear error, and in time."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Iterator
from itertools import repeat

import pytest

from contactsync.errors import (
    AccessRefused,
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
from contactsync.ldap.connection.options import ConnectOptions, TlsOptions
from contactsync.ldap.connection.session import connect
from contactsync.ldap.protocol import ber
from contactsync.ldap.protocol.requests import PAGED_RESULTS
from contactsync.ldap.query.query import Scope, ServerAddress
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

LIMIT = 1 << 20
"""Octets of a message."""
USER, PASSWORD = "cn=reader,dc=example,dc=test", "correct horse battery staple"


def synchronise(  # noqa: PLR0913 -- all of it has a default
    server: Peer,
    *,
    deadline: Deadline | None = None,
    tls: Tls = Tls.NONE,
    user: str | None = USER,
    ldaps: bool = False,
    receive_timeout: float = 5,
    max_entries: int = MANY_ENTRIES,
    max_bytes: int = LOOKUP_BYTES,
) -> int:
    """Connect, read everything by pages and give the number of entries."""
    deadline = deadline or Deadline(10)
    options = ConnectOptions(
        servers=(ServerAddress("localhost", server.port, ldaps=ldaps),),
        user=user,
        password=PASSWORD,
        tls=tls,
        trust=TlsOptions(verify=False),
        connect_timeout=receive_timeout,
        receive_timeout=receive_timeout,
    )
    search = SearchRequest("dc=example,dc=test", Scope.SUB, "(objectClass=*)", ("cn",), 100)
    with connect(options, deadline) as session:
        batches = read_entries(session, search, ReadLimits(deadline, receive_timeout, LIMIT, max_bytes, max_entries))
        return sum(len(batch.entries) for batch in batches)


def error_of(*answers: Answer, receive_timeout: float = 5) -> DirectoryError:
    """What comes of a peer that answers the bind and the root DSE well, and the search like this."""
    with peer(bind_answer, root_dse_answer, *answers) as server, pytest.raises(DirectoryError) as caught:
        synchronise(server, receive_timeout=receive_timeout)
    return caught.value


def sends(*octets: bytes) -> Answer:
    """The same whatever was asked."""
    return lambda _: iter(octets)


def silence(_: int) -> Iterator[bytes]:
    """Nothing at all."""
    return iter(())


def test_a_peer_that_behaves_is_read() -> None:
    """The script of these tests is LDAP when nothing is wrong with it."""
    pages: list[Answer] = [
        lambda number: iter([entry(number, "a"), entry(number, "b"), done(number, cookie=b"more")]),
        lambda number: iter([entry(number, "c"), done(number)]),
    ]
    with peer(bind_answer, root_dse_answer, *pages) as server:
        assert synchronise(server) == 3


def test_paging_is_not_asked_of_a_server_that_does_not_list_it() -> None:
    """The control would be critical, and the server would have to refuse it."""
    everything: Answer = lambda number: iter([entry(number, "a"), done(number, cookie=None)])  # noqa: E731
    with peer(bind_answer, everything, everything) as server:
        assert synchronise(server) == 1
    assert PAGED_RESULTS.encode() not in server.received


@pytest.mark.parametrize("answered", [0, 1, 2])
def test_a_server_that_does_not_answer_is_left_after_the_receive_timeout(answered: int) -> None:
    """Be it at the bind, the root DSE or the search."""
    answers = [bind_answer, root_dse_answer][:answered]
    with peer(*answers) as server, pytest.raises(ServerTimeout, match=r"did not answer for 0\.2 seconds") as caught:
        synchronise(server, receive_timeout=0.2)
    assert caught.value.retryable


@pytest.mark.parametrize("answered", [0, 1, 2])
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
def test_octets_that_are_not_ldap_are_refused_at_every_step(answered: int, octets: bytes, what: str) -> None:
    """No step believes a length or an id."""
    answers = [bind_answer, root_dse_answer][:answered]
    with peer(*answers, sends(octets)) as server, pytest.raises(ProtocolViolation, match=what):
        synchronise(server)


@pytest.mark.parametrize("answered", [0, 1, 2])
def test_a_message_cut_off_by_the_end_of_the_connection_is_an_outage(answered: int) -> None:
    """What came of it is not used."""
    answers = [bind_answer, root_dse_answer][:answered]
    with (
        peer(*answers, sends(message(3, bytes(100))[:50], CLOSE)) as server,
        pytest.raises(ServerUnavailable, match="in the middle of a message"),
    ):
        synchronise(server)


@pytest.mark.parametrize("answered", [0, 1, 2])
def test_a_trickle_is_ended_by_the_deadline(answered: int) -> None:
    """Every octet comes in time, and the whole does not."""

    def trickle(number: int) -> Iterator[bytes]:
        for octet in message(number, bytes(10_000)):
            time.sleep(0.02)
            yield bytes((octet,))

    answers = [bind_answer, root_dse_answer][:answered]
    with peer(*answers, trickle) as server, pytest.raises(DeadlineExceeded):
        synchronise(server, deadline=Deadline(0.4))


@pytest.mark.parametrize("answered", [0, 1, 2])
def test_a_message_over_the_limit_is_refused_when_its_length_has_dribbled_in(answered: int) -> None:
    """Nothing of its sixty megabytes is waited for."""

    def dribble(_: int) -> Iterator[bytes]:
        for octet in bytes.fromhex("3084 03938700"):
            time.sleep(0.02)
            yield bytes((octet,))

    answers = [bind_answer, root_dse_answer][:answered]
    with peer(*answers, dribble) as server, pytest.raises(ProtocolViolation, match="message of 60000006 octets"):
        synchronise(server)


def test_a_long_entry_that_comes_in_small_pieces_is_read() -> None:
    """Its message has just the octets that are allowed, and the ones after it are read as well."""

    def in_pieces(number: int) -> Iterator[bytes]:
        around = len(entry(number, "a" * 900_000)) - 900_000
        octets = entry(number, "a" * (LIMIT - around)) + entry(number, "b") + done(number)
        assert len(octets) - len(entry(number, "b") + done(number)) == LIMIT
        for start in range(0, len(octets), 1000):
            yield octets[start : start + 1000]

    with peer(bind_answer, root_dse_answer, in_pieces) as server:
        assert synchronise(server) == 2


@pytest.mark.parametrize("answered", [0, 2])
@pytest.mark.parametrize(
    ("contents", "what"),
    [
        (ber.encode(0x0A, b"\1" * 5000) + ber.encode(0x04) * 2, "a number has 5000 octets"),
        (ber.encode(0x0A) + ber.encode(0x04) * 2, "a number has 0 octets"),
        (SUCCESS + ber.encode(0xA3, ber.encode(0x04) * 5000), "more than 1000 others"),
        (SUCCESS + ber.encode(0x04) * 5000, "more than 1000 others"),
    ],
)
def test_a_result_that_no_server_sends_is_refused(answered: int, contents: bytes, what: str) -> None:
    """Be it the answer to a bind or the end of a page."""
    tag = 0x61 if answered == 0 else 0x65
    answer: Answer = lambda number: iter([message(number, ber.encode(tag, contents))])  # noqa: E731 -- as the others
    answers = [bind_answer, root_dse_answer][:answered]
    with peer(*answers, answer) as server, pytest.raises(ProtocolViolation, match=what):
        synchronise(server)


def test_answers_without_end_are_ended_by_the_deadline() -> None:
    """Messages that are allowed in any number keep nobody busy for ever."""
    reference = ber.encode(0x73, ber.encode(0x04, b"ldap://elsewhere.example/"))
    with (
        peer(bind_answer, root_dse_answer, lambda number: repeat(message(number, reference))) as server,
        pytest.raises(DeadlineExceeded),
    ):
        synchronise(server, deadline=Deadline(0.4))


def test_cancelling_ends_a_wait_long_before_its_timeout() -> None:
    """A daemon that stops does not sit out a silent server."""
    deadline = Deadline(3600)
    canceller = threading.Timer(0.1, deadline.cancel)
    canceller.start()
    with peer(bind_answer, root_dse_answer, silence) as server, pytest.raises(RunCancelled):
        synchronise(server, deadline=deadline, receive_timeout=3600)
    canceller.join()


def test_a_page_without_the_paging_control_is_not_complete() -> None:
    """More might have come: the server does not say that it was the last page."""
    error = error_of(lambda number: iter([entry(number, "a"), done(number, cookie=None)]))

    assert isinstance(error, IncompleteSnapshot)
    assert "after 1 entries" in error.message


def test_a_paging_control_without_a_cookie_is_refused() -> None:
    """It is no end of the pages."""
    control = ber.encode(0x30, ber.encode(0x04, PAGED_RESULTS.encode()), ber.encode(0x04, ber.encode(0x30)))
    error = error_of(lambda number: iter([message(number, ber.encode(0x65, SUCCESS), ber.encode(0xA0, control))]))

    assert isinstance(error, ProtocolViolation)


def test_empty_pages_without_end_are_given_up() -> None:
    """The cookie stays the same and no entry comes."""
    error = error_of(*repeat(lambda number: iter([done(number, cookie=b"again")]), 200))

    assert isinstance(error, IncompleteSnapshot)
    assert "100 empty pages" in error.message


def test_some_empty_pages_are_no_fault() -> None:
    """Active Directory sends them when a filter finds little; a cookie may stay the same."""
    empty: Answer = lambda number: iter([done(number, cookie=b"again")])  # noqa: E731 -- as the others in this list
    last: Answer = lambda number: iter([entry(number, "a"), done(number)])  # noqa: E731
    with peer(bind_answer, root_dse_answer, *repeat(empty, 20), last) as server:
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
def test_a_search_that_ends_badly_is_never_a_snapshot(
    code: int, kind: type[DirectoryError], *, retryable: bool
) -> None:
    """The server's code and words are in the message."""
    error = error_of(lambda number: iter([entry(number, "a"), done(number, result(code, "said so"))]))

    assert type(error) is kind
    assert f'({code}): "said so"' in error.message
    assert error.retryable is retryable


def test_a_notice_of_disconnection_is_an_outage() -> None:
    """The server says why it goes, in the middle of a page."""
    notice = message(0, ber.encode(0x78, result(52, "shutting down"), ber.encode(0x8A, b"1.3.6.1.4.1.1466.20036")))
    error = error_of(lambda number: iter([entry(number, "a"), notice]))

    assert isinstance(error, ServerUnavailable)
    assert "shutting down" in error.message


@pytest.mark.parametrize(
    ("code", "said", "kind", "message_part"),
    [
        (8, "", AccessRefused, "strongerAuthRequired"),
        (10, "", AccessRefused, "referral"),
        (13, "", AccessRefused, "confidentialityRequired"),
        (
            49,
            "80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data 52e, v4563",
            CredentialsRefused,
            "password is wrong",
        ),
        (
            49,
            "80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data 532, v4563",
            CredentialsRefused,
            "password has expired",
        ),
        (
            49,
            "80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data 533, v4563",
            CredentialsRefused,
            "disabled",
        ),
        (
            49,
            "80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data 701, v4563",
            CredentialsRefused,
            "account has expired",
        ),
        (
            49,
            "80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data 773, v4563",
            CredentialsRefused,
            "must be changed",
        ),
        (
            49,
            "80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data 775, v4563",
            CredentialsRefused,
            "locked",
        ),
        (49, "data 9ff, v1", CredentialsRefused, "reason is 9ff"),
        (51, "", ServerBusy, "busy"),
        (53, "", CredentialsRefused, "unwillingToPerform"),
    ],
)
def test_a_refused_bind_says_what_to_correct(
    code: int, said: str, kind: type[DirectoryError], message_part: str
) -> None:
    """Active Directory's numbers are told apart, and the password is in no message."""
    answer: Answer = lambda number: iter([message(number, ber.encode(0x61, result(code, said)))])  # noqa: E731
    with peer(answer) as server, pytest.raises(kind, match=message_part) as caught:
        synchronise(server)
    assert PASSWORD not in str(caught.value)
    if code in {8, 13}:
        assert "tls" in caught.value.hint


@pytest.mark.parametrize("answer", [silence, sends(CLOSE), sends(b"garbage")])
def test_a_failed_bind_leaves_no_password_in_the_traceback(answer: Answer) -> None:
    """Not even where the variables of every frame are shown."""
    with peer(answer) as server, pytest.raises(DirectoryError) as caught:
        synchronise(server, receive_timeout=0.2)

    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert PASSWORD.encode() in server.received
    assert PASSWORD not in shown


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (lambda number: iter([message(number, ber.encode(0x78, result(2, "unsupported")))]), AccessRefused),
        (lambda number: iter([message(number, ber.encode(0x78, SUCCESS)) + b"injected"]), ProtocolViolation),
        (lambda number: iter([message(number, ber.encode(0x78, SUCCESS)), b"no handshake"]), ProtocolViolation),
        (lambda number: iter([message(number, ber.encode(0x78, SUCCESS)), CLOSE]), ServerUnavailable),
        (lambda number: iter([message(number, ber.encode(0x78, SUCCESS))]), ServerTimeout),
        (silence, ServerTimeout),
        (sends(CLOSE), ServerUnavailable),
    ],
)
def test_starttls_that_fails_never_falls_back_to_plain_text(answer: Answer, kind: type[DirectoryError]) -> None:
    """The password is not sent, whatever the peer answers instead of protecting the connection."""
    with peer(answer) as server, pytest.raises(DirectoryError) as caught:
        synchronise(server, tls=Tls.AUTO, receive_timeout=0.3)

    assert type(caught.value) is kind
    assert b"1.3.6.1.4.1.1466.20037" in server.received
    assert PASSWORD.encode() not in server.received
    assert USER.encode() not in server.received


def test_ldaps_to_a_silent_peer_ends_with_the_connect_timeout() -> None:
    """The handshake as a whole is timed."""
    with peer() as server, pytest.raises(ServerTimeout, match="TLS handshake"):
        synchronise(server, ldaps=True, tls=Tls.AUTO, receive_timeout=0.2)


@pytest.mark.parametrize(
    ("size", "words"), [(1, "in response to a small search"), (60_000, "more than 67,108,864 octets")]
)
def test_a_root_dse_that_never_ends_is_not_kept(size: int, words: str) -> None:
    """Neither its entries nor its octets fill the memory."""
    entries: Answer = lambda number: repeat(entry(number, "x" * size) * (1 + 6000 // size))  # noqa: E731
    with peer(bind_answer, entries) as server, pytest.raises(DirectoryError, match=words):
        synchronise(server, deadline=Deadline(60))


@pytest.mark.parametrize(
    ("limits", "words"),
    [((1000, 1 << 30), "more than 1,000 entries"), ((MANY_ENTRIES, 100_000), "more than 100,000 octets")],
)
def test_a_search_that_never_ends_is_given_up(limits: tuple[int, int], words: str) -> None:
    """After so many entries, or so many octets, whichever comes first; with the setting that allows more."""
    endless: Answer = lambda number: repeat(entry(number, "x" * 40) * 100)  # noqa: E731
    with peer(bind_answer, root_dse_answer, endless) as server, pytest.raises(IncompleteSnapshot) as caught:
        synchronise(server, max_entries=limits[0], max_bytes=limits[1])
    assert words in caught.value.message
    assert "directory.max_" in caught.value.hint


@pytest.mark.parametrize("code", [1, 2, 12, 34, 53])
def test_a_server_without_a_root_dse_can_be_read(code: int) -> None:
    """Gateways answer the question for it with an error; base and filter are known without it."""
    refused: Answer = lambda number: iter([done(number, result(code), cookie=None)])  # noqa: E731
    everything: Answer = lambda number: iter([entry(number, "a"), done(number, cookie=None)])  # noqa: E731
    with peer(bind_answer, refused, everything) as server:
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
