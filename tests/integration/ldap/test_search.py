"""Searching a real OpenLDAP: all of it, or an error that says why not."""

from __future__ import annotations

import base64
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from contactsync.errors import (
    AccessRefused,
    BaseNotFound,
    FilterRefused,
    IncompleteSnapshot,
    ProtocolViolation,
    ServerUnavailable,
)
from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.connection.limits import ReadLimits
from contactsync.ldap.connection.options import ConnectOptions
from contactsync.ldap.connection.session import Session, connect
from contactsync.ldap.protocol.entry import decode_entry
from contactsync.ldap.query.query import Scope, ServerAddress
from contactsync.ldap.rootdse import RootDse
from contactsync.ldap.search import MoreThanOnePage, SearchRequest, read_entries
from contactsync.model import Tls
from contactsync.store.fingerprints import StoredContacts
from contactsync.sync.recogniser import Recogniser
from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd

PEOPLE = 1200
SIZE_LIMIT = 500
SUFFIX = "dc=example,dc=test"
ELSEWHERE = f"ou=elsewhere,{SUFFIX}"
REFERRAL = f"""\
dn: {ELSEWHERE}
objectClass: referral
objectClass: extensibleObject
ou: elsewhere
ref: ldap://elsewhere.example/{ELSEWHERE}

"""
MAPPING = b"m" * 16
ATTRIBUTES = ("cn", "mail", "telephoneNumber", "entryUUID")
Open = Callable[[], AbstractContextManager[Session]]


def options(server: PrivateSlapd, user: str | None = None, password: str | None = None) -> ConnectOptions:
    """Connect plainly as the reader unless told otherwise."""
    return ConnectOptions(
        servers=(ServerAddress("127.0.0.1", server.port),),
        user=user or server.reader_dn,
        password=password or server.reader_password,
        tls=Tls.NONE,
        connect_timeout=5,
        receive_timeout=10,
    )


def request(
    base: str = SUFFIX, search_filter: str = "(objectClass=inetOrgPerson)", *, page_size: int = 100
) -> SearchRequest:
    """Search the whole suffix for people."""
    return SearchRequest(base, Scope.SUB, search_filter, ATTRIBUTES, page_size)


def batches(session: Session, search: SearchRequest, *, max_message_bytes: int = 16 << 20) -> Iterator[list[bytes]]:
    """Copies of the entries, batch by batch."""
    found = read_entries(session, search, ReadLimits(Deadline(30), 10, max_message_bytes))
    for batch in found:
        yield [bytes(entry) for entry in batch.entries]


def names(session: Session, search: SearchRequest) -> list[str]:
    """The DNs that a search finds."""
    return [decode_entry(entry).dn for batch in batches(session, search) for entry in batch]


def sifted(session: Session, search: SearchRequest, recogniser: Recogniser) -> list[tuple[bytes, bytes]]:
    """What a search finds and the recogniser does not know."""
    found = read_entries(session, search, ReadLimits(Deadline(30), 10, 16 << 20))
    return [unknown for batch in found for unknown in recogniser.changed(batch.entries)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateSlapd]:
    """One server for the tests that leave it as it is."""
    directory = tmp_path_factory.mktemp("search") / "slapd"
    with PrivateSlapd(directory, size_limit=SIZE_LIMIT, ldif=people_ldif(PEOPLE) + REFERRAL) as slapd:
        yield slapd


@pytest.fixture
def session(server: PrivateSlapd) -> Iterator[Session]:
    """One connection as the reader."""
    with connect(options(server), Deadline(30)) as opened:
        yield opened


@pytest.mark.parametrize("page_size", [1200, 0, 7, 999, 5000])
def test_every_entry_comes_once_whatever_the_page_size(server: PrivateSlapd, session: Session, page_size: int) -> None:
    """DNs and values are those that ldap3 itself reads."""
    search = request(page_size=page_size)
    admin = server.connection()
    expected = admin.extend.standard.paged_search(SUFFIX, search.filter, attributes=list(ATTRIBUTES), paged_size=500)
    wanted = {
        entry["dn"]: {name.lower(): sorted(values) for name, values in entry["raw_attributes"].items() if values}
        for entry in expected
        if entry["type"] == "searchResEntry"
    }
    admin.unbind()

    found = [decode_entry(entry) for batch in batches(session, search) for entry in batch]

    assert len(found) == len(wanted) > 0
    assert {entry.dn: {name: sorted(values) for name, values in entry.attributes.items()} for entry in found} == wanted


