"""Looks for somebody in a directory: where the definition looks, then further out, to tell what keeps them away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ldap3.utils.conv import escape_filter_chars

from contactsync.errors import DirectoryError, QueryError
from contactsync.ldap import dn
from contactsync.ldap.protocol.entry import decode_entry
from contactsync.ldap.protocol.requests import NO_ATTRIBUTES
from contactsync.ldap.query.query import Scope
from contactsync.ldap.search import SearchRequest, read_entries
from contactsync.sync.definition import Resolved, Source, choose_source, open_directory, resolve
from contactsync.sync.options import RunOptions

if TYPE_CHECKING:
    from contactsync.ldap.connection.deadline import Deadline
    from contactsync.ldap.connection.session import Session
    from contactsync.model import Definition, MappedEntry, RejectedEntry
    from contactsync.sync.runner import Runner

_MOST = 5
_PAGE = 50
_EXACT = ("uid", "sAMAccountName", "userPrincipalName", "mail")
_PARTS = ("cn", "displayName")


class Where(StrEnum):
    """How far out an entry was found; each place is looked at only if the one before had nothing."""

    ASKED = "asked"
    FILTER = "filter"
    SCOPE = "scope"
    BASE = "base"


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry; `mapped` is what a run would make of it, for one that the definition asks for."""

    dn: str
    where: Where
    mapped: MappedEntry | RejectedEntry | None = None


@dataclass(frozen=True, slots=True)
class Sought:
    """The entries that were found, at most five, and what the definition asks the directory for."""

    hits: list[Hit]
    source: Source
    server: str


def seek(runner: Runner, definition: Definition, text: str) -> Sought:
    """Ask the definition's directory for somebody by DN, uid, email or a part of the name. Raises ContactsyncError."""
    resolved = resolve(definition)
    with (
        runner.deadline_for(definition) as deadline,
        open_directory(resolved, runner.options, runner.passwords.read(definition), deadline) as session,
    ):
        source = choose_source(resolved, session.root_dse, runner.options.map_limits)
        look = _Look(session, resolved, source, runner.options, deadline)
        return Sought(
            look.find(who(text, active_directory=session.root_dse.is_active_directory)), source, session.server
        )


def who(text: str, *, active_directory: bool) -> str:
    """The filter for what somebody typed, which is escaped (RFC 4515, section 3), whatever it holds."""
    value = escape_filter_chars(text.strip())
    if _is_dn(text):
        # OpenLDAP takes (distinguishedName=...) for every attribute that holds a DN, such as manager.
        return f"({'distinguishedName' if active_directory else 'entryDN'}={value})"
    exact = "".join(f"({name}={value})" for name in _EXACT)
    parts = "".join(f"({name}=*{value}*)" for name in _PARTS)
    return f"(|{exact}{parts})"


def _is_dn(text: str) -> bool:
    try:
        dn.comparison_key(text)
    except QueryError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Look:
    session: Session
    resolved: Resolved
    source: Source
    options: RunOptions
    deadline: Deadline

    def find(self, person: str) -> list[Hit]:
        source = self.source
        asked = f"(&{source.filter}{person})"
        if hits := list(self._asked(asked)):
            return hits
        if hits := self._hits(Where.FILTER, source.base, source.scope, person):
            return hits
        if source.scope is not Scope.SUB and (hits := self._hits(Where.SCOPE, source.base, Scope.SUB, person)):
            return hits
        return self._elsewhere(person)

    def _asked(self, search_filter: str) -> Iterator[Hit]:
        source = self.source
        for octets in self._entries(source.base, source.scope, search_filter, source.attributes):
            entry = decode_entry(octets)
            yield Hit(entry.dn, Where.ASKED, source.mapping.map(b"", entry))

    def _elsewhere(self, person: str) -> list[Hit]:
        for context in self.session.root_dse.naming_contexts:
            try:
                hits = self._hits(Where.BASE, context, Scope.SUB, person)
            except DirectoryError:
                # Not everybody may look everywhere; that is no news about the person.
                continue
            if hits:
                return hits
        return []

    def _hits(self, where: Where, base: str, scope: Scope, search_filter: str) -> list[Hit]:
        found = self._entries(base, scope, search_filter, NO_ATTRIBUTES)
        return [Hit(decode_entry(octets).dn, where) for octets in found]

    def _entries(self, base: str, scope: Scope, search_filter: str, attributes: tuple[str, ...]) -> list[bytes]:
        """The first few; the session is of no use after a search that was broken off, nor is it used any more."""
        found: list[bytes] = []
        for batch in read_entries(
            self.session,
            SearchRequest(base, scope, search_filter, attributes, _PAGE),
            self.options.read_limits(self.deadline),
        ):
            found += [bytes(octets) for octets in batch.entries]
            if len(found) >= _MOST:
                break
        return found[:_MOST]
