"""Attributes whose values come in ranges: from a real domain controller, and from peers that send them oddly."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from contactsync.errors import IncompleteSnapshot
from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.connection.limits import ReadLimits
from contactsync.ldap.connection.options import ConnectOptions, TlsOptions
from contactsync.ldap.connection.session import Session, connect
from contactsync.ldap.protocol import ber
from contactsync.ldap.protocol.entry import decode_entry
from contactsync.ldap.query.query import Scope, ServerAddress
from contactsync.ldap.search import SearchRequest, read_entries
from contactsync.model import Outcome, Tls
from contactsync.store.fingerprints import StoredContacts
from contactsync.sync.recogniser import Recogniser
from tests.support.folder import SyncedFolder
from tests.support.peers import SUCCESS, Answer, bind_answer, done, message, peer, result
from tests.support.samba import PrivateSamba

MAPPING = b"m" * 16
DN = "cn=Anna,dc=example,dc=test"
ACTIVE_DIRECTORY = "1.2.840.113556.1.4.800"
Attributes = dict[str, list[str]]


@contextmanager
def session_of(host: str, port: int, **options: Any) -> Iterator[Session]:
    """Connect to a server."""
    usual: dict[str, Any] = {
        "user": None,
        "password": None,
        "tls": Tls.NONE,
        "connect_timeout": 5,
        "receive_timeout": 5,
    }
    servers = (ServerAddress(host, port, ldaps=options.get("tls") is Tls.LDAPS),)
    with connect(ConnectOptions(servers=servers, **(usual | options)), Deadline(30)) as session:
        yield session


def read(session: Session, base: str, *attributes: str, page_size: int = 0) -> list[bytes]:
    """The octets of all entries below a base, copied."""
    request = SearchRequest(base, Scope.SUB, "(objectClass=*)", attributes, page_size)
    batches = read_entries(session, request, ReadLimits(Deadline(30), 5))
    return [bytes(entry) for batch in batches for entry in batch.entries]


@contextmanager
def opened(samba: PrivateSamba) -> Iterator[Session]:
    """Connect to the domain controller as its reader."""
    login = {
        "user": samba.reader_user,
        "password": samba.reader_password,
        "trust": TlsOptions(ca_file=str(samba.ca_file)),
    }
    with session_of(samba.address, samba.tls_port, tls=Tls.LDAPS, **login) as session:
        yield session


def test_a_domain_controller_is_asked_for_the_rest(samba: PrivateSamba) -> None:
    """It gives the first ten to who asks for them; all of them are there in the end, also of later pages' entries."""
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


def test_a_value_beyond_the_first_range_makes_another_entry(samba: PrivateSamba) -> None:
    """An entry is recognised while all its values are the same, and not when one of the last is another."""
    unit = samba.unit("Last value")
    phones = [f"+49 {number:03}" for number in range(25)]
    dn = samba.add("Anna", under=unit, otherTelephone=phones)

    def sift(before: set[bytes]) -> set[bytes]:
        recogniser = Recogniser(StoredContacts(sorted(before)), MAPPING)
        with opened(samba) as session:
            return {mark for mark, _ in recogniser.changed(read(session, dn, "otherTelephone;range=0-9", "cn"))}

    first = sift(set())
    assert len(first) == 1
    assert sift(first) == set()
    samba.set(dn, otherTelephone=[*phones[:-1], "+49 999"])
    assert len(sift(first) - first) == 1


def entry(number: int, attributes: Attributes, dn: str = DN) -> bytes:
    """A message with an entry."""
    listed = (
        ber.encode(
            0x30,
            ber.encode(0x04, name.encode()),
            ber.encode(0x31, *(ber.encode(0x04, value.encode()) for value in values)),
        )
        for name, values in attributes.items()
    )
    return message(number, ber.encode(0x64, ber.encode(0x04, dn.encode()), ber.encode(0x30, *listed)))


def answers(*attributes: Attributes, contents: bytes = SUCCESS) -> Answer:
    """These entries and the end of the search."""
    return lambda number: iter([*(entry(number, each) for each in attributes), done(number, contents, cookie=None)])


ROOT_DSE = answers({"supportedCapabilities": [ACTIVE_DIRECTORY]})


