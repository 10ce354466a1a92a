"""What changed, by the update sequence numbers of an Active Directory domain controller.

Each controller counts the changes that it makes, and notes at each object the number of its last one (uSNChanged;
[MS-ADTS], section 3.1.1.1.9). Objects that changed are looked for in the whole naming context and without the
definition's filter, deleted ones among them, since whoever left the base or the filter is found by neither. They are
then asked for by objectGUID, as the definition asks; who is not found that way is gone.

A cursor is a number of one controller, which its invocationId stands for: a restored one has another. It is void when
it is no such number, larger than the controller's own, from the controller's future, or so old that what was deleted
since may be forgotten.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from contactsync.ldap.changes.base import Changed, Cursor, CursorVoid
from contactsync.ldap.connection.session import Session
from contactsync.ldap.lookup import read_some, read_texts, read_values
from contactsync.ldap.protocol.entry import Entry, decode_entry
from contactsync.ldap.protocol.generalized_time import read_moment, write_moment
from contactsync.ldap.protocol.requests import ANY_ENTRY, SHOW_DELETED
from contactsync.ldap.query.filter import attributes_of, check_filter
from contactsync.ldap.query.query import Scope
from contactsync.ldap.rootdse import is_catalogue
from contactsync.ldap.search import SearchRequest, read_on

KIND = "usn-changed"
KEY_ATTRIBUTE = "objectGUID"

_CURSOR = re.compile(r"usn=([1-9]\d{0,18}),at=(\d{14})(?:,who=([0-9a-f]{32}))?", re.ASCII)
PAGE_SIZE = 1000
"""MaxPageSize, as it is unless somebody changed it ([MS-ADTS], section 3.1.1.3.4.6)."""
_AT_ONCE = 100
"""Objects that one filter names: some thousand octets."""
MOST_CHANGED = 5000
"""Objects, beyond which it is quicker to read everything."""
_FEW = 5
_SHORTEST_LIFETIME = 60
"""Days for which deleted objects are kept where nothing says otherwise ([MS-ADTS], section 6.1.1.2.4.1.1)."""
_NOBODY_BELOW = {b"person", b"group", b"dnsNode"}
"""Classes below whose objects the schema lets nobody be."""
_CONSTRUCTED = 4
"""A bit of systemFlags ([MS-ADTS], section 2.2.10)."""


@dataclass(frozen=True, slots=True)
class _Controller:
    """One domain controller at one moment of its own clock; `lifetime` is how long it remembers what was deleted."""

    invocation: bytes
    usn: int
    now: datetime
    lifetime: timedelta
    context: str


class UsnChanges:
    """See contactsync.ldap.changes.base.Changes. `identity` are the attributes that make the key."""

    kind = KIND
    reports_entries = True
    all_listed = False
    confirm_seconds: float | None = None

    def __init__(self, session: Session, request: SearchRequest, identity: Sequence[str]) -> None:
        self.cursor: Cursor | None = None
        self._session = session
        self._request = request
        self._identity = identity
        self._controller: _Controller | None = None
        self.unreported_attributes: frozenset[str] = frozenset()
        self._witness = b""

    def obstacle(self, *, quick: bool = False) -> str | None:
        """See Changes."""
        root_dse = self._session.root_dse
        if SHOW_DELETED not in root_dse.supported_controls:
            return "the server does not show what was deleted"
        if is_catalogue(self._session.server):
            return "a global catalogue does not have all changes of an entry; ask a domain controller's own port"
        if [name.lower() for name in self._identity] != [KEY_ATTRIBUTE.lower()]:
            return f"the key is not {KEY_ATTRIBUTE}, by which deleted entries are known"
        context = root_dse.naming_context_of(self._request.base)
        if context is None:
            return f"the server names no naming context that holds {self._request.base}"
        self._controller = self._ask_controller(context)
        if self._controller is None:
            return "the server does not tell this user which domain controller it is and how far it has counted"
        return self._hidden(context) or (None if quick else self._unnumbered() or self._traceless())

    def current_cursor(self, before: Cursor | None = None) -> Cursor | None:  # noqa: ARG002 -- a number needs no other
        """See Changes."""
        here = self._controller
        if here is None:
            return None
        who = f",who={self._witness.hex()}" if self._witness else ""
        return Cursor(KIND, f"usn={here.usn},at={write_moment(here.now)}{who}".encode(), here.invocation)

    def since(self, cursor: Cursor) -> Iterator[Changed]:
        """See Changes."""
        here = self._controller
        if here is None:
            raise self._void("was not asked how far it has counted")
        usn, self._witness = self._parts_of(cursor, here)
        if usn < here.usn:
            if not self._is_numbered(self._witness) and (reason := self._unnumbered()):
                raise CursorVoid(f"There is no other way: {reason}.")
            guids = list(self._changed(usn, here.context))
            for start in range(0, len(guids), _AT_ONCE):
                yield self._as_they_are(guids[start : start + _AT_ONCE])
        self.cursor = self.current_cursor()

    def _ask_controller(self, context: str) -> _Controller | None:
        """What the cursor of this moment is made of. Read before any search, so that nothing is lost in between."""
        wire = self._session.wire
        names = ("dsServiceName", "highestCommittedUSN", "currentTime", "configurationNamingContext")
        told = {name: values[0] for name, values in read_texts(wire, "", names).items() if values}
        usn, service = told.get("highestcommittedusn", ""), told.get("dsservicename")
        now = read_moment(told.get("currenttime", ""))
        invocation = read_values(wire, service, ("invocationId",)).get("invocationid") if service else None
        if not (usn.isdecimal() and now and invocation):
            return None
        lifetime = self._lifetime(told.get("configurationnamingcontext"))
        return _Controller(invocation[0], int(usn), now, lifetime, context)

    def _lifetime(self, configuration: str | None) -> timedelta:
        if configuration is None:
            return timedelta(days=_SHORTEST_LIFETIME)
        service = f"CN=Directory Service,CN=Windows NT,CN=Services,{configuration}"
        days = read_texts(self._session.wire, service, ("tombstoneLifetime",)).get("tombstonelifetime", [])
        return timedelta(days=min([int(day) for day in days if day.isdecimal()] or [_SHORTEST_LIFETIME]))

    def _hidden(self, context: str) -> str | None:
        """What this user may not see, although it takes that to tell what changed."""
        wire, container = self._session.wire, f"CN=Deleted Objects,{context}"
        # With a number, so that one who may see the objects but not their numbers finds none.
        gone = read_some(
            wire, container, Scope.ONE, "(&(isDeleted=TRUE)(uSNChanged>=1))", ("isDeleted",), most=1, deleted=True
        )
        if not gone:
            return f"the server shows this user nothing that was deleted (in {container})"
        return None

    def _unnumbered(self) -> str | None:
        """Whether people's numbers are hidden: none of them would ever be found to have changed.

        One of them is the witness, who spares this look next time: Samba goes through everybody for it.
        """
        shown = (KEY_ATTRIBUTE, "uSNChanged")
        base = self._request.base
        people = read_some(self._session.wire, base, Scope.SUB, "(objectCategory=person)", shown, most=_FEW)
        if any("usnchanged" not in person.attributes for person in people):
            return "the server does not show this user uSNChanged of people"
        keys = (person.attributes.get(KEY_ATTRIBUTE.lower(), [b""])[0] for person in people)
        self._witness = next(keys, b"")
        return None

    def _is_numbered(self, guid: bytes) -> bool:
        """Whether an entry is there, below the base, and its number can be seen."""
        if not guid:
            return False
        named = f"({KEY_ATTRIBUTE}={_escaped(guid)})"
        found = read_some(self._session.wire, self._request.base, Scope.SUB, named, ("uSNChanged",), most=1)
        return any("usnchanged" in entry.attributes for entry in found)

    def _traceless(self) -> str | None:
        """An attribute that is asked for and changes without a change of the entry's own number.

        Those are back links, whose linkID is odd ([MS-ADTS], section 3.1.1.1.6), and constructed ones. A link itself is
        written at the entry, but its value changes in silence when the other end is renamed or deleted.
        """
        root_dse = self._session.root_dse
        schema = root_dse.schema_naming_context
        if schema is None or root_dse.schema is None:
            return "the server does not show this user its schema"
        asked = {name.partition(";")[0] for name in {*self._request.attributes, *attributes_of(self._request.filter)}}
        # A name or an OID: the schema has each in an attribute of its own.
        names = "".join(
            f"({'attributeID' if name[0].isdigit() else 'lDAPDisplayName'}={name})" for name in sorted(asked)
        )
        shown = ("lDAPDisplayName", "linkID", "systemFlags")
        silent = set()
        for entry in read_some(self._session.wire, schema, Scope.ONE, f"(|{names})", shown, most=PAGE_SIZE):
            name, link, flags = (_first(entry, attribute) for attribute in shown)
            if int(link or 0) % 2 or int(flags or 0) & _CONSTRUCTED:
                return f"{name} changes with other entries, and an entry's own number does not tell"
            if link:
                silent.add(name.lower())
        self.unreported_attributes = frozenset(silent)
        return None

    def _parts_of(self, cursor: Cursor, here: _Controller) -> tuple[int, bytes]:
        """The number in a cursor, and its witness; raises CursorVoid on any doubt."""
        if cursor.kind != KIND or cursor.server != here.invocation:
            raise self._void("is another domain controller than the one that the cursor is of, or was restored")
        parts = _CURSOR.fullmatch(cursor.value.decode("ascii", "replace"))
        then = read_moment(parts[2]) if parts else None
        if parts is None or then is None:
            raise self._void("has never given such a cursor")
        if int(parts[1]) > here.usn or then > here.now:
            raise self._void("is older than the cursor: it may have been restored from a backup")
        if here.now - then >= here.lifetime / 2:
            raise self._void("may have forgotten what was deleted since the last run")
        return int(parts[1]), bytes.fromhex(parts[3] or "")

    def _changed(self, usn: int, context: str) -> dict[bytes, None]:
        """The objectGUID of every object that changed since, and of those whose DN may have changed with one."""
        found: dict[bytes, None] = {}
        above: list[Entry] = []
        for entry in self._objects(context, f"(uSNChanged>={usn + 1})", found, deleted=True):
            classes = entry.attributes.get("objectclass", [])
            if "isdeleted" not in entry.attributes and entry.dn != context and _NOBODY_BELOW.isdisjoint(classes):
                above.append(entry)
        # A unit that was renamed or moved takes along whoever is below it, and only its own number tells.
        for entry in above:
            for _ in self._objects(entry.dn, ANY_ENTRY, found):
                pass
        return found

    def _objects(
        self, base: str, search_filter: str, found: dict[bytes, None], *, deleted: bool = False
    ) -> Iterator[Entry]:
        """Whatever is found, and in `found` the objectGUID of each."""
        attributes = (KEY_ATTRIBUTE, "objectClass", "isDeleted")
        request = SearchRequest(base, Scope.SUB, search_filter, attributes, PAGE_SIZE, deleted=deleted)
        for batch in read_on(self._session, request):
            if len(found) > MOST_CHANGED:
                continue  # the next page is on its way already
            for entry in map(decode_entry, batch.entries):
                found.update(dict.fromkeys(entry.attributes.get(KEY_ATTRIBUTE.lower(), ())))
                yield entry
        if len(found) > MOST_CHANGED:
            raise self._void(f"has more than {MOST_CHANGED:,} changed objects, so that reading all is quicker")

    def _as_they_are(self, guids: list[bytes]) -> Changed:
        """Those of the objects that the definition asks for, whole; the others are gone."""
        named = "".join(f"({KEY_ATTRIBUTE}={_escaped(guid)})" for guid in guids)
        these = f"(&{check_filter(self._request.filter)}(|{named}))"
        request = replace(self._request, filter=these, page_size=PAGE_SIZE)
        changed = Changed()
        here: set[bytes] = set()
        for batch in read_on(self._session, request):
            for octets in map(bytes, batch.entries):
                changed.entries.append(octets)
                here.update(decode_entry(octets).attributes.get(KEY_ATTRIBUTE.lower(), ()))
        changed.gone = [str(uuid.UUID(bytes_le=guid)) for guid in guids if guid not in here]
        return changed

    def _void(self, what: str) -> CursorVoid:
        return CursorVoid(f"{self._session.server} {what}.", hint="Everything is read instead.")


def _first(entry: Entry, attribute: str) -> str:
    values = entry.attributes.get(attribute.lower(), [])
    return values[0].decode("utf-8", "replace") if values else ""


def _escaped(octets: bytes) -> str:
    """Any octets as a value in a filter (RFC 4515, section 3)."""
    return "".join(f"\\{octet:02x}" for octet in octets)
