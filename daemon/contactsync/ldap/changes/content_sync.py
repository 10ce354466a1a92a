"""Changes from OpenLDAP's syncprov by the Content Synchronization Operation (RFC 4533).

A full search is an ordinary search. The server's contextCSN just before it gives the cookie for the next run; what
changed during the search is then sent again.

Three properties of slapd need checks:

- It accepts any text as a cookie, sends everything and reports no deletion. So a cookie must have slapd's own form and
  be no newer than the contextCSN.
- It does not report entries below a renamed or moved entry, although their names changed and the search may no longer
  find them. So a change of an entry that has subordinates needs a full search.
- After a crash its contextCSN is too old, and it hides newer changes until the next change (seen with 2.5.13). So
  entries newer than the contextCSN need a full search. A deletion leaves no such entry, so a cursor is valid only as
  long as the slapd process that gave it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from contactsync.ldap.changes.base import Changed, Changes, Cursor
from contactsync.ldap.changes.position import Csns, Position, any_newer, cookie_of, csns_of, csns_of_cookie
from contactsync.ldap.connection.session import Session
from contactsync.ldap.lookup import read_values, search_all
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
from contactsync.ldap.protocol.results import LIMITS, SUCCESS, Result
from contactsync.ldap.query.filter import attributes_of
from contactsync.ldap.query.query import Scope
from contactsync.ldap.search import SearchRequest, failed_search
from contactsync.ldap.subschema import derived_attribute

KIND = "content-sync"
KEY_ATTRIBUTE = "entryUUID"
_CSN_ATTRIBUTE = "entryCSN"
_HAS_SUBORDINATES = "hasSubordinates"

_NOT_OPENLDAPS = {"nsuniqueid"}
"""Identities of other servers, which no entry of a server with a contextCSN has: 389 Directory Server's."""

_OF_A_CONTEXT = (KEY_ATTRIBUTE, "contextCSN", _CSN_ATTRIBUTE, _HAS_SUBORDINATES)

_ANY_CSNS = "00000000000000.000001Z#000000#000#000000", "00000000000000.000002Z#000000#000#000000"
"""They stand for two others in an encoded filter; no server gives them."""

_STARTED = "createTimestamp"
"""slapd creates the entry of its schema when it starts, and records the time in it, to the second."""
_STARTED_AT = b" started "

_UNAVAILABLE_CRITICAL_EXTENSION, _UNWILLING_TO_PERFORM, _REFRESH_REQUIRED = 12, 53, 4096
_VOID = {
    _UNAVAILABLE_CRITICAL_EXTENSION: "offers no content synchronization for this base",
    _UNWILLING_TO_PERFORM: "does not accept the cursor",
    _REFRESH_REQUIRED: "requires a full search",
}


@dataclass(frozen=True, slots=True)
class _Context:
    """A naming context: its name, its entryUUID, the newest CSN of each server id, and when the server started."""

    name: str = ""
    uuid: bytes = b""
    csns: Csns | None = None
    started: bytes = b""

    @property
    def server(self) -> bytes:
        return self.uuid + _STARTED_AT + self.started