def read_from_peer(*script: Answer) -> tuple[list[Attributes], bytes]:
    """What is read from a peer that calls itself Active Directory and answers by this script; and what it was asked."""
    with peer(bind_answer, ROOT_DSE, *script) as server, session_of("127.0.0.1", server.port) as session:
        found = map(decode_entry, read(session, DN, "mail", "cn"))
        entries = [
            {name: [value.decode() for value in values] for name, values in each.attributes.items()} for each in found
        ]
        return entries, server.received


def test_ranges_are_read_on_until_the_last() -> None:
    """Each is asked for from where the one before ended; values have no order, so theirs is always the same."""
    entries, asked = read_from_peer(
        answers({"mail": [], "mail;range=0-1": ["d", "b"], "cn": ["Anna"]}, {"cn": ["Max"], "mail": ["x"]}),
        answers({"mail;range=2-3": ["c", "a"]}),
        answers({"mail;range=4-*": ["e"]}),
    )
    assert entries == [{"cn": ["Max"], "mail": ["x"]}, {"mail": ["a", "b", "c", "d", "e"], "cn": ["Anna"]}]
    assert asked.index(b"mail;range=2-*") < asked.index(b"mail;range=4-*")


def test_several_attributes_may_come_in_ranges() -> None:
    """An attribute that says it ends needs no more questions."""
    entries, asked = read_from_peer(
        answers({"mail;range=0-0": ["a"], "cn;range=0-*": ["Anna"], "sn;lang-de;range=0-0": ["x"]}),
        answers({"mail;range=1-*": ["b"]}),
        answers({"sn;lang-de;range=1-*": ["y"]}),
    )
    assert entries == [{"mail": ["a", "b"], "cn": ["Anna"], "sn;lang-de": ["x", "y"]}]
    assert b"cn;range" not in asked


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
def test_a_part_that_cannot_be_completed_ends_the_search(first: Attributes, second: Answer) -> None:
    """An error that names the entry, so that nothing is concluded from a part of its values."""
    with pytest.raises(IncompleteSnapshot) as caught:
        read_from_peer(answers({"cn": ["Max"]}, first), second)
    assert DN in caught.value.message
    assert len(caught.value.message) < 500
    assert "Nothing was changed" in caught.value.hint


def test_other_servers_are_not_suspected() -> None:
    """What looks like a range in a value, or comes from a server that is no Active Directory, is as it is."""
    plain = answers({"supportedControl": ["1.2.3"]})
    value: Attributes = {"cn": ["Anna;range=0-1"]}
    with peer(bind_answer, plain, answers(value)) as server, session_of("127.0.0.1", server.port) as session:
        assert [each.attributes["cn"] for each in map(decode_entry, read(session, DN, "cn"))] == [[b"Anna;range=0-1"]]
    entries, _ = read_from_peer(answers(value))
    assert entries == [value]


def test_a_run_takes_over_all_values_and_sees_the_last_one_change(
    samba: PrivateSamba, make_folder: Callable[..., SyncedFolder]
) -> None:
    """The same values are recognised by the next run; another last one is a change of that contact."""
    mapping = {"preset": "none", "identity": "dn", "fields": {"display_name": "cn", "emails": "mail"}}
    usual = {"tls": "none", "filter": "(cn=*)", "mapping": json.dumps(mapping)}
    folder = make_folder(samba, **usual)

    def run(last: str) -> tuple[Outcome, list[str]]:
        first = answers({"cn": ["Anna"], "mail": [], "mail;range=0-1": ["a@x", "b@x"]})
        with peer(bind_answer, ROOT_DSE, first, answers({"mail;range=2-*": ["c@x", last]})) as server:
            folder.edit(query=f"ldap://127.0.0.1:{server.port}/{DN}")
            outcome = folder.run().outcome
        (row,) = folder.query("SELECT emails FROM contactsync.contacts WHERE source_dn = %s", DN)
        return outcome, row["emails"]

    assert run("d@x") == (Outcome.CHANGED, ["a@x", "b@x", "c@x", "d@x"])
    assert run("d@x") == (Outcome.UNCHANGED, ["a@x", "b@x", "c@x", "d@x"])
    assert run("e@x") == (Outcome.CHANGED, ["a@x", "b@x", "c@x", "e@x"])