@pytest.mark.parametrize("page_size", [PEOPLE, PEOPLE + 1])
def test_what_fits_into_one_page_comes_without_paging(session: Session, page_size: int) -> None:
    """It is the same as page by page, also when it fills the page."""
    whole = names(session, request(page_size=100))
    with capture_logs() as lines:
        assert names(session, replace(request(page_size=page_size), one_page=True)) == whole
    (command,) = (line["command"] for line in lines if line["event"] == "search.started")
    assert f"-z {page_size}" in command
    assert "pr=" not in command


@pytest.mark.parametrize("page_size", [1, 100, PEOPLE - 1])
def test_more_than_one_page_is_said_and_can_be_read_page_by_page(session: Session, page_size: int) -> None:
    """No part of a folder is taken for the whole, and the connection is good for the second search."""
    search = request(page_size=page_size)
    with pytest.raises(MoreThanOnePage):
        names(session, replace(search, one_page=True))
    assert len(names(session, search)) == PEOPLE


def test_a_server_that_gives_less_than_a_page_at_once_is_asked_page_by_page(server: PrivateSlapd) -> None:
    """Its own limit is met before ours, and says the same; that it holds for pages too is an error of its own."""
    search = request(page_size=SIZE_LIMIT + 100)
    with connect(options(server, server.limited_dn, server.limited_password), Deadline(30)) as limited:
        with pytest.raises(MoreThanOnePage):
            names(limited, replace(search, one_page=True))
        with pytest.raises(IncompleteSnapshot) as caught:
            names(limited, search)
    assert not isinstance(caught.value, MoreThanOnePage)


def test_scopes_reach_as_far_as_they_say(server: PrivateSlapd, session: Session) -> None:
    """The base alone, what lies one level below it, and all of it."""
    search = request(base=server.people_base, search_filter="(objectClass=*)")

    assert names(session, replace(search, scope=Scope.BASE)) == [server.people_base]
    one_level = names(session, replace(search, scope=Scope.ONE))
    assert one_level
    assert all(name.partition(",")[2] == server.people_base for name in one_level)
    assert set(one_level) < set(names(session, search))


def test_a_second_search_recognises_every_entry(session: Session) -> None:
    """The octets of an unchanged entry are the same on another connection's pages of another size."""
    first = sifted(session, request(), Recogniser(StoredContacts(), MAPPING))
    second = Recogniser(StoredContacts(sorted(fingerprint for fingerprint, _ in first)), MAPPING)

    unknown = sifted(session, request(page_size=333), second)

    assert (len(first), unknown, second.unchanged, len(second.stored)) == (PEOPLE, [], PEOPLE, 0)


def test_a_changed_entry_is_the_only_one_not_recognised(make_slapd: Callable[..., PrivateSlapd]) -> None:
    """What was edited comes out with its new octets, and its old fingerprint is left over."""
    server = make_slapd(ldif=people_ldif(20))
    with connect(options(server), Deadline(30)) as session:
        before = sifted(session, request(), Recogniser(StoredContacts(), MAPPING))
        changed = names(session, request())[7]
        admin = server.connection()
        admin.modify(changed, {"telephoneNumber": [("MODIFY_REPLACE", ["+49 221 1234567"])]})
        admin.unbind()

        recogniser = Recogniser(StoredContacts(sorted(fingerprint for fingerprint, _ in before)), MAPPING)
        [(_, octets)] = sifted(session, request(), recogniser)

    assert decode_entry(octets).dn == changed
    assert decode_entry(octets).attributes["telephonenumber"] == [b"+49 221 1234567"]
    assert (len(recogniser.stored), recogniser.unchanged) == (1, 19)


@pytest.mark.parametrize("page_size", [100, 499, 500, 1000, 0])
def test_a_size_limit_at_the_server_is_no_complete_snapshot(server: PrivateSlapd, page_size: int) -> None:
    """After 500 entries the server ends with code 4, which ldap3 passes over; here nothing is concluded from them."""
    with (
        connect(options(server, server.limited_dn, server.limited_password), Deadline(30)) as session,
        pytest.raises(IncompleteSnapshot, match=r"after 500 entries with sizeLimitExceeded \(4\)") as caught,
    ):
        names(session, request(page_size=page_size))
    assert "administrator" in caught.value.hint
    assert not caught.value.retryable


def test_a_server_without_paging_is_asked_for_everything_at_once(session: Session) -> None:
    """The control is sent to servers that list it, and the answer is whole without it."""
    found = names(replace(session, root_dse=RootDse()), request(page_size=10))

    assert len(found) == PEOPLE


def test_a_base_that_does_not_exist_is_named_with_its_nearest_ancestor(session: Session) -> None:
    """Whoever mistyped it sees where the path ends."""
    with pytest.raises(BaseNotFound, match=rf"'ou=nowhere,{SUFFIX}'.*noSuchObject \(32\).*exists is '{SUFFIX}'"):
        names(session, request(base=f"ou=nowhere,{SUFFIX}"))