class ContentSync(Changes):
    """See Changes."""

    def __init__(self, session: Session, request: SearchRequest, identity: Sequence[str]) -> None:
        super().__init__(session, request, identity)
        self._context = _Context()

    def _obstacle(self, context: str, *, quick: bool) -> str | None:  # noqa: ARG002 -- all checks are quick
        if SYNC_REQUEST not in self._session.root_dse.supported_controls:
            return "the server does not offer content synchronization (RFC 4533)"
        names = [name.lower() for name in self._identity]
        if next((name for name in names if name not in _NOT_OPENLDAPS), None) != KEY_ATTRIBUTE.lower():
            return f"the key is not {KEY_ATTRIBUTE}, by which the protocol names deleted entries"
        used = {*self._request.attributes, *attributes_of(self._request.filter)} - set(self._identity)
        if derived := derived_attribute(self._session, used):
            return (
                f"the values of {derived} can change without a change of the entry, which the protocol does not report"
            )
        return self._read_context(context)

    def _read_context(self, context: str) -> str | None:
        """Read the state of the naming context; returns why that is not possible, if so."""
        wire, schema = self._session.wire, self._session.root_dse.subschema
        started = read_values(wire, schema, (_STARTED,)).get(_STARTED.lower())
        if not started:
            return f"the server does not show this user when it was started ({_STARTED} of {schema})"
        values = read_values(wire, context, _OF_A_CONTEXT)
        csns = _csns(values)
        if not csns or not all(values.get(name.lower()) for name in _OF_A_CONTEXT):
            return f"the server does not show this user all of {', '.join(_OF_A_CONTEXT)} of {context}"
        self._context = _Context(context, values[KEY_ATTRIBUTE.lower()][0], csns, started[0])
        return None

    def current_cursor(self, before: Cursor | None = None) -> Cursor | None:  # noqa: ARG002 -- not needed for a CSN
        """See Changes."""
        csns = self._context.csns
        return Cursor(KIND, Position.certain_at(csns).encode(), self._context.server) if csns else None

    def since(self, cursor: Cursor) -> Iterator[Changed]:
        """See Changes."""
        position = self._checked(cursor)
        if position.is_certain and position.newest == self._context.csns:
            self._expect_all_reported(position.newest)
            self.cursor = cursor
            return
        asked_at = time.time()
        origin = position.origin(asked_at)
        newest: bytes | None = None
        gone = present = False
        for changed, cookie in self._refresh(cookie_of(origin)):
            newest = cookie or newest
            gone, present = gone or bool(changed.gone), present or bool(changed.present)
            yield changed
        if gone if self.all_listed else present:
            # One phase may follow the other (RFC 4533, section 3.3.2), but then an absence has no meaning.
            raise self._void("named both deleted and present entries")
        self._expect_all_reported(origin)
        # Without a new cookie nothing in the scope of the search has changed.
        self._move(position, csns_of_cookie(newest) if newest else position.newest, asked_at)

    def _refresh(self, cookie: bytes) -> Iterator[tuple[Changed, bytes | None]]:
        """The changes since a cookie, each part with the cookie that came with it; sets `all_listed`."""
        request, wire = self._request, self._session.wire
        control = controls_of((SYNC_REQUEST, sync_request(REFRESH_ONLY, cookie)))
        message_id = wire.send(search_op(request.base, request.scope, request.filter, request.attributes), control)
        entries = 0
        result: Result | None = None
        while result is None:
            batch = wire.read(message_id, SEARCH_DONE, detailed=True)
            changed, newest = _changed(batch)
            entries += len(changed.entries)
            result = batch.result
            yield changed, (self._finish(result, entries) if result else None) or newest

    def _move(self, position: Position, csns: Csns, asked_at: float) -> None:
        """Set the new cursor. A list of all present entries comes from the database itself, not from a log."""
        if not csns:
            return
        after = Position.certain_at(csns) if self.all_listed else position.after(csns, asked_at=asked_at)
        self.confirm_seconds = None if after.is_certain else after.settles_in(asked_at)
        self.cursor = Cursor(KIND, after.encode(), self._context.server)

    def _checked(self, cursor: Cursor) -> Position:
        """The position in a cursor. Raises CursorVoid for a cursor that cannot be of this server."""
        now, server = self._context.csns or {}, self._context.server
        if cursor.kind != KIND or cursor.server.partition(_STARTED_AT)[0] != server.partition(_STARTED_AT)[0]:
            raise self._void("has other data than the server that gave the cursor")
        position = Position.parse(cursor.value)
        if position is None:
            raise self._void("never gave such a cursor")
        before = position.newest
        if not now.keys() <= before.keys():
            # Its older changes may arrive after the cursor, where no check of CSNs expects them.
            raise self._void("has changes of another provider than before")
        if not before.keys() <= now.keys() or any(now[sid] < before[sid] for sid in before):
            raise self._void("is older than the cursor: it may have been restored from a backup")
        if cursor.server != server:
            raise self._void("was restarted since, and may have lost the last deletions")
        return position

    def _finish(self, result: Result, entries: int) -> bytes | None:
        """Check the result of a refresh; returns its cookie."""
        if result.code in _VOID:
            raise self._void(f"{_VOID[result.code]} ({result})")
        if result.code in LIMITS:
            raise self._void(f"ended the search after {entries} entries with {result}")
        if result.code != SUCCESS:
            raise failed_search(self._session, self._request, result, entries)
        if SYNC_DONE not in result.controls:
            raise self._void("ended the synchronization without a Sync Done Control")
        done = read_done(result.controls[SYNC_DONE])
        self.all_listed = not done.deletes
        return done.cookie

    def _expect_all_reported(self, before: Csns) -> None:
        """Raise CursorVoid if there may be changes that the server does not report (see the top of this file)."""
        now = self._context.csns or {}
        newest: Csns = {}
        for attributes in self._changed_since(min(before.values()), max(now.values())):
            csns = _csns(attributes, _CSN_ATTRIBUTE)
            if b"TRUE" in attributes.get(_HAS_SUBORDINATES.lower(), ()) and any_newer(csns, before):
                raise self._void("changed an entry that has subordinates, which may have moved with it")
            newest |= {sid: max(csn, newest.get(sid, "")) for sid, csn in csns.items()}
        if any_newer(newest, now):
            current = _csns(read_values(self._session.wire, self._context.name, ("contextCSN",)))
            if any_newer(newest, current):
                raise self._void("has entries that are newer than its contextCSN: it may have crashed")

    def _changed_since(self, parents: str, others: str) -> list[dict[str, list[bytes]]]:
        """The entries with subordinates that changed since the CSN `parents`, and all that changed since `others`."""
        entries, result = search_all(self._session.wire, _search_since(self._context.name, parents, others))
        if result.code != SUCCESS:
            raise self._void(f"does not report what else has changed ({result})")
        return [decode_entry(entry).attributes for entry in entries]


