"""What changed, by the Content Synchronization Operation (RFC 4533), from OpenLDAP's syncprov.

The full search stays an ordinary one: what the server's contextCSN was just before it makes the cookie for the next
time, and what changed meanwhile is then simply sent again.

A cookie is never believed. slapd takes garbage for one, answers with everything and says that nothing was deleted; so
each has to be of the form that slapd makes, and no newer than the server's own contextCSN.

Nor does slapd tell of what lies below an entry that was renamed or moved: those entries did not change, only their
names did, and whether the search finds them. So when an entry that holds others has changed at all, everything is read.

And a slapd that was ended by force comes back with a contextCSN that is too old, and hides what is newer until the next
change (seen with 2.5.13). So entries that are newer than the contextCSN have everything read as well. A deletion leaves
no entry that could be newer; so a cursor ends with the process that gave it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from contactsync.errors import DirectoryError
from contactsync.ldap.changes.base import Changed, Cursor, CursorVoid
from contactsync.ldap.changes.position import Csns, Position, any_newer, cookie_of, csns_of, csns_of_cookie
from contactsync.ldap.connection.session import Session
from contactsync.ldap.lookup import read_values
from contactsync.ldap.protocol import ber
from contactsync.ldap.protocol.content_sync import (
    REFRESH_ONLY,
    SYNC_DONE,
    SYNC_REQUEST,
    SYNC_STATE,
    State,
    read_done,
    read_info,
    read_state,
    sync_request,
)
from contactsync.ldap.protocol.entry import decode_entry
from contactsync.ldap.protocol.messages import SEARCH_DONE, SEARCH_ENTRY, Detail, EntryBatch
from contactsync.ldap.protocol.requests import controls_of, search_op
from contactsync.ldap.protocol.results import LIMITS, SUCCESS, Result, search_error
from contactsync.ldap.query.filter import attributes_of
from contactsync.ldap.query.query import Scope
from contactsync.ldap.search import SearchRequest
from contactsync.ldap.subschema import derived_attribute

KIND = "content-sync"
KEY_ATTRIBUTE = "entryUUID"
_CSN_ATTRIBUTE = "entryCSN"
_HOLDS_OTHERS = "hasSubordinates"

_NOT_OPENLDAPS = {"nsuniqueid"}
"""Identities that no entry of a server with a contextCSN has: 389 Directory Server's."""

_OF_A_CONTEXT = (KEY_ATTRIBUTE, "contextCSN", _CSN_ATTRIBUTE, _HOLDS_OTHERS)

_STARTED = "createTimestamp"
"""slapd makes the entry of its schema when it starts, and says in it when that was, to the second."""
_STARTED_AT = b" started "

_UNAVAILABLE_CRITICAL_EXTENSION, _UNWILLING_TO_PERFORM, _REFRESH_REQUIRED = 12, 53, 4096
_VOID = {
    _UNAVAILABLE_CRITICAL_EXTENSION: "offers no content synchronization for this base",
    _UNWILLING_TO_PERFORM: "does not take the cursor",
    _REFRESH_REQUIRED: "wants everything to be read anew",
}


@dataclass(frozen=True, slots=True)
class _Context:
    """A naming context: its name, its head's identity, and the newest CSN of each of the servers that write to it.

    `started` is when the server was.
    """

    name: str
    uuid: bytes
    csns: Csns
    started: bytes


