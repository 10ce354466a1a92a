"""Looks around in a directory, one level at a time, for those who do not know the base."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from contactsync.checks.searches import ANYTHING, Search, ask_for_some
from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.connection.limits import ReadLimits
from contactsync.ldap.connection.session import Session
from contactsync.ldap.dn import canonical_dn, first_rdn
from contactsync.ldap.protocol.entry import Entry
from contactsync.ldap.query.query import Scope
from contactsync.mapping.mapping import Mapping, compile_mapping
from contactsync.model import MappedEntry
from contactsync.sync.definition import choose_filter, resolve
from contactsync.sync.options import RunOptions
from contactsync.sync.reader import open_directory

if TYPE_CHECKING:
    from contactsync.checks.context import Password
    from contactsync.ldap.rootdse import RootDse
    from contactsync.model import Definition

_SECONDS = 60
_MOST_COUNTED = 1000
_CONTAINERS_COUNTED = 50
_HINTS = ("objectClass", "hasSubordinates", "numSubordinates", "msDS-Approx-Immed-Subordinates")
"""What servers tell about how much is below: OpenLDAP whether, 389 Directory Server and Active Directory how many."""
_LEAVES = frozenset({"person", "user", "contact", "inetorgperson", "computer", "group", "groupofnames"})


@dataclass(frozen=True, slots=True)
class Node:
    """One entry. `below` counts its direct children, None when that is not known; `at_least` when there may be more.

    `contact` is what the mapping makes of an entry that the definition's filter finds, in a few words.
    """

    dn: str
    rdn: str
    object_class: str
    below: int | None = None
    at_least: bool = False
    contact: str | None = None


@dataclass(frozen=True, slots=True)
class Level:
    """An entry and its direct children; `more` when there are others that were not read."""

    base: str
    nodes: tuple[Node, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class View:
    """What was seen, on which server; without a base a level for each naming context that may hold people.

    `others` are the naming contexts that were left out: what Active Directory keeps about itself.
    """

    server: str
    levels: tuple[Level, ...]
    others: tuple[str, ...] = ()


def browse(definition: Definition, password: Password, options: RunOptions, *, base: str | None, limit: int) -> View:
    """The children of `base` as somebody typed it, or of the naming contexts; at most `limit` of each.

    Raises DefinitionError, SecretError, DirectoryError.
    """
    resolved = resolve(replace(definition, schedule="manual", base=None))
    wanted = canonical_dn(base) if base else None
    with open_directory(resolved, options, password(), Deadline(_SECONDS)) as session:
        mapping = compile_mapping(
            definition.mapping, active_directory=session.root_dse.is_active_directory, limits=options.map_limits
        )
        people = choose_filter(resolved, mapping, session.root_dse)
        looker = _Looker(session, mapping, people, options.read_limits(Deadline(_SECONDS)), limit)
        bases = (wanted,) if wanted else _promising(session.root_dse)
        others = () if wanted else tuple(name for name in session.root_dse.naming_contexts if name not in bases)
        return View(session.server, tuple(map(looker.level, bases)), others)


def _promising(root_dse: RootDse) -> tuple[str, ...]:
    """The naming contexts to look into; raises BaseNotFound when the server names none."""
    if root_dse.default_naming_context or not root_dse.naming_contexts:
        return (root_dse.default_base(),)
    return root_dse.naming_contexts


@dataclass(frozen=True, slots=True)
class _Looker:
    """How one session is looked around in."""

    session: Session
    mapping: Mapping
    filter: str
    limits: ReadLimits
    limit: int

    def level(self, base: str) -> Level:
        """The children of one entry, in the order of their names. Raises BaseNotFound when there is no such entry."""
        found = ask_for_some(
            self.session, Search(base, Scope.ONE, ANYTHING, self._attributes()), self.limits, most=self.limit
        )
        matching = ask_for_some(self.session, Search(base, Scope.ONE, self.filter), self.limits, most=self.limit)
        people = {entry.dn for entry in matching.entries}
        nodes = sorted((self._node(entry, people) for entry in found.entries), key=_order)
        return Level(base, tuple(self._count_some(nodes)), found.more)

    def _attributes(self) -> tuple[str, ...]:
        wanted = {name.lower(): name for name in (*_HINTS, *self.mapping.attributes)}
        return tuple(name for name in wanted.values() if name.lower() not in {"jpegphoto", "thumbnailphoto"})

    def _node(self, entry: Entry, people: set[str]) -> Node:
        return Node(
            dn=entry.dn,
            rdn=first_rdn(entry.dn),
            object_class=_object_class(entry),
            below=_told(entry),
            contact=self._contact(entry) if entry.dn in people else None,
        )

    def _contact(self, entry: Entry) -> str:
        mapped = self.mapping.map(b"", entry)
        if not isinstance(mapped, MappedEntry):
            return f"rejected: {mapped.reason}"
        values = dict(zip(self.mapping.fields, mapped.values, strict=True))
        emails = values.get("emails") or [""]
        return " ".join(filter(None, (values.get("display_name"), f"<{emails[0]}>" if emails[0] else "")))

    def _count_some(self, nodes: Sequence[Node]) -> Iterator[Node]:
        """Count for the server where it does not tell, for as many entries as takes no time."""
        left = _CONTAINERS_COUNTED
        for node in nodes:
            if node.below is not None or not left:
                yield node
                continue
            left -= 1
            below = ask_for_some(
                self.session, Search(node.dn, Scope.ONE), self.limits, most=_MOST_COUNTED, decode=False
            )
            yield replace(node, below=below.number, at_least=below.more)


def _order(node: Node) -> tuple[bool, str]:
    """What has something below it first."""
    return (node.below == 0, node.rdn.casefold())


def _told(entry: Entry) -> int | None:
    """How many children the server says that there are; 0 for what it calls a leaf, or what never has any."""
    for name in ("numsubordinates", "msds-approx-immed-subordinates"):
        for value in entry.attributes.get(name, ()):
            if value.isdigit():
                return int(value)
    if entry.attributes.get("hassubordinates") == [b"FALSE"]:
        return 0
    if "hassubordinates" not in entry.attributes and not _LEAVES.isdisjoint(_classes(entry)):
        return 0
    return None


def _classes(entry: Entry) -> list[str]:
    return [value.decode("utf-8", "replace").lower() for value in entry.attributes.get("objectclass", ())]


def _object_class(entry: Entry) -> str:
    """The most telling class: the first that is not a general one, which servers give in any order."""
    general = {b"top", b"person", b"organizationalperson"}
    classes = entry.attributes.get("objectclass", [])
    telling = [value for value in classes if value.lower() not in general]
    # At Active Directory a computer is a user as well.
    chosen = next((value for value in telling if value.lower() != b"user"), next(iter([*telling, *classes]), b""))
    return chosen.decode("utf-8", "replace")
