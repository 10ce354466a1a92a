"""Searches a directory for a person: first as the definition does, then further, to find what excludes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from ldap3.utils.conv import escape_filter_chars

from contactsync.errors import BaseNotFound, DirectoryError, QueryError
from contactsync.ldap import dn
from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.protocol.entry import decode_entry
from contactsync.ldap.protocol.requests import ANY_ENTRY, NO_ATTRIBUTES
from contactsync.ldap.provisioning import is_provisioned
from contactsync.ldap.query.query import Scope
from contactsync.ldap.search import SearchRequest, read_entries
from contactsync.sync.definition import Source, open_directory, resolve, source_of

if TYPE_CHECKING:
    from contactsync.ldap.connection.limits import ReadLimits
    from contactsync.ldap.connection.session import Session
    from contactsync.model import Definition, MappedEntry, RejectedEntry
    from contactsync.sync.options import RunOptions

_MOST = 5
_PAGE = 50
_EXACT = ("uid", "sAMAccountName", "userPrincipalName", "mail")
_PARTS = ("cn", "displayName")


class Where(StrEnum):
    """Which search found an entry; each one follows only if the one before found nothing."""

    SOURCE = "source"
    FILTER = "filter"
    PROVISIONING = "provisioning"
    SCOPE = "scope"
    BASE = "base"


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry. `mapped` is the result of the mapping, for an entry that the definition selects."""

    dn: str
    where: Where
    mapped: MappedEntry | RejectedEntry | None = None


@dataclass(frozen=True, slots=True)
class Lookup:
    """The first entries that were found, what the definition searches for, and the server that answered."""

    hits: list[Hit]
    source: Source
    server: str


def look_up(definition: Definition, text: str, password: Callable[[], str | None], options: RunOptions) -> Lookup:
    """Search the definition's directory for a DN, uid, email or part of a name. Raises ContactsyncError."""
    resolved = resolve(definition)
    limits = options.read_limits(Deadline(definition.deadline_seconds or options.deadline))
    with open_directory(resolved, options, password(), limits.deadline) as session:
        source = source_of(session, resolved, options.map_limits)
        search = _Search(session, source, limits)
        name = _dn(text)
        hits = search.find_entry(name) if name else search.find(person_filter(text))
        return Lookup(hits, source, session.server)


def person_filter(text: str) -> str:
    """The filter for a name, uid or email that a user typed, escaped by RFC 4515, section 3."""
    value = escape_filter_chars(text.strip())
    exact = "".join(f"({name}={value})" for name in _EXACT)
    parts = "".join(f"({name}=*{value}*)" for name in _PARTS)
    return f"(|{exact}{parts})"


def _dn(text: str) -> str | None:
    try:
        return dn.canonical_dn(text.strip())
    except QueryError:
        return None


@dataclass(frozen=True, slots=True)
class _Search:
    session: Session
    source: Source
    limits: ReadLimits

    def find(self, person: str) -> list[Hit]:
        source = self.source
        if hits := list(self._selected(f"(&{source.filter}{person})")):
            return hits
        if hits := self._hits(Where.FILTER, source.base, source.scope, person):
            return hits
        if source.scope is not Scope.SUB and (hits := self._hits(Where.SCOPE, source.base, Scope.SUB, person)):
            return hits
        return self._outside_base(person)

    def find_entry(self, name: str) -> list[Hit]:
        """The entry with this DN, read by a search of scope base; gateways do not know (entryDN=...)."""
        try:
            found = self._hits(Where.BASE, name, Scope.BASE, ANY_ENTRY)
        except BaseNotFound:
            return []
        except DirectoryError:  # a DN outside the base may have a referral as its answer
            if dn.is_within(name, self.source.base):
                raise
            return []
        return [self._judged(hit) for hit in found]

    def _judged(self, hit: Hit) -> Hit:
        """The entry with the first reason that excludes it, or with its mapping."""
        source = self.source
        depth = self._depth(hit.dn)
        if depth is None:
            return hit
        if source.scope is not Scope.SUB and depth != (source.scope is Scope.ONE):
            return replace(hit, where=Where.SCOPE)
        for octets in self._entries(hit.dn, Scope.BASE, source.filter, source.attributes):
            return self._mapped(octets)
        return replace(hit, where=Where.FILTER)

    def _depth(self, name: str) -> int | None:
        """How many levels the entry is below the base; None if it is elsewhere."""
        base = self.source.base
        if base.startswith("<"):  # Active Directory's <GUID=...>
            base = self._hits(Where.BASE, base, Scope.BASE, ANY_ENTRY)[0].dn
        rdns = dn.comparison_key(name).split(",")
        if not base:
            return len(rdns)
        return len(rdns) - len(dn.comparison_key(base).split(",")) if dn.is_within(name, base) else None

    def _selected(self, search_filter: str) -> Iterator[Hit]:
        source = self.source
        for octets in self._entries(source.base, source.scope, search_filter, source.attributes):
            yield self._mapped(octets)

    def _mapped(self, octets: bytes) -> Hit:
        source, entry = self.source, decode_entry(octets)
        if source.excluded_base and is_provisioned(octets, source.excluded_base):
            return Hit(entry.dn, Where.PROVISIONING)
        return Hit(entry.dn, Where.SOURCE, source.mapping.map(b"", entry))

    def _outside_base(self, person: str) -> list[Hit]:
        for context in self.session.root_dse.naming_contexts:
            try:
                hits = self._hits(Where.BASE, context, Scope.SUB, person)
            except DirectoryError:  # the user may not read every naming context
                continue
            if hits:
                return hits
        return []

    def _hits(self, where: Where, base: str, scope: Scope, search_filter: str) -> list[Hit]:
        entries = self._entries(base, scope, search_filter, NO_ATTRIBUTES)
        return [Hit(decode_entry(octets).dn, where) for octets in entries]

    def _entries(self, base: str, scope: Scope, search_filter: str, attributes: tuple[str, ...]) -> list[bytes]:
        """The first entries. The session is unusable after a search with more of them, and is not used any more."""
        entries: list[bytes] = []
        request = SearchRequest(base, scope, search_filter, attributes, _PAGE)
        for batch in read_entries(self.session, request, self.limits):
            entries += [bytes(octets) for octets in batch.entries]
            if len(entries) >= _MOST:
                break
        return entries[:_MOST]
