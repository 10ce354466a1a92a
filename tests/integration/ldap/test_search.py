"""Searches in a real OpenLDAP: complete, or an error."""

from __future__ import annotations

import base64
import shlex
import subprocess
from collections.abc import Callable, Iterator
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
from contactsync.ldap.connection.options import ConnectOptions
from contactsync.ldap.connection.session import Session
from contactsync.ldap.protocol.entry import decode_entry
from contactsync.ldap.query.query import Scope
from contactsync.ldap.rootdse import RootDse
from contactsync.ldap.search import MoreThanOnePage, SearchRequest, read_entries
from contactsync.model import Tls
from contactsync.store.fingerprints import StoredContacts
from contactsync.sync.recogniser import Recogniser
from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support.sessions import batches_of, entries_of, options_of, session_with

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


def limited_options(server: PrivateSlapd) -> ConnectOptions:
    """Connect as the user with a size limit."""
    return options_of(server, user=server.limited_dn, password=server.limited_password, tls=Tls.NONE)


def request(
    base: str = SUFFIX, search_filter: str = "(objectClass=inetOrgPerson)", *, page_size: int = 100
) -> SearchRequest:
    """A search for people below the suffix."""
    return SearchRequest(base, Scope.SUB, search_filter, ATTRIBUTES, page_size)


def names(session: Session, search: SearchRequest) -> list[str]:
    """The DNs that a search finds."""
    return [decode_entry(entry).dn for entry in entries_of(session, search)]


def changed(session: Session, search: SearchRequest, recogniser: Recogniser) -> list[tuple[bytes, bytes]]:
    """The entries that the recogniser does not know, with their fingerprints."""
    return recogniser.changed(entries_of(session, search))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateSlapd]:
    """Run one server for the tests that do not change it."""
    directory = tmp_path_factory.mktemp("search") / "slapd"
    with PrivateSlapd(directory, size_limit=SIZE_LIMIT, ldif=people_ldif(PEOPLE) + REFERRAL) as slapd:
        yield slapd


@pytest.fixture
def session(server: PrivateSlapd) -> Iterator[Session]:
    """Connect as the reader."""
    with session_with(options_of(server, tls=Tls.NONE)) as opened:
        yield opened


@pytest.mark.parametrize("page_size", [1200, 0, 7, 999, 5000])
def test_every_entry_comes_once_whatever_the_page_size(server: PrivateSlapd, session: Session, page_size: int) -> None:
    """With the DNs and values that ldap3 reads."""
    search = request(page_size=page_size)
    admin = server.connection()
    expected = admin.extend.standard.paged_search(SUFFIX, search.filter, attributes=list(ATTRIBUTES), paged_size=500)
    wanted = {
        entry["dn"]: {name.lower(): sorted(values) for name, values in entry["raw_attributes"].items() if values}
        for entry in expected
        if entry["type"] == "searchResEntry"
    }
    admin.unbind()

    found = list(map(decode_entry, entries_of(session, search)))

    assert len(found) == len(wanted) > 0
    assert {entry.dn: {name: sorted(values) for name, values in entry.attributes.items()} for entry in found} == wanted


@pytest.mark.parametrize("page_size", [PEOPLE, PEOPLE + 1])
def test_one_page_is_read_without_paging(session: Session, page_size: int) -> None:
    """With the same entries, also if they fill the page."""
    whole = names(session, request(page_size=100))
    with capture_logs() as lines:
        assert names(session, replace(request(page_size=page_size), one_page=True)) == whole
    (command,) = (line["command"] for line in lines if line["event"] == "search.started")
    assert f"-z {page_size}" in command
    assert "pr=" not in command


@pytest.mark.parametrize("page_size", [1, 100, PEOPLE - 1])
def test_more_than_one_page_is_reported_and_can_be_read_page_by_page(session: Session, page_size: int) -> None:
    """Over the same connection."""
    search = request(page_size=page_size)
    with pytest.raises(MoreThanOnePage):
        names(session, replace(search, one_page=True))
    assert len(names(session, search)) == PEOPLE


def test_a_limit_below_one_page_is_reported_too(server: PrivateSlapd) -> None:
    """The server's limit is met before ours. That it applies to paged searches too is another error."""
    search = request(page_size=SIZE_LIMIT + 100)
    with session_with(limited_options(server)) as limited:
        with pytest.raises(MoreThanOnePage):
            names(limited, replace(search, one_page=True))
        with pytest.raises(IncompleteSnapshot) as caught:
            names(limited, search)
    assert not isinstance(caught.value, MoreThanOnePage)


def test_each_scope(server: PrivateSlapd, session: Session) -> None:
    """The base alone, one level below it, and everything."""
    search = request(base=server.people_base, search_filter="(objectClass=*)")

    assert names(session, replace(search, scope=Scope.BASE)) == [server.people_base]
    one_level = names(session, replace(search, scope=Scope.ONE))
    assert one_level
    assert all(name.partition(",")[2] == server.people_base for name in one_level)
    assert set(one_level) < set(names(session, search))


