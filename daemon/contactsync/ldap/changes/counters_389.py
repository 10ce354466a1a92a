"""Whether anything changed at all, by what a 389 Directory Server counts; what changed it does not tell.

Its update sequence numbers (USN plugin) do not: each add that fails and each modification that is denied takes the
newest one back, so that later changes get numbers which others had before; an import begins again with the first, and
after a restored backup it stays as it was; and what was deleted is shown to nobody but the server's own administrator
(seen with 2.3.1).

So nothing is known to have changed only while all of this is as it was: how many writes clients asked for, whatever
became of them; the newest number of each database, for writes of the server's own plugins; and the entries with that
number or a larger one, since such writes may fail as well. The first only grow, until the server ends.

A write is counted when it begins. So what is counted has to be known for a while before everything is read: only then
the writes have ended that it counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b

from contactsync.ldap import dn
from contactsync.ldap.changes.base import Changed, Cursor, CursorVoid
from contactsync.ldap.connection.session import Session
from contactsync.ldap.lookup import REFUSALS, read_some, read_texts
from contactsync.ldap.protocol.generalized_time import read_moment, write_moment
from contactsync.ldap.query.query import Scope
from contactsync.ldap.search import SearchRequest

KIND = "counters"
SETTLED = timedelta(seconds=60)
"""How long a write, and what it has the server's plugins do, is given to end."""

