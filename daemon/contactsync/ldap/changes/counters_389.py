"""Whether anything changed, by the operation counters of a 389 Directory Server; it does not report what changed.

Its update sequence numbers (USN plugin) are not reliable (seen with 2.3.1). Each failed add and each denied
modification takes the newest number back, so that later changes get numbers that others had. An import starts again
with the first number, and a restored backup keeps its own. Only the server's administrator can see what was deleted.

So nothing has changed only if all of these are equal:

- the number of write operations, whatever their result;
- the newest number of each database, for writes of the server's plugins;
- the entries with that number or a larger one, because such writes may fail too.

The counters only grow, until the server stops.

A write is counted when it begins. So the counters must have been stable for a while before a full search: only then
have the counted writes ended.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b

from contactsync.ldap import dn
from contactsync.ldap.changes.base import Changed, Changes, Cursor
from contactsync.ldap.connection.session import Session
from contactsync.ldap.lookup import REFUSALS, read_some, read_texts
from contactsync.ldap.protocol.generalized_time import format_generalized_time, parse_generalized_time
from contactsync.ldap.query.query import Scope
from contactsync.ldap.search import SearchRequest

KIND = "counters"
SETTLED = timedelta(seconds=60)
"""The time that a write and the server's plugins may take."""

_WRITES = ("addEntryOps", "modifyEntryOps", "modifyRDNOps", "removeEntryOps")
_SEARCHES = "searchOps"
"""Not 0 unless the server does not count: this connection has searched."""
_OPERATIONS = (*_WRITES, _SEARCHES)
_NEWEST = "lastusn"
_OF_SERVER = ("startTime", "currentTime", "backendMonitorDN")
_OF_ROOT = (_NEWEST, "netscapemdsuffix", "nsBackendSuffix")
_OF_CONTEXT = ("nsUniqueId", "entryusn")
_IDENTITY = ("netscapemdsuffix", "nsUniqueId", "startTime")
"""The server's name and port, the naming context's entry, and when the server was started."""
_MOST_NEWEST = 10
"""Entries with the newest number or a larger one. An import gives one number to all entries."""
_NUMBER = re.compile(r"[1-9]\d{0,8}", re.ASCII)
_CURSOR = re.compile(r"counted=([0-9a-f]{32}),reads=(\d{1,18}),first=(\d{14}),read=(\d{14})", re.ASCII)

_Values = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class _Counted:
    """The server's counters at one moment of its clock. `server` identifies the server since its start.

    `digest` (16 octets) is of the counters but for `searches`, which must grow if the server still counts.
    """

    server: bytes
    digest: bytes
    searches: int
    now: datetime


@dataclass(frozen=True, slots=True)
class _Stored:
    """The parts of a cursor: `first` is when the counters were seen first, `read` when the full search began."""

    digest: bytes
    searches: int
    first: datetime
    read: datetime

    @classmethod
    def parse(cls, cursor: Cursor) -> _Stored | None:
        match = _CURSOR.fullmatch(cursor.value.decode("ascii", "replace")) if cursor.kind == KIND else None
        if match is None:
            return None
        first, read = map(parse_generalized_time, match.group(3, 4))
        return cls(bytes.fromhex(match[1]), int(match[2]), first, read) if first and read else None


