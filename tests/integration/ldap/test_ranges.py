"""Attributes whose values come in ranges: from a real domain controller, and from peers that break the rules."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from contactsync.errors import IncompleteSnapshot
from contactsync.ldap.connection.options import TlsOptions
from contactsync.ldap.connection.session import Session
from contactsync.ldap.protocol.entry import decode_entry
from contactsync.ldap.query.query import Scope
from contactsync.ldap.search import SearchRequest
from contactsync.model import Outcome
from contactsync.store.fingerprints import StoredContacts
from contactsync.sync.recogniser import Recogniser
from tests.support.folder import SyncedFolder
from tests.support.peers import Answer, answers, bind_answer, peer, result
from tests.support.samba import PrivateSamba
from tests.support.sessions import entries_of, options_at, session_with

MAPPING = b"m" * 16
DN = "cn=Anna,dc=example,dc=test"
ACTIVE_DIRECTORY = "1.2.840.113556.1.4.800"
Attributes = dict[str, list[str]]


def read(session: Session, base: str, *attributes: str, page_size: int = 0) -> list[bytes]:
    """All entries below a base."""
    return entries_of(session, SearchRequest(base, Scope.SUB, "(objectClass=*)", attributes, page_size))


def opened(samba: PrivateSamba) -> AbstractContextManager[Session]:
    """A session as the domain controller's reader."""
    trust = TlsOptions(ca_file=str(samba.ca_file))
    login = {"user": samba.reader_user, "password": samba.reader_password, "trust": trust}
    return session_with(options_at(samba.tls_port, host=samba.address, ldaps=True, **login))


def test_ranges_of_a_domain_controller_are_completed(samba: PrivateSamba) -> None:
    """Also of entries on later pages."""
    unit = samba.unit("Ranges")
    phones = [f"+49 {number:03}" for number in range(25)]
    for name in ("A", "B", "C"):
        samba.add(name, under=unit, otherTelephone=phones if name != "B" else phones[:5], telephoneNumber="+49")
    with opened(samba) as session:
        entries = read(session, unit, "otherTelephone;range=0-9", "telephoneNumber", "cn", page_size=2)
        found = {entry.dn: entry.attributes for entry in map(decode_entry, entries)}
        again = read(session, unit, "otherTelephone;range=0-9", "telephoneNumber", "cn", page_size=2)
    assert sorted(found) == [*(f"CN={name},{unit}" for name in "ABC"), unit]
    for name, number in (("A", 25), ("B", 5), ("C", 25)):
        attributes = found[f"CN={name},{unit}"]
        assert sorted(attributes["othertelephone"]) == [phone.encode() for phone in phones[:number]]
        assert attributes["telephonenumber"] == [b"+49"]
    assert sorted(entries) == sorted(again)


def test_an_entry_with_another_last_value_is_not_recognised(samba: PrivateSamba) -> None:
    """Although the value is beyond the first range."""
    unit = samba.unit("Last value")
    phones = [f"+49 {number:03}" for number in range(25)]
    dn = samba.add("Anna", under=unit, otherTelephone=phones)

    def changed(before: set[bytes]) -> set[bytes]:
        recogniser = Recogniser(StoredContacts(sorted(before)), MAPPING)
        with opened(samba) as session:
            return {mark for mark, _ in recogniser.changed(read(session, dn, "otherTelephone;range=0-9", "cn"))}

    first = changed(set())
    assert len(first) == 1
    assert changed(first) == set()
    samba.set(dn, otherTelephone=[*phones[:-1], "+49 999"])
    assert len(changed(first) - first) == 1


START = (
    bind_answer,
    answers({"supportedCapabilities": [ACTIVE_DIRECTORY], "schemaNamingContext": ["CN=Schema"]}),
    answers(),
)
"""The responses to the bind and to the requests for root DSE and schema."""


def read_from_peer(*script: Answer) -> tuple[list[Attributes], bytes]:
    """The entries of a peer that acts as Active Directory by this script, and the octets that it received."""
    with peer(*START, *script) as server, session_with(options_at(server.port)) as session:
        found = map(decode_entry, read(session, DN, "mail", "cn"))
        entries = [
            {name: [value.decode() for value in values] for name, values in each.attributes.items()} for each in found
        ]
        return entries, server.received


def test_ranges_are_read_until_the_last() -> None:
    """Each starts where the one before ended. Values have no order, so they are sorted."""
    entries, received = read_from_peer(
        answers({"mail": [], "mail;range=0-1": ["d", "b"], "cn": ["Anna"]}, {"cn": ["Max"], "mail": ["x"]}),
        answers({"mail;range=2-3": ["c", "a"]}),
        answers({"mail;range=4-*": ["e"]}),
    )
    assert entries == [{"cn": ["Max"], "mail": ["x"]}, {"mail": ["a", "b", "c", "d", "e"], "cn": ["Anna"]}]
    assert received.index(b"mail;range=2-*") < received.index(b"mail;range=4-*")


