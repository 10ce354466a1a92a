"""Browses a directory one level at a time, to find the base of a search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from contactsync.checks.context import Password
from contactsync.checks.searches import Search, ask_for_some
from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.connection.limits import ReadLimits
from contactsync.ldap.connection.session import Session
from contactsync.ldap.dn import canonical_dn, comparison_key, first_rdn, is_within, parent_of
from contactsync.ldap.protocol.entry import Entry
from contactsync.ldap.query.query import Scope
from contactsync.ldap.rootdse import RootDse
from contactsync.mapping.mapping import Mapping, compile_mapping
from contactsync.model import Definition, MappedEntry
from contactsync.sync.definition import choose_filter, open_directory, resolve
from contactsync.sync.options import RunOptions

_SECONDS = 60
_MAX_CHILDREN_COUNTED = 1000
_MAX_NODES_COUNTED = 50
_MOST_ABOVE = 50
_COUNTS = ("numSubordinates", "msDS-Approx-Immed-Subordinates")
"""The number of children at 389 Directory Server and at Active Directory. OpenLDAP has hasSubordinates only."""
_PHOTOS = frozenset({"jpegphoto", "thumbnailphoto"})
_LEAVES = frozenset({"person", "user", "contact", "inetorgperson", "computer", "group", "groupofnames"})
_GENERAL = frozenset({"top", "person", "organizationalperson"})


@dataclass(frozen=True, slots=True)
class Node:
    """An entry. `below` is the number of its children, None if unknown, a minimum if `at_least`.

    `contact` describes the contact of an entry that the definition's filter matches.
    """

    dn: str
    rdn: str
    object_class: str
    below: int | None = None
    at_least: bool = False
    contact: str | None = None


@dataclass(frozen=True, slots=True)
class Above:
    """An entry above the one that is browsed; `rdn` is the whole DN for a naming context."""

    dn: str
    rdn: str


@dataclass(frozen=True, slots=True)
class Level:
    """An entry and its children; `more` if there are others that were not read.

    `above` are the entries from the naming context down to the parent. `references` lead to other servers.
    """

    base: str
    nodes: tuple[Node, ...]
    more: bool
    above: tuple[Above, ...] = ()
    references: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """The levels of one server: one for the given base, or one for each naming context that may hold people.

    `others` are the remaining naming contexts, such as Active Directory's configuration and schema.
    """

    server: str
    levels: tuple[Level, ...]
    others: tuple[str, ...] = ()


def browse(definition: Definition, password: Password, options: RunOptions, *, base: str | None, limit: int) -> View:
    """At most `limit` children of `base`, or of each naming context without a base.

    Raises DefinitionError, SecretError, DirectoryError.
    """
    resolved = resolve(replace(definition, schedule="manual", base=None))
    requested = canonical_dn(base) if base else None
    with open_directory(resolved, options, password(), Deadline(_SECONDS)) as session:
        root_dse = session.root_dse
        mapping = compile_mapping(
            definition.mapping, active_directory=root_dse.is_active_directory, limits=options.map_limits
        )
        search_filter = choose_filter(resolved, mapping, root_dse)
        browser = _Browser(session, mapping, search_filter, options.read_limits(Deadline(_SECONDS)), limit)
        bases = (requested,) if requested else _bases(root_dse)
        others = () if requested else tuple(name for name in root_dse.naming_contexts if name not in bases)
        return View(session.server, tuple(map(browser.level, bases)), others)


def _bases(root_dse: RootDse) -> tuple[str, ...]:
    """The naming contexts that may hold people; raises BaseNotFound if the server names none."""
    if root_dse.default_naming_context or not root_dse.naming_contexts:
        return (root_dse.default_base(),)
    return root_dse.naming_contexts


@dataclass(frozen=True, slots=True)
class _Browser:
    session: Session
    mapping: Mapping
    filter: str
    limits: ReadLimits
    limit: int

    def level(self, base: str) -> Level:
        """The children of an entry; raises BaseNotFound."""
        children = Search(base, Scope.ONE, attributes=self._attributes())
        answer = ask_for_some(self.session, children, self.limits, most=self.limit)
        matching = ask_for_some(self.session, Search(base, Scope.ONE, self.filter), self.limits, most=self.limit)
        matching_dns = {entry.dn for entry in matching.entries}
        nodes = [self._node(entry, matches=entry.dn in matching_dns) for entry in answer.entries]
        nodes.sort(key=lambda node: (node.below == 0, node.rdn.casefold()))
        above = tuple(_above(base, self.session.root_dse.naming_contexts))
        return Level(base, tuple(self._with_counts(nodes)), answer.more, above, answer.references)

    def _attributes(self) -> tuple[str, ...]:
        names = {name.lower(): name for name in ("objectClass", "hasSubordinates", *_COUNTS, *self.mapping.attributes)}
        return tuple(name for lowered, name in names.items() if lowered not in _PHOTOS)

    def _node(self, entry: Entry, *, matches: bool) -> Node:
        return Node(
            dn=entry.dn,
            rdn=first_rdn(entry.dn),
            object_class=_object_class(entry),
            below=_children(entry),
            contact=self._contact(entry) if matches else None,
        )

    def _contact(self, entry: Entry) -> str:
        mapped = self.mapping.map(b"", entry)
        if not isinstance(mapped, MappedEntry):
            return f"rejected: {mapped.reason}"
        values = dict(zip(self.mapping.fields, mapped.values, strict=True))
        emails = [f"<{email}>" for email in values.get("emails") or ()]
        return " ".join(filter(None, (values.get("display_name"), *emails[:1])))

    def _with_counts(self, nodes: Sequence[Node]) -> Iterator[Node]:
        """The nodes; the children of the first ones are counted where the server does not say how many there are."""
        left = _MAX_NODES_COUNTED
        for node in nodes:
            if node.below is not None or not left:
                yield node
                continue
            left -= 1
            children = Search(node.dn, Scope.ONE)
            answer = ask_for_some(self.session, children, self.limits, most=_MAX_CHILDREN_COUNTED, decode=False)
            yield replace(node, below=answer.number, at_least=answer.more)


def _above(base: str, contexts: Sequence[str]) -> list[Above]:
    """The entries above, from the nearest naming context on; none if the base is in no naming context."""
    context = max((name for name in contexts if is_within(base, name)), key=len, default=None)
    if context is None:
        return []
    top, name, found = comparison_key(context), base, list[Above]()
    while comparison_key(name) != top and len(found) < _MOST_ABOVE:
        name = parent_of(name)
        found.insert(0, Above(name, first_rdn(name) if comparison_key(name) != top else name))
    return found


def _children(entry: Entry) -> int | None:
    """The number of children by the server's word, or 0 for an entry that never has any."""
    for name in _COUNTS:
        for value in entry.attributes.get(name.lower(), ()):
            if value.isdigit():
                return int(value)
    has_children = entry.attributes.get("hassubordinates")
    is_leaf = has_children is None and not _LEAVES.isdisjoint(name.lower() for name in _classes(entry))
    return 0 if is_leaf or has_children == [b"FALSE"] else None


def _classes(entry: Entry) -> list[str]:
    return [value.decode("utf-8", "replace") for value in entry.attributes.get("objectclass", ())]


def _object_class(entry: Entry) -> str:
    """The most specific class. A computer of Active Directory is a user as well."""
    classes = _classes(entry)
    specific = [name for name in classes if name.lower() not in _GENERAL]
    return next((name for name in specific if name.lower() != "user"), next(iter([*specific, *classes]), ""))
