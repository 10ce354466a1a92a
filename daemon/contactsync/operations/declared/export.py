"""Stored definitions as they would be declared: without ids, without defaults, without passwords."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from contactsync.model import Definition
from contactsync.operations.declared.fields import DeclaredDefinition
from contactsync.operations.names import find_all
from contactsync.store.definitions import read_definitions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import Connection

_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(Definition)}


def export_definitions(connection: Connection[Any], names: Sequence[str] = ()) -> list[DeclaredDefinition]:
    """The definitions with these names, or all, in the order of their labels. Raises UsageError, DatabaseError."""
    chosen = [each for name in names for each in find_all(connection, name)]
    stored = {each.definition_id: each for each in (chosen if names else read_definitions(connection))}
    return [_declared(each) for each in sorted(stored.values(), key=lambda each: (each.owner or "", each.label))]


def _declared(definition: Definition) -> DeclaredDefinition:
    values = {name: getattr(definition, name) for name in DeclaredDefinition.model_fields if name in _DEFAULTS}
    given = {name: value for name, value in values.items() if value != _DEFAULTS[name]}
    if definition.name != _DEFAULTS["name"]:
        given["definition"] = definition.name
    if definition.password_sealed or definition.password_new:
        given["password_stored"] = True
    # Without a check: SQL may have stored what is not valid.
    return DeclaredDefinition.model_construct(**given)