_WRITES = ("addEntryOps", "modifyEntryOps", "modifyRDNOps", "removeEntryOps")
_READS = "searchOps"
"""Of which there was at least our own, unless the server was told not to count."""
_OPERATIONS = (*_WRITES, _READS)
_NEWEST = "lastusn"
_OF_SERVER = ("startTime", "currentTime", "backendMonitorDN")
_OF_ROOT = (_NEWEST, "netscapemdsuffix", "nsBackendSuffix")
_OF_CONTEXT = ("nsUniqueId", "entryusn")
_IDENTITY = ("netscapemdsuffix", "nsUniqueId", "startTime")
"""Its own name and port, the naming context's head, and when it was started."""
_MOST_NEWEST = 10
"""Entries with the newest number or a larger one; there are more after an import, which gives one to all."""
_A_NUMBER = re.compile(r"[1-9]\d{0,8}", re.ASCII)
_CURSOR = re.compile(r"counted=([0-9a-f]{32}),reads=(\d{1,18}),first=(\d{14}),read=(\d{14})", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Counted:
    """What the server has counted, in 16 octets, at one moment of its own clock; `server` is which, since its start.

    `reads` are the searches, which are not among it: one more each time shows that the server still counts.
    """

    server: bytes
    digest: bytes
    reads: int
    now: datetime


class Counters:
    """See contactsync.ldap.changes.base.Changes; `since` tells of nothing, or raises CursorVoid."""

    kind = KIND
    reports_entries = False
    confirm_seconds: float | None = None
    all_listed = False
    unreported_attributes: frozenset[str] = frozenset()

    def __init__(self, session: Session, request: SearchRequest) -> None:
        self.cursor: Cursor | None = None
        self._session = session
        self._request = request
        self._counted: _Counted | None = None

    def obstacle(self, *, quick: bool = False) -> str | None:  # noqa: ARG002 -- it is quick
        """See Changes."""
        context = self._session.root_dse.naming_context_of(self._request.base)
        if context is None:
            return f"the server names no naming context that holds {self._request.base}"
        try:
            reason = self._look(context)
        except REFUSALS as error:
            reason = f"it cannot be asked ({error.message.rstrip('.')})"
        return reason and (
            "389 Directory Server does not tell which entries the filter no longer finds, "
            f"nor here whether any changed: {reason}"
        )

    def current_cursor(self, before: Cursor | None = None) -> Cursor | None:
        """See Changes."""
        here = self._counted
        if here is None:
            return None
        first = here.now
        parts = _parts_of(before) if before and before.server == here.server else None
        if parts and parts.digest == here.digest and parts.first <= here.now:
            first = parts.first
        times = f"first={write_moment(first)},read={write_moment(here.now)}"
        return Cursor(KIND, f"counted={here.digest.hex()},reads={here.reads},{times}".encode(), here.server)

    def since(self, cursor: Cursor) -> Iterator[Changed]:
        """See Changes."""
        here, parts = self._counted, _parts_of(cursor)
        if parts is None:
            raise self._void("has never given such a cursor")
        if here is None or cursor.server != here.server:
            raise self._void("was started anew since the last run, or is another one than that of the cursor")
        if parts.digest != here.digest:
            raise self._void("counted writes since the last run, and does not tell of what")
        if here.reads <= parts.reads:
            raise self._void("has not even counted our own searches since the last run")
        if not parts.first <= parts.read <= here.now:
            raise self._void("is older than the cursor")
        if parts.read - parts.first < SETTLED:
            raise self._void("may have been in the middle of a write when everything was read the last time")
        self.cursor = cursor
        yield from ()

    def _look(self, context: str) -> str | None:
        """Learn what is counted, or why that says nothing."""
        wire = self._session.wire
        told: dict[str, list[str]] = {}
        for name, attributes in (("cn=monitor", _OF_SERVER), ("cn=snmp,cn=monitor", _OPERATIONS), ("", _OF_ROOT)):
            told |= read_texts(wire, name, attributes)
        told |= read_texts(wire, context, _OF_CONTEXT)
        reason = _why_not(told, context)
        if reason:
            return reason
        newest = _newest(told)
        above = self._entries_from(context, min(map(int, newest.values())))
        if len(above) > _MOST_NEWEST:
            return "more entries have its newest number than one write gives it"
        identity, operations = ([_first(told, name) for name in names] for names in (_IDENTITY, _WRITES))
        counted = blake2b(repr((operations, sorted(newest.items()), sorted(above))).encode(), digest_size=16)
        now, reads = read_moment(_first(told, "currentTime")), _first(told, _READS)
        if now is None or not reads.isdecimal():
            return "the server tells its time or its searches in no form that is known"
        self._counted = _Counted(repr(identity).encode(), counted.digest(), int(reads), now)
        return None

    def _entries_from(self, context: str, number: int) -> list[str]:
        """Who has this number or a larger one, and since when."""
        wanted, names = f"(entryusn>={number})", (*_OF_CONTEXT, "modifyTimestamp")
        found = read_some(self._session.wire, context, Scope.SUB, wanted, names, most=_MOST_NEWEST + 1)
        return [repr((entry.dn, sorted(entry.attributes.items()))) for entry in found]

    def _void(self, what: str) -> CursorVoid:
        return CursorVoid(f"{self._session.server} {what}.", hint="Everything is read instead.")


@dataclass(frozen=True, slots=True)
class _Parts:
    digest: bytes
    reads: int
    first: datetime
    read: datetime


def _parts_of(cursor: Cursor) -> _Parts | None:
    """What a cursor says; None when it is not one that this makes."""
    match = _CURSOR.fullmatch(cursor.value.decode("ascii", "replace")) if cursor.kind == KIND else None
    first, read = (read_moment(match[3]), read_moment(match[4])) if match else (None, None)
    return _Parts(bytes.fromhex(match[1]), int(match[2]), first, read) if match and first and read else None


def _why_not(told: dict[str, list[str]], context: str) -> str | None:
    """What is missing in what the server tells, or makes it say nothing."""
    newest = _newest(told)
    counters = ("startTime", *_OPERATIONS)
    reasons = (
        (_all(told, counters), "the server does not show this user what it counts (cn=monitor, cn=snmp,cn=monitor)"),
        (_all(told, _OF_ROOT[1:]), "the server does not show this user its name and databases (in the root DSE)"),
        (_first(told, _READS) != "0", "the server was told not to count (nsslapd-counters)"),
        (newest, "its plugin USN is not enabled, which counts what the server changes by itself"),
        (_all(told, _OF_CONTEXT), f"the server does not show this user {' and '.join(_OF_CONTEXT)} of {context}"),
        (_is_its_own(told, context), "a part of it is another server's database, whose writes are counted there"),
        (
            all(_A_NUMBER.fullmatch(number) for number in newest.values()),
            "no write was counted since an import, or so many failed that the number fell below zero",
        ),
    )
    return next((reason for fine, reason in reasons if not fine), None)


def _newest(told: dict[str, list[str]]) -> dict[str, str]:
    """The newest number of each database, or of all of them (nsslapd-entryusn-global)."""
    return {name: values[0] for name, values in told.items() if name.partition(";")[0] == _NEWEST and values}


def _is_its_own(told: dict[str, list[str]], context: str) -> bool:
    """Whether all databases of the naming context are the server's own, and none is a link to another server."""
    local = [name.lower() for name in told.get("backendmonitordn", ())]
    for backend in told.get("nsbackendsuffix", ()):
        name, _, suffix = backend.lower().partition(":")
        inside = f",{dn.comparison_key(suffix)}".endswith(f",{dn.comparison_key(context)}")
        if inside and not any(one.startswith(f"cn=monitor,cn={name},cn=ldbm database,") for one in local):
            return False
    return True


def _all(told: dict[str, list[str]], names: Sequence[str]) -> bool:
    return all(_first(told, name) for name in names)


def _first(attributes: dict[str, list[str]], name: str) -> str:
    return next(iter(attributes.get(name.lower(), ())), "")
