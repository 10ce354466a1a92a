"""Hears from a directory, over one connection, that something changed; what changed is read by a run.

Three protocols say so: the persist stage of content synchronization (RFC 4533, section 3.4), persistent search
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
from contactsync.ldap.changes.base import Cursor
from contactsync.ldap.changes.position import Position, cookie_of
from contactsync.ldap.connection.session import Session
from contactsync.ldap.protocol import ber
from contactsync.ldap.protocol.content_sync import REFRESH_AND_PERSIST, SYNC_REQUEST, read_info, sync_request
from contactsync.ldap.protocol.messages import GREETING_BYTES, INTERMEDIATE, SEARCH_DONE, SEARCH_ENTRY, parts_of
from contactsync.ldap.protocol.requests import ANY_ENTRY, NO_ATTRIBUTES, SHOW_DELETED, controls_of, search_op
from contactsync.ldap.protocol.results import parse_result, search_error
from contactsync.ldap.query.query import Scope
from contactsync.ldap.rootdse import RootDse
from contactsync.ldap.search import SearchRequest

PERSISTENT_SEARCH = "2.16.840.1.113730.3.4.3"
CHANGE_NOTIFICATION = "1.2.840.113556.1.4.528"

_MOST_NOTIFICATIONS = 5
"""For each connection to Active Directory ([MS-ADTS], section 3.1.1.3.4.6, MaxNotificationPerConn)."""
_CONFIRM_SECONDS = 2.0
"""slapd lets a connection have half as many searches as it has threads, and says nothing to those beyond."""

_CONTAINERS = "".join(
    f"(objectClass={name})" for name in ("organizationalUnit", "organization", "dcObject", "locality", "country")
)
"""When one is moved, who is below it moves along, and nothing is said of them."""
_ANY_CHANGE = 1 | 2 | 4 | 8
_ABANDON_REQUEST = 0x50
_MOST_OCTETS = GREETING_BYTES
_CHUNK = 1 << 16
_MOST_READS = 64
"""Before others get their turn, however much a server sends."""
_PATIENCE = 1.0
"""Seconds for the rest of a TLS record."""
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""Seconds, seconds and times (tcp(7)): a server that went away without a word would be listened to for ever."""


@dataclass(frozen=True, slots=True)
class _Listening:
    """One search that goes on, and for whom it does."""

    numbers: set[int]
    request: SearchRequest


def protocol_of(root_dse: RootDse) -> str | None:
    """What the server offers, the best first; None when it offers nothing.

    389 Directory Server may offer both of the first two, but begins the persist stage with everything there is.
    """
    offered = root_dse.supported_controls
    return next((kind for kind in (PERSISTENT_SEARCH, SYNC_REQUEST, CHANGE_NOTIFICATION) if kind in offered), None)


class Messages:
    """Cuts octets into LDAP messages as they come, whoever they are for; knows nothing of sockets."""

    def __init__(self) -> None:
        self._octets = bytearray()

    def add(self, octets: bytes) -> list[tuple[int, bytes]]:
        """The id and the protocolOp of each message that is whole now; raises ProtocolViolation."""
        self._octets += octets
        found, position = [], 0
        while (stop := _end_of(self._octets, position)) <= len(self._octets):
            message = bytes(self._octets[position:stop])
            ident, op = parts_of(message)[:2]
            found.append((ber.number_in(message, ident), message[ident.stop : op.stop]))
            position = stop
        if stop - position > _MOST_OCTETS:
            raise ber.not_ldap(f"a message that needs few octets announces {stop - position}")
        del self._octets[:position]
        return found


