"""Notifications that something changed, over one connection; a run then reads what changed.

Three protocols send them: the persist stage of content synchronization (RFC 4533, section 3.4), persistent search
(draft-ietf-ldapext-psearch-03), and Active Directory's change notification ([MS-ADTS], section 3.1.1.3.4.1.9).
"""

from __future__ import annotations

import math
import select
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from contactsync.errors import DirectoryError, ServerUnavailable
from contactsync.ldap.changes import reported
from contactsync.ldap.changes.base import Cursor
from contactsync.ldap.changes.position import Position, cookie_of
from contactsync.ldap.connection.session import Session
from contactsync.ldap.protocol import ber
from contactsync.ldap.protocol.content_sync import REFRESH_AND_PERSIST, SYNC_REQUEST, read_info, sync_request
from contactsync.ldap.protocol.entry import decode_entry
from contactsync.ldap.protocol.messages import (
    GREETING_BYTES,
    INTERMEDIATE,
    SEARCH_DONE,
    SEARCH_ENTRY,
    MessageSplitter,
)
from contactsync.ldap.protocol.requests import ANY_ENTRY, NO_ATTRIBUTES, SHOW_DELETED, controls_of, search_op
from contactsync.ldap.protocol.results import parse_result
from contactsync.ldap.query.query import Scope
from contactsync.ldap.rootdse import RootDse
from contactsync.ldap.search import SearchRequest, failed_search

PERSISTENT_SEARCH = "2.16.840.1.113730.3.4.3"
CHANGE_NOTIFICATION = "1.2.840.113556.1.4.528"

_MOST_NOTIFICATIONS = 5
"""Searches of one connection to Active Directory ([MS-ADTS], section 3.1.1.3.4.6, MaxNotificationPerConn)."""
_CONFIRM_SECONDS = 2.0
"""slapd allows a connection half as many searches as it has threads, and does not answer the others."""

