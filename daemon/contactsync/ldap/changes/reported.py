"""An object of Active Directory that a change notification reported, and the searches that it cannot concern."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import lru_cache

from contactsync.errors import QueryError
from contactsync.ldap.changes.usn import KEY_ATTRIBUTE, WITHOUT_PEOPLE
from contactsync.ldap.dn import comparison_key
from contactsync.ldap.protocol.entry import Entry
from contactsync.ldap.search import SearchRequest

ATTRIBUTES = (KEY_ATTRIBUTE, "objectClass", "objectCategory", "isDeleted")
"""The attributes to request with a notification."""
_GUID_BYTES = 16


@dataclass(frozen=True, slots=True)
class ReportedObject:
    """`key` is its objectGUID as the contacts have it. `may_contain` people; `is_person` by its objectCategory.

    What the user may not read has the value that concerns more searches.
    """

    place: str | None
    key: str | None
    may_contain: bool
    is_person: bool

    @classmethod
    def of(cls, entry: Entry, context: str) -> ReportedObject:
        """The object of a notification about the naming context `context`."""
        deleted = "isdeleted" in entry.attributes
        place = _place(entry.dn)
        guids = entry.attributes.get(KEY_ATTRIBUTE.lower(), [])
        key = str(uuid.UUID(bytes_le=guids[0])) if len(guids) == 1 and len(guids[0]) == _GUID_BYTES else None
        leaf = deleted or not WITHOUT_PEOPLE.isdisjoint(entry.attributes.get("objectclass", []))
        # The naming context itself cannot be moved.
        may_contain = not leaf and (place is None or place != _place(context))
        categories = entry.attributes.get("objectcategory", [b"" if deleted else b"cn=person,"])
        return cls(place, key, may_contain, any(each.lower().startswith(b"cn=person,") for each in categories))

    def is_outside(self, request: SearchRequest) -> bool:
        """Whether the search does not find it and nothing below it. It may have found it before the change."""
        if self.place is None or self.may_contain:
            return False
        if not self.is_person and request.filter.lower().startswith("(&(objectcategory=person)"):
            return True
        base = _place(request.base)
        return bool(base) and not f",{self.place}".endswith(f",{base}")


@lru_cache(maxsize=1024)
def _place(dn: str) -> str | None:
    """One text for all spellings of a DN; None for a name of another form."""
    try:
        return comparison_key(dn)
    except QueryError:
        return None