class Stream:
    """Listens for changes to what searches find, over a connection that nothing else is read from any more.

    Each search is known by a number of the caller's.

    One thread uses it. Everything raises DirectoryError when the connection is of no more use.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._socket = session.connection.socket
        self._messages = Messages()
        self._listening: dict[int, _Listening] = {}
        self._confirmed: set[int] = set()
        self._heard: set[int] = set()
        self._ended: dict[int, DirectoryError] = {}
        session.wire.only_send()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            self._socket.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def listen(self, number: int, request: SearchRequest, cursor: Cursor | None) -> bool:
        """Begin to listen; what changed since `cursor`, if the protocol has one, is heard as well.

        False when the server takes no more on this connection.
        """
        protocol = protocol_of(self._session.root_dse)
        if self._join(number, request, protocol):
            return True
        if protocol == CHANGE_NOTIFICATION and len(self._listening) >= _MOST_NOTIFICATIONS:
            return False
        self._send(number, request, cursor, protocol)
        if protocol == SYNC_REQUEST and not self._is_confirmed(number):
            self.forget(number)
            return False
        return True

    def _send(self, number: int, request: SearchRequest, cursor: Cursor | None, protocol: str | None) -> None:
        # But for content synchronization they take no filter, or do not tell that an entry is no longer found.
        base, scope, search_filter = self._watched(request), Scope.SUB, ANY_ENTRY
        if protocol == SYNC_REQUEST:
            base, scope, search_filter = request.base, request.scope, f"(|{request.filter}{_CONTAINERS})"
            position = Position.parse(cursor.value) if cursor else None
            value = sync_request(REFRESH_AND_PERSIST, cookie_of(position.newest) if position else None)
            controls = controls_of((SYNC_REQUEST, value))
        elif protocol == PERSISTENT_SEARCH:
            only_changes, controls_too = ber.encode(ber.BOOLEAN, ber.TRUE), ber.encode(ber.BOOLEAN, b"\0")
            value = ber.encode(ber.SEQUENCE, ber.encode_integer(_ANY_CHANGE), only_changes, controls_too)
            controls = controls_of((PERSISTENT_SEARCH, value))
        else:
            controls = controls_of(*((kind, None) for kind in (CHANGE_NOTIFICATION, SHOW_DELETED)))
        op = search_op(base, scope, search_filter, NO_ATTRIBUTES)
        self._listening[self._session.wire.send(op, controls)] = _Listening({number}, request)

    def _join(self, number: int, request: SearchRequest, protocol: str | None) -> bool:
        """Let one search do for all that ask for the same, or watch the same naming context."""
        for listening in self._listening.values():
            if self._told(listening.request, protocol) == self._told(request, protocol):
                listening.numbers.add(number)
                return True
        return False

    def _told(self, request: SearchRequest, protocol: str | None) -> tuple[str, ...]:
        """Whatever has this in common is told the same."""
        if protocol == SYNC_REQUEST:
            return request.base, request.scope, request.filter
        return (self._watched(request),)

    def _watched(self, request: SearchRequest) -> str:
        """Where changes are to be told: who leaves the base for elsewhere changes elsewhere.

        Active Directory takes the root of a naming context everywhere; below it, it has not always taken a subtree.
        """
        return self._session.root_dse.naming_context_of(request.base) or request.base

    def forget(self, number: int) -> None:
        """Listen no more to what has this number."""
        self._confirmed.discard(number)
        for message_id, listening in list(self._listening.items()):
            listening.numbers.discard(number)
            if not listening.numbers:
                del self._listening[message_id]
                self._session.wire.send(ber.encode_integer(message_id, _ABANDON_REQUEST))

    def fileno(self) -> int:
        """Of the connection's socket, for select."""
        return int(self._socket.fileno())

    @property
    def searches(self) -> int:
        """How many go on."""
        return len(self._listening)

    def shares(self, request: SearchRequest) -> bool:
        """Whether a search that goes on does for this one as well."""
        protocol = protocol_of(self._session.root_dse)
        wanted = self._told(request, protocol)
        return any(self._told(one.request, protocol) == wanted for one in self._listening.values())

    def take_ended(self) -> dict[int, DirectoryError]:
        """Those that are not listened for any more, since the server ended their search, and why."""
        ended, self._ended = self._ended, {}
        return ended

    def hear(self) -> set[int]:
        """The numbers of those for which something was heard since the last time; waits for nothing."""
        for _ in range(_MOST_READS):
            if not self._receive():
                break
        heard, self._heard = self._heard, set()
        return heard

    def _is_confirmed(self, number: int) -> bool:
        deadline = time.monotonic() + _CONFIRM_SECONDS
        while number not in self._confirmed | self._heard:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._receive(left)
            if number in self._ended:
                raise self._ended.pop(number)
        return True

    def _sort_out(self, octets: bytes) -> None:
        for message_id, op in self._messages.add(octets):
            if message_id == 0:
                raise ServerUnavailable(f"{self._session.server} gave notice that it ends the connection.")
            if message_id not in self._listening:
                continue
            listening = self._listening[message_id]
            if op[0] == SEARCH_DONE:
                self._end(message_id, op)
                continue
            info = read_info(op) if op[0] == INTERMEDIATE else None
            if info and info.ends_refresh:
                self._confirmed |= listening.numbers
            if op[0] == SEARCH_ENTRY or (info and info.uuids):
                self._heard |= listening.numbers

    def _receive(self, seconds: float = 0.0) -> bool:
        """Sort out what is there, or comes in this time; false when nothing is."""
        pending = isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()
        if not pending and not wait_for([self], seconds):
            return False
        self._socket.settimeout(_PATIENCE)
        try:
            octets = bytes(self._socket.recv(_CHUNK))
        except TimeoutError:  # a part of a TLS record
            return False
        except OSError as error:
            raise ServerUnavailable(f"The connection to {self._session.server} broke: {error}.") from None
        if not octets:
            raise ServerUnavailable(f"{self._session.server} closed the connection.")
        self._sort_out(octets)
        return True

    def _end(self, message_id: int, op: bytes) -> None:
        """Note that a search is over; raises DirectoryError when that is no matter of this search alone."""
        listening = self._listening.pop(message_id)
        request = listening.request
        error = search_error(
            parse_result(op), server=self._session.server, base=request.base, search_filter=request.filter, entries=0
        )
        if error.retryable:
            raise error
        self._ended |= dict.fromkeys(listening.numbers, error)


def _end_of(octets: bytearray, position: int) -> int:
    """Where the message at `position` ends, or any place behind the octets that are here while that cannot be told."""
    start = position + 2
    if start > len(octets):
        return len(octets) + 1
    length = octets[position + 1]
    if length >= ber.LONG_FORM:
        start += length - ber.LONG_FORM
        if start > len(octets):
            return len(octets) + 1
        length = int.from_bytes(octets[position + 2 : start], "big")
    return start + length


class _Readable(Protocol):
    """What select.poll takes."""

    def fileno(self) -> int: ...


def wait_for(sources: Sequence[_Readable], seconds: float | None) -> bool:
    """Whether anything comes from one of them, or ends it, within this time; None waits for ever."""
    poll = select.poll()
    for source in sources:
        poll.register(source.fileno(), select.POLLIN)
    return bool(poll.poll(None if seconds is None else math.ceil(seconds * 1000)))
