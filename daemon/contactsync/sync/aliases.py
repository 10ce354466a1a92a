"""Attribute names of a mapping as the server writes them.

An attribute type has several names and an OID (RFC 4512, section 2.5.1), and a definition may use any of them. Servers
answer with the first name: for `gn` or `2.5.4.42` the attribute in the entry is `givenName`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from contactsync.ldap.subschema import read_attribute_types
from contactsync.mapping.mapping import compile_mapping
from contactsync.settings.schema import MappingLimits

if TYPE_CHECKING:
    from contactsync.ldap.connection.session import Session

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_PRESETS = frozenset(
    name.lower()
    for active_directory in (False, True)
    for name in compile_mapping(None, active_directory=active_directory, limits=MappingLimits()).attributes
)
"""These are first names at every server, so that most mappings need no look at the subschema."""


def with_first_names(session: Session, mapping: dict[str, Any] | None) -> dict[str, Any] | None:
    """A definition's mapping with the names that this server uses in its answers. Raises DirectoryError."""
    if mapping is None:
        return None
    unusual = {name for name in _names(mapping) if name.lower() not in _PRESETS | {"dn"}}
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


def _visit(mapping: dict[str, Any], change: Any) -> dict[str, Any]:
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