class ContentSync:
    """See contactsync.ldap.changes.base.Changes. `identity` are the attributes that make the key."""

    kind = KIND
    reports_entries = True
    unreported_attributes: frozenset[str] = frozenset()

    def __init__(self, session: Session, request: SearchRequest, identity: Sequence[str]) -> None:
        self.cursor: Cursor | None = None
        self.all_listed = False
        self.confirm_seconds: float | None = None
        self._session = session
        self._request = request
        self._identity = identity
        self._context: _Context | None = None

    def obstacle(self, *, quick: bool = False) -> str | None:  # noqa: ARG002 -- it is quick
        """See Changes."""
        if SYNC_REQUEST not in self._session.root_dse.supported_controls:
            return "the server does not offer content synchronization (RFC 4533)"
        names = [name.lower() for name in self._identity]
        if next((name for name in names if name not in _NOT_OPENLDAPS), None) != KEY_ATTRIBUTE.lower():
            return f"the key is not {KEY_ATTRIBUTE}, by which the protocol names entries that are gone"
        context = self._session.root_dse.naming_context_of(self._request.base)
        if context is None:
            return f"the server names no naming context that holds {self._request.base}"
        used = {*self._request.attributes, *attributes_of(self._request.filter)} - set(self._identity)
        if derived := derived_attribute(self._session, used):
            return (
                f"the values of {derived} can change without a change of the entry, which the protocol does not report"
            )
        schema = self._session.root_dse.subschema
        started = read_values(self._session.wire, schema, (_STARTED,)).get(_STARTED.lower())
        if not started:
            return f"the server does not show this user when it was started ({_STARTED} of {schema})"
        return self._look_at(context, started[0])

    def _look_at(self, context: str, started: bytes) -> str | None:
        """Learn how far the naming context is, or why that cannot be told."""
        found = read_values(self._session.wire, context, _OF_A_CONTEXT)
        csns = csns_of(_texts(found.get("contextcsn", ())))
        uuids = found.get(KEY_ATTRIBUTE.lower(), [])
        if not csns or not all(found.get(name.lower()) for name in _OF_A_CONTEXT):
            return f"the server shows this user not all of {', '.join(_OF_A_CONTEXT)} of {context}"
        self._context = _Context(context, uuids[0], csns, started)
        return None

    def current_cursor(self, before: Cursor | None = None) -> Cursor | None:  # noqa: ARG002 -- a CSN needs no other
        """See Changes."""
        if self._context is None:
            return None
        return Cursor(KIND, Position.certain_at(self._context.csns).encode(), self._server)

    def since(self, cursor: Cursor) -> Iterator[Changed]:
        """See Changes."""
        position = self._checked(cursor)
        if position.is_certain and position.newest == self._csns:
            self._expect_all_told(position.newest)
            self.cursor = cursor
            return
        asked_at = time.time()
        origin = position.origin(asked_at)
        control = controls_of((SYNC_REQUEST, sync_request(REFRESH_ONLY, cookie_of(origin))))
        request = self._request
        wire = self._session.wire
        message_id = wire.send(search_op(request.base, request.scope, request.filter, request.attributes), control)
        newest: bytes | None = None
        entries = 0
        gone = present = False
        while True:
            batch = wire.read(message_id, SEARCH_DONE, detailed=True)
            changed, cookie = self._changed(batch)
            newest = cookie or newest
            entries += len(changed.entries)
            gone, present = gone or bool(changed.gone), present or bool(changed.present)
            yield changed
            if batch.result:
                newest = self._finish(batch.result, entries) or newest
                break
        if gone if self.all_listed else present:
            # One phase may follow the other (RFC 4533, section 3.3.2), but then nobody's absence says anything.
            raise self._void("named both who is gone and who is there")
        self._expect_all_told(origin)
        # Without a new cookie nothing of what is asked for has changed.
        self._move(position, csns_of_cookie(newest) if newest else position.newest, asked_at)

    def _move(self, position: Position, csns: Csns, asked_at: float) -> None:
        """Set the new cursor. A list of all that are there comes from the database itself, not from a log."""
        if not csns:
            return
        after = Position.certain_at(csns) if self.all_listed else position.after(csns, asked_at=asked_at)
        self.confirm_seconds = None if after.is_certain else after.settles_in(asked_at)
        self.cursor = Cursor(KIND, after.encode(), self._server)

    @property
    def _csns(self) -> Csns:
        return self._context.csns if self._context else {}

    @property
    def _server(self) -> bytes:
        return self._context.uuid + _STARTED_AT + self._context.started if self._context else b""

    def _checked(self, cursor: Cursor) -> Position:
        """The position that a cursor holds. Raises CursorVoid for a cursor that cannot be of this server."""
        now = self._csns
        if cursor.kind != KIND or cursor.server.partition(_STARTED_AT)[0] != self._server.partition(_STARTED_AT)[0]:
            raise self._void("holds other data than those that the cursor is of")
        position = Position.parse(cursor.value)
        if position is None:
            raise self._void("has never given such a cursor")
        before = position.newest
        if not before.keys() <= now.keys() or any(now[server] < before[server] for server in before):
            raise self._void("is older than the cursor: it may have been restored from a backup")
        if cursor.server != self._server:
            raise self._void("was started anew since, and may have forgotten what was deleted just before")
        return position

    def _changed(self, batch: EntryBatch) -> tuple[Changed, bytes | None]:
        if batch.entries:
            raise ber.not_ldap("an entry came without the Sync State Control that belongs to it")
        changed = Changed()
        newest: bytes | None = None
        for detail in batch.details:
            cookie = _sort_in(detail, changed) if detail.tag == SEARCH_ENTRY else _note(detail, changed)
            newest = cookie or newest
        return changed, newest

    def _finish(self, result: Result, entries: int) -> bytes | None:
        if result.code in _VOID:
            raise self._void(f"{_VOID[result.code]} ({result})")
        if result.code in LIMITS:
            raise self._void(f"ended the search after {entries} entries with {result}")
        if result.code != SUCCESS:
            raise search_error(
                result,
                server=self._session.server,
                base=self._request.base,
                search_filter=self._request.filter,
                entries=entries,
            )
        if SYNC_DONE not in result.controls:
            raise self._void("ended the synchronization without saying how")
        done = read_done(result.controls[SYNC_DONE])
        self.all_listed = not done.deletes
        return done.cookie

    def _expect_all_told(self, before: Csns) -> None:
        """Raise CursorVoid when there may be changes that the server keeps to itself (see the top of this file)."""
        now = self._csns
        newest: Csns = {}
        for attributes in self._changed_since(min(before.values()), max(now.values())):
            csns = csns_of(_texts(attributes.get(_CSN_ATTRIBUTE.lower(), ())))
            if b"TRUE" in attributes.get(_HOLDS_OTHERS.lower(), ()) and any_newer(csns, before):
                raise self._void("has changed an entry that holds others, which may have taken them elsewhere")
            newest |= {server: max(csn, newest.get(server, "")) for server, csn in csns.items()}
        if any_newer(newest, now) and any_newer(newest, self._read_csns()):
            raise self._void("has entries that are newer than its contextCSN: it may have been ended by force")

    def _changed_since(self, holding: str, any_at_all: str) -> list[dict[str, list[bytes]]]:
        """The entries that hold others and changed since one CSN, and all those that changed since another."""
        search_filter = f"(|(&({_HOLDS_OTHERS}=TRUE)({_CSN_ATTRIBUTE}>={holding}))({_CSN_ATTRIBUTE}>={any_at_all}))"
        context = self._context.name if self._context else self._request.base
        wire = self._session.wire
        message_id = wire.send(search_op(context, Scope.SUB, search_filter, (_CSN_ATTRIBUTE, _HOLDS_OTHERS)))
        found: list[dict[str, list[bytes]]] = []
        while True:
            batch = wire.read(message_id, SEARCH_DONE)
            found += [decode_entry(entry).attributes for entry in batch.entries]
            if batch.result:
                if batch.result.code != SUCCESS:
                    raise self._void(f"does not say what else has changed ({batch.result})")
                return found

    def _read_csns(self) -> Csns:
        """What the server's contextCSN is at this moment."""
        context = self._context.name if self._context else self._request.base
        return csns_of(_texts(read_values(self._session.wire, context, ("contextCSN",)).get("contextcsn", ())))

    def _void(self, what: str) -> DirectoryError:
        return CursorVoid(f"{self._session.server} {what}.", hint="Everything is read instead.")


def _sort_in(detail: Detail, changed: Changed) -> bytes | None:
    """Put an entry where it belongs, and return the cookie that came with it."""
    value = detail.controls.get(SYNC_STATE)
    if value is None:
        raise ber.not_ldap("an entry came without the Sync State Control that belongs to it")
    state = read_state(value)
    if state.state is State.DELETE:
        changed.gone.append(str(UUID(bytes=state.uuid)))
    elif state.state is State.PRESENT:
        changed.present.append(str(UUID(bytes=state.uuid)))
    else:
        changed.entries.append(detail.op)
    return state.cookie


def _note(detail: Detail, changed: Changed) -> bytes | None:
    """Note which entries are gone or did not change, and return the cookie that came with it."""
    info = read_info(detail.op)
    if info is None:
        return None
    (changed.gone if info.deletes else changed.present).extend(str(UUID(bytes=uuid)) for uuid in info.uuids)
    return info.cookie


def _texts(values: Iterable[bytes]) -> Iterator[str]:
    return (value.decode("ascii", "replace") for value in values)
