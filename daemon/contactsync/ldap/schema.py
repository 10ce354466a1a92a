"""A part of Active Directory's schema: which attributes exist, and which of them the global catalogue has.

An unknown attribute makes a filter Undefined instead of false. An attribute that is not in the global catalogue is
missing there, as if no entry had it. The answer to a search shows neither.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from contactsync.ldap.connection.transport import Wire
from contactsync.ldap.lookup import search_all
from contactsync.ldap.protocol.entry import Entry, decode_entry
from contactsync.ldap.protocol.requests import PAGED_RESULTS, paging_control, paging_cookie, search_op
from contactsync.ldap.protocol.results import SUCCESS
from contactsync.ldap.query.query import Scope

USER_ACCOUNT_CONTROL = "userAccountControl"
EXCHANGE_HIDDEN = "msExchHideFromAddressLists"
"""TRUE for people who are hidden from the address lists. Exchange adds it to the schema."""
CRITICAL, VIEW_HIDDEN, SERVICE = "isCriticalSystemObject", "showInAdvancedViewOnly", "servicePrincipalName"
"""TRUE for what the domain cannot do without; TRUE for what ordinary views hide; the services of an account."""

_PRESENT_IN_ALL = "objectGUID"
"""Shows that the schema is readable."""
_NAME, _IN_CATALOGUE = "lDAPDisplayName", "isMemberOfPartialAttributeSet"
_LOOKED_UP = (_PRESENT_IN_ALL, "cn", USER_ACCOUNT_CONTROL, EXCHANGE_HIDDEN, CRITICAL, VIEW_HIDDEN, SERVICE)
_PAGE = 150
_MOST_PAGES = 100
"""A forest has some thousand attributes, an entry each, and its catalogue has some hundred of them."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The attributes in lower case. `catalogue` has those of the global catalogue; None for a domain controller."""

    attributes: frozenset[str]
    catalogue: frozenset[str] | None = None

    def can_ask(self, attribute: str) -> bool:
        """Whether a filter may use an attribute, one of those that were looked up."""
        name = attribute.lower()
        return name in self.attributes and (self.catalogue is None or name in self.catalogue)

    def lacking(self, attributes: Iterable[str]) -> tuple[str, ...]:
        """The attributes that the global catalogue does not have."""
        if self.catalogue is None:
            return ()
        return tuple(name for name in attributes if name.partition(";")[0].lower() not in self.catalogue)


def read_schema(wire: Wire, naming_context: str, *, global_catalogue: bool) -> Schema | None:
    """Read the schema; None if it is hidden from this user. The catalogue's attributes are read only there."""
    names = "".join(f"({_NAME}={name})" for name in _LOOKED_UP)
    catalogued = f"({_IN_CATALOGUE}=TRUE)" if global_catalogue else ""
    attributes, catalogue = set(), set()
    for entry in _entries(wire, naming_context, f"(|{names}{catalogued})"):
        for value in entry.attributes.get(_NAME.lower(), ()):
            name = value.decode("utf-8", "replace").lower()
            attributes.add(name)
            if entry.attributes.get(_IN_CATALOGUE.lower()) == [b"TRUE"]:
                catalogue.add(name)
    if _PRESENT_IN_ALL.lower() not in attributes:
        return None
    return Schema(frozenset(attributes), frozenset(catalogue) if global_catalogue else None)


def _entries(wire: Wire, base: str, search_filter: str) -> list[Entry]:
    """All entries of a search; none if it fails."""
    op = search_op(base, Scope.ONE, search_filter, (_NAME, _IN_CATALOGUE))
    cookie = b""
    found: list[Entry] = []
    for _ in range(_MOST_PAGES):
        entries, result = search_all(wire, op, paging_control(_PAGE, cookie))
        found += map(decode_entry, entries)
        if result.code != SUCCESS:
            break
        cookie = paging_cookie(result.controls[PAGED_RESULTS]) if PAGED_RESULTS in result.controls else b""
        if not cookie:
            return found
    return []