def test_a_second_search_recognises_every_entry(session: Session) -> None:
    """The octets of an unchanged entry do not depend on the pages."""
    first = changed(session, request(), Recogniser(StoredContacts(), MAPPING))
    second = Recogniser(StoredContacts(sorted(fingerprint for fingerprint, _ in first)), MAPPING)

    unknown = changed(session, request(page_size=333), second)

    assert (len(first), unknown, second.unchanged, len(second.stored)) == (PEOPLE, [], PEOPLE, 0)


def test_a_changed_entry_is_the_only_one_not_recognised(make_slapd: Callable[..., PrivateSlapd]) -> None:
    """It has its new octets, and its old fingerprint remains."""
    server = make_slapd(ldif=people_ldif(20))
    with session_with(options_of(server, tls=Tls.NONE)) as session:
        before = changed(session, request(), Recogniser(StoredContacts(), MAPPING))
        edited = names(session, request())[7]
        admin = server.connection()
        admin.modify(edited, {"telephoneNumber": [("MODIFY_REPLACE", ["+49 221 1234567"])]})
        admin.unbind()

        recogniser = Recogniser(StoredContacts(sorted(fingerprint for fingerprint, _ in before)), MAPPING)
        [(_, octets)] = changed(session, request(), recogniser)

    assert decode_entry(octets).dn == edited
    assert decode_entry(octets).attributes["telephonenumber"] == [b"+49 221 1234567"]
    assert (len(recogniser.stored), recogniser.unchanged) == (1, 19)


@pytest.mark.parametrize("page_size", [100, 499, 500, 1000, 0])
def test_a_size_limit_of_the_server_is_an_error(server: PrivateSlapd, page_size: int) -> None:
    """ldap3 ignores the result code 4."""
    with (
        session_with(limited_options(server)) as session,
        pytest.raises(IncompleteSnapshot, match=r"after 500 entries with sizeLimitExceeded \(4\)") as caught,
    ):
        names(session, request(page_size=page_size))
    assert "administrator" in caught.value.hint
    assert not caught.value.retryable


def test_a_server_without_paging_is_searched_at_once(session: Session) -> None:
    """The control is sent only to servers that list it."""
    found = names(replace(session, root_dse=RootDse()), request(page_size=10))

    assert len(found) == PEOPLE


def test_a_missing_base_is_named_with_its_nearest_ancestor(session: Session) -> None:
    """As the server reports it."""
    with pytest.raises(BaseNotFound, match=rf'"ou=nowhere,{SUFFIX}".*noSuchObject \(32\).*exists is "{SUFFIX}"'):
        names(session, request(base=f"ou=nowhere,{SUFFIX}"))


def test_a_base_that_is_not_a_dn_is_refused(session: Session) -> None:
    """The server answers invalidDNSyntax."""
    with pytest.raises(BaseNotFound, match='"people"'):
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
def test_an_invalid_filter_is_not_sent(session: Session, search_filter: str) -> None:
    """The error quotes it, and the connection can still be used."""
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
def test_filters_of_every_kind(session: Session, search_filter: str, found: int) -> None:
    """An empty result is complete."""
    assert len(names(session, request(search_filter=search_filter))) == found


def test_references_are_counted_and_not_followed(session: Session) -> None:
    """The search is complete without them."""
    found = list(read_entries(session, request()))

    assert sum(batch.references for batch in found) == 1
    assert sum(len(batch.entries) for batch in found) == PEOPLE


def test_a_referred_base_is_an_error_that_names_the_other_server(session: Session) -> None:
    """The password is not sent to it."""
    with pytest.raises(AccessRefused, match=r"refers to ldap://elsewhere\.example/") as caught:
        names(session, request(base=f"cn=anyone,{ELSEWHERE}"))
    assert "credentials are never sent" in caught.value.hint


def test_an_entry_may_be_larger_than_the_buffer(make_slapd: Callable[..., PrivateSlapd]) -> None:
    """Up to the limit of one message."""
    photo = base64.b64encode(bytes(range(256)) * 12_000).decode()
    person = f"dn: uid=large,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: large\ncn: L\nsn: L\njpegPhoto:: {photo}\n\n"
    server = make_slapd(ldif=person)
    search = replace(request(), attributes=("jpegPhoto",))
    with session_with(options_of(server, tls=Tls.NONE)) as session:
        [entry] = entries_of(session, search)
        assert decode_entry(entry).attributes["jpegphoto"] == [bytes(range(256)) * 12_000]
        with pytest.raises(ProtocolViolation, match="at most 3000000 are accepted"):
            list(batches_of(session, search, 3_000_000))


def test_a_server_killed_between_two_pages_is_unavailable(make_slapd: Callable[..., PrivateSlapd]) -> None:
    """The search does not end as if it were complete."""
    server = make_slapd(ldif=people_ldif(60))
    with session_with(options_of(server, tls=Tls.NONE)) as session:
        pages = batches_of(session, request(page_size=10))
        came = len(next(pages))
        server.kill()
        with pytest.raises(ServerUnavailable) as caught:
            came += sum(map(len, pages))
    assert came < 60
    assert caught.value.retryable


def test_the_search_is_logged_as_a_command_that_finds_the_same(
    server: PrivateSlapd, session: Session, tmp_path: Path
) -> None:
    """The command prompts for the password."""
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