def test_a_base_that_is_no_dn_is_refused(session: Session) -> None:
    """The server's invalidDNSyntax says the same as a base that does not exist."""
    with pytest.raises(BaseNotFound, match="'people'"):
        names(session, request(base="people"))


@pytest.mark.parametrize(
    "search_filter",
    [
        "(cn=a",
        "(&(cn=a)(mail=b)",
        "((cn=a))",
        "(cn=a)(mail=b)",
        r"(cn=\zz)",
        "(!(cn=a)(cn=b))",
        "(&" * 5000 + ")" * 5000,
    ],
)
def test_a_filter_that_does_not_parse_is_refused_before_it_is_sent(session: Session, search_filter: str) -> None:
    """It is quoted, and the connection can still be used."""
    with pytest.raises(FilterRefused) as caught:
        names(session, request(search_filter=search_filter))
    assert search_filter[:40] in caught.value.message
    assert names(session, request(search_filter="(uid=nobody)")) == []


@pytest.mark.parametrize(
    ("search_filter", "found"),
    [
        ("(&(objectClass=inetOrgPerson)(!(uid=*)))", 0),
        ("(|(cn:caseIgnoreMatch:=nobody)(noSuchAttribute=1))", 0),
        ("(&(objectClass=organizationalUnit)(ou=p\\65ople))", 1),
        ("(& (objectClass=organizationalUnit) (|(ou=peo*e)(ou~=nothing)) )", 1),
    ],
)
def test_filters_of_every_kind_mean_what_they_say(session: Session, search_filter: str, found: int) -> None:
    """An empty result is a complete one."""
    assert len(names(session, request(search_filter=search_filter))) == found


def test_references_are_counted_and_not_followed(session: Session) -> None:
    """The search of the suffix meets one that leads elsewhere, and is complete without it."""
    found = list(read_entries(session, request(), ReadLimits(Deadline(30), 10)))

    assert sum(batch.references for batch in found) == 1
    assert sum(len(batch.entries) for batch in found) == PEOPLE


def test_a_referred_base_is_an_error_that_names_the_other_server(session: Session) -> None:
    """Nobody sends it the password."""
    with pytest.raises(AccessRefused, match=r"refers to ldap://elsewhere\.example/") as caught:
        names(session, request(base=f"cn=anyone,{ELSEWHERE}"))
    assert "credentials are never sent" in caught.value.hint


def test_an_entry_larger_than_the_buffer_comes_whole(make_slapd: Callable[..., PrivateSlapd]) -> None:
    """Up to the limit for one message; beyond it, it is refused."""
    photo = base64.b64encode(bytes(range(256)) * 12_000).decode()
    person = f"dn: uid=large,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: large\ncn: L\nsn: L\njpegPhoto:: {photo}\n\n"
    server = make_slapd(ldif=person)
    search = replace(request(), attributes=("jpegPhoto",))
    with connect(options(server), Deadline(30)) as session:
        [[entry]] = [batch for batch in batches(session, search) if batch]
        assert decode_entry(entry).attributes["jpegphoto"] == [bytes(range(256)) * 12_000]
        with pytest.raises(ProtocolViolation, match="at most 3000000 are accepted"):
            list(batches(session, search, max_message_bytes=3_000_000))


def test_a_server_killed_between_two_pages_is_unavailable(make_slapd: Callable[..., PrivateSlapd]) -> None:
    """The snapshot does not end as if it were complete."""
    server = make_slapd(ldif=people_ldif(60))
    with connect(options(server), Deadline(30)) as session:
        pages = batches(session, request(page_size=10))
        came = len(next(pages))
        server.kill()
        with pytest.raises(ServerUnavailable) as caught:
            came += sum(map(len, pages))
    assert came < 60
    assert caught.value.retryable


def test_the_search_is_logged_as_a_command_that_finds_the_same(
    server: PrivateSlapd, session: Session, tmp_path: Path
) -> None:
    """It can be pasted; just the password has to be typed."""
    with capture_logs() as logs:
        found = names(session, request(search_filter="(&(objectClass=inetOrgPerson)(cn=*a*))"))
    [command] = [log["command"] for log in logs if log["event"] == "search.started"]
    password = tmp_path / "password"
    password.write_text(server.reader_password)

    words = shlex.split(command.replace(" -W ", f" -y {password} "))
    output = subprocess.run(
        [*words, "-o", "ldif-wrap=no"], check=True, capture_output=True, text=True, timeout=30
    ).stdout

    assert server.reader_password not in command
    assert sum(line.startswith("dn:") for line in output.splitlines()) == len(found) > 0