_CONTAINERS = "".join(
    f"(objectClass={name})" for name in ("organizationalUnit", "organization", "dcObject", "locality", "country")
)
"""Classes of entries whose move also moves the entries below them, which is not reported."""
_ANY_CHANGE = 1 | 2 | 4 | 8
_ABANDON_REQUEST = 0x50
_CHUNK = 1 << 16
_MOST_READS = 64
"""Reads of one poll, so that one busy server does not block the others."""
_RECORD_SECONDS = 1.0
"""Seconds for the rest of a TLS record."""
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""Seconds, seconds and probes (tcp(7)), to notice a server that is gone."""


@dataclass(frozen=True, slots=True)
class _Search:
    """A search in progress, and the requests of the definitions that it serves.

    A definition in `filtered` is not notified of objects that its request cannot have found.
    """

    requests: dict[int, SearchRequest]
    filtered: set[int]

    @property
    def definition_ids(self) -> set[int]:
        return set(self.requests)

    @property
    def request(self) -> SearchRequest:
        return next(iter(self.requests.values()))


def protocol_of(root_dse: RootDse) -> str | None:
    """The protocol for notifications of this server, by the OID of its control; None if it offers none."""
    # 389 Directory Server may offer the first two, but its persist stage begins with all entries.
    offered = root_dse.supported_controls
    return next((oid for oid in (PERSISTENT_SEARCH, SYNC_REQUEST, CHANGE_NOTIFICATION) if oid in offered), None)


class Stream:
    """Receives notifications for the searches of definitions. The connection is used for nothing else.

    Not thread-safe. Every method raises DirectoryError when the connection is lost.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._protocol = protocol_of(session.root_dse)
        self._socket = session.wire.socket
        self._messages = MessageSplitter(GREETING_BYTES)
        self._searches: dict[int, _Search] = {}
        self._confirmed: set[int] = set()
        self._notified: set[int] = set()
        self._outside: dict[int, set[str]] = {}
        self._ended: dict[int, DirectoryError] = {}
        session.wire.only_send()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            self._socket.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def listen(self, definition_id: int, request: SearchRequest, cursor: Cursor | None) -> bool:
        """Start to listen for a definition. Changes since `cursor` are reported too, if the protocol has cursors.

        Without a cursor every change notifies the definition. False if the server does not accept another search on
        this connection.
        """
        if shared := self._shared(request):
            shared.requests[definition_id] = request
            if cursor is not None:
                shared.filtered.add(definition_id)
            return True
        if self._protocol == CHANGE_NOTIFICATION and len(self._searches) >= _MOST_NOTIFICATIONS:
            return False
        self._send(definition_id, request, cursor)
        if self._protocol == SYNC_REQUEST and not self._is_confirmed(definition_id):
            self.forget(definition_id)
            return False
        return True

    def forget(self, definition_id: int) -> None:
        """Stop to listen for a definition."""
        self._confirmed.discard(definition_id)
        for message_id, search in list(self._searches.items()):
            search.filtered.discard(definition_id)
            if search.requests.pop(definition_id, None) is not None and not search.requests:
                del self._searches[message_id]
                self._session.wire.send(ber.encode_integer(message_id, _ABANDON_REQUEST))

    def fileno(self) -> int:
        """The socket's file descriptor."""
        return int(self._socket.fileno())

    @property
    def searches(self) -> int:
        """The number of searches in progress."""
        return len(self._searches)

    def shares(self, request: SearchRequest) -> bool:
        """Whether a search in progress also serves this request."""
        return self._shared(request) is not None

    def take_ended(self) -> dict[int, DirectoryError]:
        """The definitions whose search the server has ended since the last call, and why."""
        ended, self._ended = self._ended, {}
        return ended

    def take_outside(self) -> dict[int, set[str]]:
        """The keys of changed objects that a definition's search does not find, but may have found before.

        Those since the last call, for definitions that `poll` has not returned.
        """
        outside, self._outside = self._outside, {}
        return outside

    def poll(self) -> set[int]:
        """The definitions that were notified since the last call. Does not wait."""
        for _ in range(_MOST_READS):
            if not self._receive():
                break
        notified, self._notified = self._notified, set()
        return notified

    def _send(self, definition_id: int, request: SearchRequest, cursor: Cursor | None) -> None:
        # The other two protocols have no filter, or do not report an entry that the filter no longer finds.
        base, scope, search_filter = self._watched(request), Scope.SUB, ANY_ENTRY
        attributes: Sequence[str] = NO_ATTRIBUTES
        if self._protocol == SYNC_REQUEST:
            base, scope, search_filter = request.base, request.scope, f"(|{request.filter}{_CONTAINERS})"
            position = Position.parse(cursor.value) if cursor else None
            value = sync_request(REFRESH_AND_PERSIST, cookie_of(position.newest) if position else None)
            controls = controls_of((SYNC_REQUEST, value))
        elif self._protocol == PERSISTENT_SEARCH:
            changes_only, return_controls = ber.encode(ber.BOOLEAN, ber.TRUE), ber.encode(ber.BOOLEAN, b"\0")
            value = ber.encode(ber.SEQUENCE, ber.encode_integer(_ANY_CHANGE), changes_only, return_controls)
            controls = controls_of((PERSISTENT_SEARCH, value))
        else:
            controls = controls_of((CHANGE_NOTIFICATION, None), (SHOW_DELETED, None))
            attributes = reported.ATTRIBUTES
        op = search_op(base, scope, search_filter, attributes)
        filtered = set() if cursor is None else {definition_id}
        self._searches[self._session.wire.send(op, controls)] = _Search({definition_id: request}, filtered)

    def _shared(self, request: SearchRequest) -> _Search | None:
        """The search in progress with the same notifications."""
        key = self._key(request)
        return next((search for search in self._searches.values() if self._key(search.request) == key), None)

    def _key(self, request: SearchRequest) -> tuple[str, ...]:
        """Requests with the same key get the same notifications."""
        if self._protocol == SYNC_REQUEST:
            return request.base, request.scope, request.filter
        return (self._watched(request),)

    def _watched(self, request: SearchRequest) -> str:
        """The base of the search: an entry that leaves the base of the request is reported at its new place.

        Active Directory accepts the root of a naming context always, but some versions accept no subtree below it.
        """
        return self._session.root_dse.naming_context_of(request.base) or request.base

    def _is_confirmed(self, definition_id: int) -> bool:
        deadline = time.monotonic() + _CONFIRM_SECONDS
        while definition_id not in self._confirmed | self._notified:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._receive(left)
            if definition_id in self._ended:
                raise self._ended.pop(definition_id)
        return True

    def _receive(self, seconds: float = 0.0) -> bool:
        """Handle what arrives within `seconds`; false if nothing does."""
        pending = isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()
        if not pending and not wait_for([self], seconds):
            return False
        self._socket.settimeout(_RECORD_SECONDS)
        try:
            octets = bytes(self._socket.recv(_CHUNK))
        except TimeoutError:  # a part of a TLS record
            return False
        except OSError as error:
            raise ServerUnavailable(f"The connection to {self._session.server} broke: {error}.") from None
        if not octets:
            raise ServerUnavailable(f"{self._session.server} closed the connection.")
        for message_id, op in self._messages.add(octets):
            self._handle(message_id, op)
        return True

    def _handle(self, message_id: int, op: bytes) -> None:
        if message_id == 0:
            raise ServerUnavailable(f"{self._session.server} announced that it closes the connection.")
        search = self._searches.get(message_id)
        if search is None:
            return
        if op[0] == SEARCH_DONE:
            self._end(message_id, op)
            return
        info = read_info(op) if op[0] == INTERMEDIATE else None
        if info and info.ends_refresh:
            self._confirmed |= search.definition_ids
        if op[0] == SEARCH_ENTRY and self._protocol == CHANGE_NOTIFICATION:
            self._handle_object(search, op)
        elif op[0] == SEARCH_ENTRY or (info and info.uuids):
            self._notified |= search.definition_ids

    def _handle_object(self, search: _Search, op: bytes) -> None:
        changed = reported.ReportedObject.of(decode_entry(op), self._watched(search.request))
        for definition_id, request in search.requests.items():
            if changed.key is None or definition_id not in search.filtered or not changed.is_outside(request):
                self._notified.add(definition_id)
            else:
                self._outside.setdefault(definition_id, set()).add(changed.key)

    def _end(self, message_id: int, op: bytes) -> None:
        """Record that a search has ended. The others go on until the connection ends."""
        search = self._searches.pop(message_id)
        error = failed_search(self._session, search.request, parse_result(op), 0)
        self._ended |= dict.fromkeys(search.definition_ids, error)


class _Readable(Protocol):
    """What select.poll accepts."""

    def fileno(self) -> int: ...


def wait_for(sources: Sequence[_Readable], seconds: float | None) -> bool:
    """Whether one of the sources becomes readable or closed within this time; None waits without a limit."""
    poll = select.poll()
    for source in sources:
        poll.register(source.fileno(), select.POLLIN)
    return bool(poll.poll(None if seconds is None else math.ceil(seconds * 1000)))
