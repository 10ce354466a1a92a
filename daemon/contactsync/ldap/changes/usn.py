"""Changes from an Active Directory domain controller, by its update sequence numbers.

Each controller counts its changes, and records at each object the number of the last one (uSNChanged; [MS-ADTS],
section 3.1.1.1.9). Changed objects are searched for in the whole naming context, without the definition's filter and
with deleted objects, because neither base nor filter finds an object that left them. They are then read by their
objectGUID with the definition's own search; those that it does not find are gone.

A cursor is a number of one controller, which its invocationId identifies: a restored controller has another. It is void
if it has another form, or if it is larger than the controller's number or from the controller's future. It is also void
if it is so old that the controller may have removed deleted objects since.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from contactsync.errors import CursorVoid
from contactsync.ldap.changes.base import Changed, Changes, Cursor
from contactsync.ldap.connection.session import Session
from contactsync.ldap.lookup import read_some, read_texts, read_values
from contactsync.ldap.protocol.entry import Entry, decode_entry
from contactsync.ldap.protocol.generalized_time import format_generalized_time, parse_generalized_time
from contactsync.ldap.protocol.requests import ANY_ENTRY, SHOW_DELETED
from contactsync.ldap.query.filter import attributes_of, check_filter
from contactsync.ldap.query.query import Scope
from contactsync.ldap.rootdse import is_catalogue
from contactsync.ldap.search import SearchRequest, read_entries

KIND = "usn-changed"
KEY_ATTRIBUTE = "objectGUID"

_CURSOR = re.compile(r"usn=([1-9]\d{0,18}),at=(\d{14})(?:,who=([0-9a-f]{32}))?", re.ASCII)
PAGE_SIZE = 1000
"""The default of MaxPageSize ([MS-ADTS], section 3.1.1.3.4.6)."""
_GUIDS_OF_A_FILTER = 100
"""Objects in one filter, which makes it a few thousand octets long."""
MOST_CHANGED = 5000
"""For more changed objects than this, a full search is faster."""
_SAMPLE = 5
_SHORTEST_LIFETIME = 60
"""Days for which deleted objects are kept by default ([MS-ADTS], section 6.1.1.2.4.1.1)."""
WITHOUT_PEOPLE = {b"person", b"group", b"dnsNode"}
"""Classes of objects that cannot have people below them, by the schema."""
_CONSTRUCTED = 4
"""A bit of systemFlags ([MS-ADTS], section 2.2.10)."""


@dataclass(frozen=True, slots=True)
class _Controller:
    """One domain controller at one moment of its clock; it keeps deleted objects for `lifetime`."""

    invocation: bytes
    usn: int
    now: datetime
    lifetime: timedelta
    context: str


class UsnChanges(Changes):
    """See Changes."""

    def __init__(self, session: Session, request: SearchRequest, identity: Sequence[str]) -> None:
        super().__init__(session, request, identity)
        self._controller: _Controller | None = None
        self._witness = b""

    def _obstacle(self, context: str, *, quick: bool) -> str | None:
        if SHOW_DELETED not in self._session.root_dse.supported_controls:
            return "the server does not show deleted objects"
        if is_catalogue(self._session.server):
            return "a global catalogue does not have all changes of an entry; use a domain controller's own port"
        if [name.lower() for name in self._identity] != [KEY_ATTRIBUTE.lower()]:
            return f"the key is not {KEY_ATTRIBUTE}, which identifies deleted objects"
        self._controller = self._read_controller(context)
        if self._controller is None:
            return "the server does not show this user its invocationId and update sequence number"
        return self._hides_deleted(context) or (None if quick else self._hides_numbers() or self._unnumbered())

    def current_cursor(self, before: Cursor | None = None) -> Cursor | None:  # noqa: ARG002 -- not needed for a number
        """See Changes."""
        here = self._controller
        if here is None:
            return None
        who = f",who={self._witness.hex()}" if self._witness else ""
        value = f"usn={here.usn},at={format_generalized_time(here.now)}{who}"
        return Cursor(KIND, value.encode(), here.invocation)

    def since(self, cursor: Cursor) -> Iterator[Changed]:
        """See Changes."""
        here = self._controller
        if here is None:
            raise self._void("has not shown its update sequence number")
        usn, self._witness = self._checked(cursor, here)
        if usn < here.usn:
            if not self._shows_number(self._witness) and (reason := self._hides_numbers()):
                raise CursorVoid(f"Changes cannot be read: {reason}.")
            guids = list(self._changed(usn, here.context))
            for start in range(0, len(guids), _GUIDS_OF_A_FILTER):
                yield self._read(guids[start : start + _GUIDS_OF_A_FILTER])
        self.cursor = self.current_cursor()

    def _read_controller(self, context: str) -> _Controller | None:
        """The state for a cursor; it must be read before any search, so that no change is lost in between."""
        wire = self._session.wire
        names = ("dsServiceName", "highestCommittedUSN", "currentTime", "configurationNamingContext")
        values = {name: texts[0] for name, texts in read_texts(wire, "", names).items() if texts}
        usn, service = values.get("highestcommittedusn", ""), values.get("dsservicename")
        now = parse_generalized_time(values.get("currenttime", ""))
        invocation = read_values(wire, service, ("invocationId",)).get("invocationid") if service else None
        if not (usn.isdecimal() and now and invocation):
            return None
        lifetime = self._lifetime(values.get("configurationnamingcontext"))
        return _Controller(invocation[0], int(usn), now, lifetime, context)

    def _lifetime(self, configuration: str | None) -> timedelta:
        if configuration is None:
            return timedelta(days=_SHORTEST_LIFETIME)
        service = f"CN=Directory Service,CN=Windows NT,CN=Services,{configuration}"
        days = read_texts(self._session.wire, service, ("tombstoneLifetime",)).get("tombstonelifetime", [])
        return timedelta(days=min([int(day) for day in days if day.isdecimal()] or [_SHORTEST_LIFETIME]))

    def _hides_deleted(self, context: str) -> str | None:
        container = f"CN=Deleted Objects,{context}"
        # uSNChanged in the filter, so that a user who may see the objects but not their numbers finds none.
        deleted = read_some(
            self._session.wire,
            container,
            Scope.ONE,
            "(&(isDeleted=TRUE)(uSNChanged>=1))",
            ("isDeleted",),
            most=1,
            deleted=True,
        )
        return None if deleted else f"the server shows this user no deleted objects (in {container})"

    def _hides_numbers(self) -> str | None:
        """Read uSNChanged of some people, without which no change would ever be found.

        One of them becomes the witness, which spares this search in the next run: Samba reads all people for it.
        """
        attributes = (KEY_ATTRIBUTE, "uSNChanged")
        base = self._request.base
        people = read_some(self._session.wire, base, Scope.SUB, "(objectCategory=person)", attributes, most=_SAMPLE)
        if any("usnchanged" not in person.attributes for person in people):
            return "the server does not show this user uSNChanged of people"
        self._witness = next((person.attributes.get(KEY_ATTRIBUTE.lower(), [b""])[0] for person in people), b"")
        return None

    def _shows_number(self, guid: bytes) -> bool:
        """Whether the entry exists below the base and its uSNChanged is readable."""
        if not guid:
            return False
        entries = read_some(
            self._session.wire, self._request.base, Scope.SUB, _by_guid([guid]), ("uSNChanged",), most=1
        )
        return any("usnchanged" in entry.attributes for entry in entries)

    def _unnumbered(self) -> str | None:
        """Name a requested attribute that changes without a new uSNChanged of its entry.

        Those are back links, whose linkID is odd ([MS-ADTS], section 3.1.1.1.6), and constructed attributes. A forward
        link is written at the entry, but its value changes unreported when the other end is renamed or deleted.
        """
        root_dse = self._session.root_dse
        schema = root_dse.schema_naming_context
        if schema is None or root_dse.schema is None:
            return "the server does not show this user its schema"
        used = {name.partition(";")[0] for name in {*self._request.attributes, *attributes_of(self._request.filter)}}
        # A name or an OID: the schema has each in an attribute of its own.
        names = "".join(
            f"({'attributeID' if name[0].isdigit() else 'lDAPDisplayName'}={name})" for name in sorted(used)
        )
        attributes = ("lDAPDisplayName", "linkID", "systemFlags")
        links = set()
        for entry in read_some(self._session.wire, schema, Scope.ONE, f"(|{names})", attributes, most=PAGE_SIZE):
            name, link, flags = (_first(entry, attribute) for attribute in attributes)
            if int(link or 0) % 2 or int(flags or 0) & _CONSTRUCTED:
                return f"{name} changes with other entries, without a new uSNChanged of its own entry"
            if link:
                links.add(name.lower())
        self.unreported_attributes = frozenset(links)
        return None

    def _checked(self, cursor: Cursor, here: _Controller) -> tuple[int, bytes]:
        """The number and the witness of a cursor; raises CursorVoid."""
        if cursor.kind != KIND or cursor.server != here.invocation:
            raise self._void("is another domain controller than that of the cursor, or was restored")
        match = _CURSOR.fullmatch(cursor.value.decode("ascii", "replace"))
        then = parse_generalized_time(match[2]) if match else None
        if match is None or then is None:
            raise self._void("never gave such a cursor")
        if int(match[1]) > here.usn or then > here.now:
            raise self._void("is older than the cursor: it may have been restored from a backup")
        if here.now - then >= here.lifetime / 2:
            raise self._void("may have removed deleted objects since the last run")
        return int(match[1]), bytes.fromhex(match[3] or "")

    def _changed(self, usn: int, context: str) -> dict[bytes, None]:
        """The objectGUID of each object that changed, and of each below one that may have been renamed or moved."""
        guids: dict[bytes, None] = {}
        parents: list[Entry] = []
        for entry in self._search(context, f"(uSNChanged>={usn + 1})", guids, deleted=True):
            classes = entry.attributes.get("objectclass", [])
            if "isdeleted" not in entry.attributes and entry.dn != context and WITHOUT_PEOPLE.isdisjoint(classes):
                parents.append(entry)
        for entry in parents:
            for _ in self._search(entry.dn, ANY_ENTRY, guids):
                pass
        return guids

    def _search(
        self, base: str, search_filter: str, guids: dict[bytes, None], *, deleted: bool = False
    ) -> Iterator[Entry]:
        """The entries of a search; their objectGUIDs are added to `guids`."""
        attributes = (KEY_ATTRIBUTE, "objectClass", "isDeleted")
        request = SearchRequest(base, Scope.SUB, search_filter, attributes, PAGE_SIZE, deleted=deleted)
        for batch in read_entries(self._session, request):
            if len(guids) > MOST_CHANGED:
                continue  # the next page was requested already
            for entry in map(decode_entry, batch.entries):
                guids.update(dict.fromkeys(entry.attributes.get(KEY_ATTRIBUTE.lower(), ())))
                yield entry
        if len(guids) > MOST_CHANGED:
            raise self._void(f"has more than {MOST_CHANGED:,} changed objects, so that a full search is faster")

    def _read(self, guids: list[bytes]) -> Changed:
        """Read the objects with the definition's search; those that it does not find are gone."""
        search_filter = f"(&{check_filter(self._request.filter)}{_by_guid(guids)})"
        changed = Changed()
        present: set[bytes] = set()
        for batch in read_entries(self._session, replace(self._request, filter=search_filter, page_size=PAGE_SIZE)):
            for octets in map(bytes, batch.entries):
                changed.entries.append(octets)
                present.update(decode_entry(octets).attributes.get(KEY_ATTRIBUTE.lower(), ()))
        changed.gone = [str(uuid.UUID(bytes_le=guid)) for guid in guids if guid not in present]
        return changed


def _first(entry: Entry, attribute: str) -> str:
    values = entry.attributes.get(attribute.lower(), [])
    return values[0].decode("utf-8", "replace") if values else ""


def _by_guid(guids: Sequence[bytes]) -> str:
    """A filter for objects by objectGUID, whose octets are escaped (RFC 4515, section 3)."""
    values = ("".join(f"\\{octet:02x}" for octet in guid) for guid in guids)
    return f"(|{''.join(f'({KEY_ATTRIBUTE}={value})' for value in values)})"
