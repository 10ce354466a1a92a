"""What Active Directory's schema says about attributes: which the forest knows, and which its global catalogue has.

An attribute that is not known makes a filter Undefined instead of false, and one that is not in the global catalogue is
missing there as if nobody had it. Neither can be told from an answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from contactsync.ldap.connection.transport import Wire
from contactsync.ldap.protocol.entry import Entry, decode_entry
from contactsync.ldap.protocol.messages import SEARCH_DONE
from contactsync.ldap.protocol.requests import PAGED_RESULTS, paging_control, paging_cookie, search_op
from contactsync.ldap.protocol.results import SUCCESS
from contactsync.ldap.query.query import Scope

USER_ACCOUNT_CONTROL = "userAccountControl"
EXCHANGE_HIDDEN = "msExchHideFromAddressLists"
"""TRUE for those who are hidden from the address lists; it is there where Exchange is or was."""

_ALWAYS_THERE = "objectGUID"
"""Says that the schema can be read at all."""
_NAME, _IN_CATALOGUE = "lDAPDisplayName", "isMemberOfPartialAttributeSet"
_ASKED = (_ALWAYS_THERE, USER_ACCOUNT_CONTROL, EXCHANGE_HIDDEN)
_PAGE = 150
_MOST_PAGES = 100
"""An attribute takes an entry; a forest has some thousands, of which the catalogue holds some hundreds."""


@dataclass(frozen=True, slots=True)
class Schema:
    """Names are in lower case. `catalogue` has those that the global catalogue holds; None for a whole directory."""

    known: frozenset[str]
    catalogue: frozenset[str] | None = None

    def can_ask(self, attribute: str) -> bool:
        """Whether a filter may hold one of the few attributes that were looked up."""
        name = attribute.lower()
        return name in self.known and (self.catalogue is None or name in self.catalogue)

    def lacking(self, attributes: Iterable[str]) -> tuple[str, ...]:
        """Those of the attributes that the global catalogue does not hold."""
        if self.catalogue is None:
            return ()
        return tuple(name for name in attributes if name.partition(";")[0].lower() not in self.catalogue)


def read_schema(wire: Wire, naming_context: str, *, global_catalogue: bool) -> Schema | None:
    """Ask for it; None when it is not shown to this user. The whole catalogue is asked for only where it is one."""
    asked = "".join(f"({_NAME}={name})" for name in _ASKED)
    catalogued = f"({_IN_CATALOGUE}=TRUE)" if global_catalogue else ""
    known, catalogue = set(), set()
    for entry in _entries(wire, naming_context, f"(|{asked}{catalogued})"):
        for value in entry.attributes.get(_NAME.lower(), ()):
            name = value.decode("utf-8", "replace").lower()
            known.add(name)
            if entry.attributes.get(_IN_CATALOGUE.lower()) == [b"TRUE"]:
                catalogue.add(name)
    if _ALWAYS_THERE.lower() not in known:
        return None
    return Schema(frozenset(known), frozenset(catalogue) if global_catalogue else None)


def _entries(wire: Wire, base: str, search_filter: str) -> Iterator[Entry]:
    """All of them; none at all when the search does not end well."""
    op = search_op(base, Scope.ONE, search_filter, (_NAME, _IN_CATALOGUE))
    cookie = b""
    found: list[Entry] = []
    for _ in range(_MOST_PAGES):
        message_id, result = wire.send(op, paging_control(_PAGE, cookie)), None
        while result is None:
            batch = wire.read(message_id, SEARCH_DONE)
            found += map(decode_entry, batch.entries)
            result = batch.result
        if result.code != SUCCESS:
            return
        cookie = paging_cookie(result.controls[PAGED_RESULTS]) if PAGED_RESULTS in result.controls else b""
        if not cookie:
            yield from found
            return
