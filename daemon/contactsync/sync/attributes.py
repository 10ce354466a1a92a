"""The attributes that a search requests: by the names that the server knows, and only those that it can have.

An attribute type has several names and an OID (RFC 4512, section 2.5.1), and a mapping may use any of them. Servers
answer with the first name: for `gn` or `2.5.4.42` the attribute in the entry is `givenName`.

slapd looks up each requested attribute that its schema does not have again for every entry. The identities of other
products, which a mapping requests in case they exist, made a search a tenth slower.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from contactsync.ldap.lookup import REFUSALS, read_values
from contactsync.ldap.subschema import read_attribute_types
from contactsync.mapping.mapping import compile_mapping
from contactsync.mapping.presets import INET_ORG_PERSON
from contactsync.settings.schema import MappingLimits

if TYPE_CHECKING:
    from contactsync.ldap.connection.session import Session
    from contactsync.ldap.search import SearchRequest

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_FIRST_NAMES = {
    active_directory: frozenset(
        name.lower()
        for name in compile_mapping(None, active_directory=active_directory, limits=MappingLimits()).attributes
    )
    for active_directory in (False, True)
}
"""The attributes of the server's preset are first names there, so that most mappings need no look at the subschema.

Not those of the other preset: Active Directory's streetAddress is another name of street elsewhere.
"""


def with_first_names(session: Session, mapping: dict[str, Any] | None) -> dict[str, Any] | None:
    """A definition's mapping with the names that this server uses in its answers. Raises DirectoryError."""
    if mapping is None:
        return None
    usual = _FIRST_NAMES[session.root_dse.is_active_directory]
    unusual = {name for name in _names(mapping) if name.lower() not in usual | {"dn"}}
    if not unusual:
        return mapping
    types = read_attribute_types(session, unusual)
    first = {name: types[name].names[0] for name in types if types[name].names}
    changed = {name: to for name, to in first.items() if name != to.lower()}
    return _renamed(mapping, changed) if changed else mapping


def _names(mapping: dict[str, Any]) -> Iterator[str]:
    """The attributes that the mapping's identity and fields name, without options."""
    found: list[str] = []

    def note(name: str) -> str:
        found.append(name)
        return name

    _visit(mapping, note)
    return (name.partition(";")[0] for name in found)


def _renamed(mapping: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    def rename(description: str) -> str:
        name, semicolon, options = description.partition(";")
        return names.get(name.lower(), name) + semicolon + options

    return _visit(mapping, rename)


def _visit(mapping: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """The mapping with each attribute description replaced by `change` of it."""

    def source(value: Any) -> Any:
        if isinstance(value, list):
            return [source(each) for each in value]
        if isinstance(value, dict):
            return {key: source(each) if key in {"from", "attribute"} else each for key, each in value.items()}
        if isinstance(value, str) and "{" in value:
            return _PLACEHOLDER.sub(lambda match: "{" + change(match[1]) + "}", value)
        return change(value) if isinstance(value, str) else value

    visited = dict(mapping)
    if "identity" in mapping:
        visited["identity"] = source(mapping["identity"])
    if isinstance(fields := mapping.get("fields"), dict):
        visited["fields"] = {field: source(value) for field, value in fields.items()}
    return visited


_OPERATIONAL = ("entryUUID", "entryCSN")
"""Every entry of an OpenLDAP database has both. No entry has them behind a proxy to another product."""


def existing_attributes(session: Session, request: SearchRequest, identity: Sequence[str]) -> tuple[str, ...]:
    """The requested attributes without those identities that no entry below the base can have. Raises DirectoryError.

    Returns all of them if the server is not OpenLDAP, if the mapping sets an identity of its own, or if the server
    refuses to show its schema. Only identities are removed, because a proxy passes on attributes that are not in its
    schema.
    """
    missing = set()
    if session.root_dse.is_openldap and tuple(identity) == INET_ORG_PERSON.identity:
        try:
            missing = _missing(session, request.base, identity)
        except REFUSALS:
            return request.attributes
    return tuple(name for name in request.attributes if name not in missing)


def _missing(session: Session, base: str, names: Sequence[str]) -> set[str]:
    values = read_values(session.wire, base, _OPERATIONAL)
    if not all(values.get(name.lower()) for name in _OPERATIONAL):
        return set()
    missing = {name for name in names if not _is_in_schema(session, name)}
    return missing if missing.isdisjoint(_OPERATIONAL) else set()


def _is_in_schema(session: Session, name: str) -> bool:
    """Search by objectIdentifierFirstComponentMatch, which takes names too (RFC 4517, section 4.2.26).

    The whole schema would be as large as 150 entries.
    """
    return bool(read_values(session.wire, session.root_dse.subschema, ("objectClass",), f"(attributeTypes={name})"))
