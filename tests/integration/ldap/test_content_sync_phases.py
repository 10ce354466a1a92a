"""A refresh (RFC 4533, section 3.3) with both phases: no entry counts as deleted because of it."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest

from contactsync.errors import CursorVoid
from contactsync.ldap.changes.base import Changed, Cursor
from contactsync.ldap.changes.content_sync import ContentSync
from contactsync.ldap.changes.position import Position, csns_of
from contactsync.ldap.protocol import ber
from contactsync.ldap.protocol.content_sync import SYNC_DONE, SYNC_INFO, SYNC_REQUEST
from contactsync.ldap.protocol.requests import controls_of
from contactsync.ldap.query.query import Scope
from contactsync.ldap.search import SearchRequest
from tests.support.peers import SUCCESS, Answer, answers, bind_answer, message, peer
from tests.support.sessions import options_at, session_with

BASE = "dc=example,dc=test"
ANNA, BERT = UUID(int=1), UUID(int=2)
BEFORE, NOW = (f"2026110{day}120000.000000Z#000000#000#000000" for day in (1, 2))
CONTEXT = {"entryUUID": [str(UUID(int=9))], "contextCSN": [NOW], "entryCSN": [NOW], "hasSubordinates": ["TRUE"]}
INTERMEDIATE, SEARCH_DONE, ID_SET, SET = 0x79, 0x65, 0xA3, 0x31


def named(entry: UUID, *, deletes: bool) -> bytes:
    """A Sync Info Message that names an entry as deleted or as present."""
    flag = ber.encode(ber.BOOLEAN, ber.TRUE if deletes else b"\0")
    value = ber.encode(ID_SET, flag, ber.encode(SET, ber.encode(ber.OCTET_STRING, entry.bytes)))
    return ber.encode(INTERMEDIATE, ber.encode(0x80, SYNC_INFO), ber.encode(0x81, value))


def refreshed(*messages: bytes, deletes: bool) -> Answer:
    """These messages, and the end of a refresh that named all deleted or all present entries."""
    value = ber.encode(ber.SEQUENCE, ber.encode(ber.BOOLEAN, ber.TRUE if deletes else b"\0"))
    end = ber.encode(SEARCH_DONE, SUCCESS), controls_of((SYNC_DONE, value))
    return lambda number: iter([*(message(number, each) for each in messages), message(number, *end)])


def since_before(refresh: Answer) -> tuple[list[Changed], bool]:
    """The changes of a server with this refresh, and whether it named all present entries."""
    script = [
        bind_answer,
        answers({"supportedControl": [SYNC_REQUEST], "namingContexts": [BASE], "subschemaSubentry": ["cn=Subschema"]}),
        answers({"createTimestamp": ["20261101000000Z"]}),
        answers(CONTEXT),
        refresh,
        answers(),
    ]
    with peer(*script) as server, session_with(options_at(server.port)) as session:
        sync = ContentSync(session, SearchRequest(BASE, Scope.SUB, "(cn=*)", ("cn",), 0), ["entryUUID"])
        assert sync.obstacle() is None
        mark = sync.current_cursor()
        assert mark is not None
        cursor = Cursor(mark.kind, Position.certain_at(csns_of([BEFORE])).encode(), mark.server)
        return list(sync.since(cursor)), sync.all_listed


def keys(lists: Iterator[list[str]]) -> list[str]:
    """The keys of all lists."""
    return [key for some in lists for key in some]


def test_each_phase_alone_is_accepted() -> None:
    """The entries named as deleted are gone, or those that were not named as present."""
    changes, all_listed = since_before(refreshed(named(ANNA, deletes=True), deletes=True))
    assert (keys(each.gone for each in changes), all_listed) == ([str(ANNA)], False)
    changes, all_listed = since_before(refreshed(named(ANNA, deletes=False), deletes=False))
    assert (keys(each.present for each in changes), all_listed) == ([str(ANNA)], True)


@pytest.mark.parametrize(
    ("messages", "deletes"),
    [
        ([named(ANNA, deletes=False)], True),
        ([named(ANNA, deletes=True)], False),
        ([named(ANNA, deletes=False), named(BERT, deletes=True)], True),
        ([named(ANNA, deletes=False), named(BERT, deletes=True)], False),
    ],
    ids=["present, all gone named", "gone, all present named", "both, all gone named", "both, all present named"],
)
def test_both_phases_need_a_full_search(messages: list[bytes], deletes: bool) -> None:  # noqa: FBT001 -- a parameter
    """An entry that was not named may be present."""
    with pytest.raises(CursorVoid, match="named both deleted and present"):
        since_before(refreshed(*messages, deletes=deletes))