def test_several_attributes_may_come_in_ranges() -> None:
    """A range that ends in an asterisk is the last."""
    entries, received = read_from_peer(
        answers({"mail;range=0-0": ["a"], "cn;range=0-*": ["Anna"], "sn;lang-de;range=0-0": ["x"]}),
        answers({"mail;range=1-*": ["b"]}),
        answers({"sn;lang-de;range=1-*": ["y"]}),
    )
    assert entries == [{"mail": ["a", "b"], "cn": ["Anna"], "sn;lang-de": ["x", "y"]}]
    assert b"cn;range" not in received


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"mail;range=0-1": ["a", "b"]}, answers()),
        ({"mail;range=0-1": ["a", "b"]}, answers({})),
        ({"mail;range=0-1": ["a", "b"]}, answers({"mail;range=2-*": ["c"]}, {"mail;range=2-*": ["c"]})),
        ({"mail;range=0-1": ["a", "b"]}, answers(contents=result(32, "gone"))),
        ({"mail;range=0-1": ["a", "b"]}, answers(contents=result(50, "no"))),
        ({"mail;range=0-1": ["a", "b"]}, answers({"mail;range=3-*": ["d"]})),
        ({"mail;range=0-1": ["a", "b"]}, answers({"mail;range=0-1": ["a", "b"]})),
        ({"mail;range=0-1": ["a", "b"]}, answers({"mail;range=2-9": ["c"]})),
        ({"mail;range=0-1": ["a", "b"]}, answers({"mail": ["c"]})),
        ({"mail;range=0-1": ["a", "b"]}, answers({"cn;range=2-*": ["c"]})),
        ({"mail;range=0-9": ["a", "b"]}, answers()),
        ({"mail;range=1-2": ["b", "c"]}, answers()),
        ({"mail;range=": ["a"]}, answers()),
        ({"mail;range=0-" + "9" * 5000: ["a"]}, answers()),
        ({"mail;range=*-0": ["a"]}, answers()),
    ],
    ids=lambda value: next(iter(value))[:20] if isinstance(value, dict) else "",
)
def test_an_incomplete_attribute_is_an_error(first: Attributes, second: Answer) -> None:
    """It names the entry."""
    with pytest.raises(IncompleteSnapshot) as caught:
        read_from_peer(answers({"cn": ["Max"]}, first), second)
    assert DN in caught.value.message
    assert len(caught.value.message) < 500
    assert "Nothing was changed" in caught.value.hint


def test_other_servers_send_no_ranges() -> None:
    """Neither their attributes nor values that look like a range are changed."""
    plain = answers({"supportedControl": ["1.2.3"]})
    value: Attributes = {"cn": ["Anna;range=0-1"]}
    with peer(bind_answer, plain, answers(value)) as server, session_with(options_at(server.port)) as session:
        assert [each.attributes["cn"] for each in map(decode_entry, read(session, DN, "cn"))] == [[b"Anna;range=0-1"]]
    entries, _ = read_from_peer(answers(value))
    assert entries == [value]


def test_a_run_reads_all_values(samba: PrivateSamba, make_folder: Callable[..., SyncedFolder]) -> None:
    """The next run recognises the same values, and finds a change of the last one."""
    mapping = {"preset": "none", "identity": "dn", "fields": {"display_name": "cn", "emails": "mail"}}
    usual = {"tls": "none", "filter": "(cn=*)", "filter_only": True, "mapping": json.dumps(mapping)}
    folder = make_folder(samba, **usual)

    def run(last: str) -> tuple[Outcome, list[str]]:
        first = answers({"cn": ["Anna"], "mail": [], "mail;range=0-1": ["a@x", "b@x"]})
        with peer(*START, first, answers({"mail;range=2-*": ["c@x", last]})) as server:
            folder.edit(query=f"ldap://127.0.0.1:{server.port}/{DN}")
            outcome = folder.run().outcome
        (row,) = folder.query("SELECT emails FROM contactsync.contacts WHERE source_dn = %s", DN)
        return outcome, row["emails"]

    assert run("d@x") == (Outcome.CHANGED, ["a@x", "b@x", "c@x", "d@x"])
    assert run("d@x") == (Outcome.UNCHANGED, ["a@x", "b@x", "c@x", "d@x"])
    assert run("e@x") == (Outcome.CHANGED, ["a@x", "b@x", "c@x", "e@x"])