class Counters(Changes):
    """See Changes; `since` gives nothing, or raises CursorVoid."""

    reports_entries = False

    def __init__(self, session: Session, request: SearchRequest, identity: Sequence[str]) -> None:
        super().__init__(session, request, identity)
        self._counted: _Counted | None = None

    def _obstacle(self, context: str, *, quick: bool) -> str | None:  # noqa: ARG002 -- all checks are quick
        try:
            reason = self._read_counters(context)
        except REFUSALS as error:
            reason = f"the counters cannot be read ({error.message.rstrip('.')})"
        return reason and (
            "389 Directory Server does not report which entries the filter no longer finds, "
            f"nor here whether any changed: {reason}"
        )

    def current_cursor(self, before: Cursor | None = None) -> Cursor | None:
        """See Changes."""
        counted = self._counted
        if counted is None:
            return None
        first = counted.now
        stored = _Stored.parse(before) if before and before.server == counted.server else None
        if stored and stored.digest == counted.digest and stored.first <= counted.now:
            first = stored.first
        times = f"first={format_generalized_time(first)},read={format_generalized_time(counted.now)}"
        value = f"counted={counted.digest.hex()},reads={counted.searches},{times}"
        return Cursor(KIND, value.encode(), counted.server)

    def since(self, cursor: Cursor) -> Iterator[Changed]:
        """See Changes."""
        if reason := self._doubt(cursor):
            raise self._void(reason)
        self.cursor = cursor
        yield from ()

    def _doubt(self, cursor: Cursor) -> str | None:
        """Why there may be changes since the cursor; None if there are none."""
        counted, stored = self._counted, _Stored.parse(cursor)
        if stored is None:
            return "never gave such a cursor"
        if counted is None or cursor.server != counted.server:
            return "was restarted since the last run, or is another server than that of the cursor"
        reasons = (
            (stored.digest != counted.digest, "counted writes since the last run, and does not report their entries"),
            (counted.searches <= stored.searches, "did not count our own searches since the last run"),
            (not stored.first <= stored.read <= counted.now, "is older than the cursor"),
            (
                stored.read - stored.first < SETTLED,
                "may have been in the middle of a write at the last full search",
            ),
        )
        return next((reason for applies, reason in reasons if applies), None)

    def _read_counters(self, context: str) -> str | None:
        """Read the counters; returns why they are of no use, if so."""
        wire = self._session.wire
        values: _Values = {}
        for name, attributes in (
            ("cn=monitor", _OF_SERVER),
            ("cn=snmp,cn=monitor", _OPERATIONS),
            ("", _OF_ROOT),
            (context, _OF_CONTEXT),
        ):
            values |= read_texts(wire, name, attributes)
        newest = _newest(values)
        if reason := _missing(values, newest, context):
            return reason
        entries = self._entries_from(context, min(map(int, newest.values())))
        if len(entries) > _MOST_NEWEST:
            return "more entries have its newest number than one write gives it"
        identity, operations = ([_first(values, name) for name in names] for names in (_IDENTITY, _WRITES))
        digest = blake2b(repr((operations, sorted(newest.items()), sorted(entries))).encode(), digest_size=16).digest()
        now, searches = parse_generalized_time(_first(values, "currentTime")), _first(values, _SEARCHES)
        if now is None or not searches.isdecimal():
            return "the server's time or number of searches has an unknown form"
        self._counted = _Counted(repr(identity).encode(), digest, int(searches), now)
        return None

    def _entries_from(self, context: str, number: int) -> list[str]:
        """The entries with this number or a larger one, and when they were modified."""
        search_filter, names = f"(entryusn>={number})", (*_OF_CONTEXT, "modifyTimestamp")
        entries = read_some(self._session.wire, context, Scope.SUB, search_filter, names, most=_MOST_NEWEST + 1)
        return [repr((entry.dn, sorted(entry.attributes.items()))) for entry in entries]


def _missing(values: _Values, newest: dict[str, str], context: str) -> str | None:
    """What the server does not show, or why its counters are of no use."""
    counters = ("startTime", *_OPERATIONS)
    conditions = (
        (_all(values, counters), "the server does not show this user its counters (cn=monitor, cn=snmp,cn=monitor)"),
        (_all(values, _OF_ROOT[1:]), "the server does not show this user its name and databases (in the root DSE)"),
        (_first(values, _SEARCHES) != "0", "the server is configured not to count (nsslapd-counters)"),
        (newest, "its plugin USN is not enabled, which counts the server's own writes"),
        (_all(values, _OF_CONTEXT), f"the server does not show this user {' and '.join(_OF_CONTEXT)} of {context}"),
        (_is_local(values, context), "a part of it is another server's database, whose writes are counted there"),
        (
            all(_NUMBER.fullmatch(number) for number in newest.values()),
            "no write was counted since an import, or so many failed that the number is below zero",
        ),
    )
    return next((reason for met, reason in conditions if not met), None)


def _newest(values: _Values) -> dict[str, str]:
    """The newest number of each database, or of all of them (nsslapd-entryusn-global)."""
    return {name: texts[0] for name, texts in values.items() if name.partition(";")[0] == _NEWEST and texts}


def _is_local(values: _Values, context: str) -> bool:
    """Whether no database of the naming context is a link to another server."""
    monitors = tuple(name.lower() for name in values.get("backendmonitordn", ()))
    backends = (backend.lower().partition(":") for backend in values.get("nsbackendsuffix", ()))
    inside = (name for name, _, suffix in backends if dn.is_within(suffix, context))
    return all(any(each.startswith(f"cn=monitor,cn={name},cn=ldbm database,") for each in monitors) for name in inside)


def _all(values: _Values, names: Sequence[str]) -> bool:
    return all(_first(values, name) for name in names)


def _first(values: _Values, name: str) -> str:
    return next(iter(values.get(name.lower(), ())), "")