def _search_since(base: str, parents: str, others: str) -> bytes:
    """The search of `_changed_since`. CSNs have one length, so that one encoding of the filter serves for all."""
    given = parents, others
    kept = _ANY_CSNS if all(len(csn) == len(any_csn) for csn, any_csn in zip(given, _ANY_CSNS, strict=True)) else given
    search_filter = f"(|(&({_HAS_SUBORDINATES}=TRUE)({_CSN_ATTRIBUTE}>={kept[0]}))({_CSN_ATTRIBUTE}>={kept[1]}))"
    op = search_op(base, Scope.SUB, search_filter, (_CSN_ATTRIBUTE, _HAS_SUBORDINATES))
    for before, after in zip(kept, given, strict=True):
        op = op.replace(before.encode(), after.encode())
    return op


def _changed(batch: EntryBatch) -> tuple[Changed, bytes | None]:
    """The changes in a batch, and the newest cookie in it."""
    if batch.entries:
        raise ber.not_ldap("an entry has no Sync State Control")
    changed = Changed()
    newest: bytes | None = None
    for detail in batch.details:
        cookie = _add_entry(detail, changed) if detail.tag == SEARCH_ENTRY else _add_info(detail, changed)
        newest = cookie or newest
    return changed, newest


def _add_entry(detail: Detail, changed: Changed) -> bytes | None:
    value = detail.controls.get(SYNC_STATE)
    if value is None:
        raise ber.not_ldap("an entry has no Sync State Control")
    state = read_state(value)
    if state.state is State.DELETE:
        changed.gone.append(str(UUID(bytes=state.uuid)))
    elif state.state is State.PRESENT:
        changed.present.append(str(UUID(bytes=state.uuid)))
    else:
        changed.entries.append(detail.op)
    return state.cookie


def _add_info(detail: Detail, changed: Changed) -> bytes | None:
    info = read_info(detail.op)
    if info is None:
        return None
    (changed.gone if info.deletes else changed.present).extend(str(UUID(bytes=uuid)) for uuid in info.uuids)
    return info.cookie


def _csns(attributes: dict[str, list[bytes]], name: str = "contextCSN") -> Csns:
    values: Iterable[bytes] = attributes.get(name.lower(), ())
    return csns_of(value.decode("ascii", "replace") for value in values)
