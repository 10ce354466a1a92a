"""The values in effect where a definition has none of its own: those of its query, the settings, or the mapping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

from contactsync.errors import MappingError, QueryError
from contactsync.ldap.query.query import Scope, parse_query
from contactsync.mapping.mapping import compile_mapping
from contactsync.settings.schema import MappingLimits

if TYPE_CHECKING:
    from contactsync.model import Definition
    from contactsync.settings.schema import Settings


class InForce(BaseModel):
    """A value, and where it comes from. Null is what the directory or the mapping decides in a run."""

    value: str | int | float | None
    source: Literal["definition", "query", "settings", "default"]


class InEffect(BaseModel):
    """What a run uses."""

    base: InForce = Field(description="Null: the naming context that the directory publishes.")
    scope: InForce
    filter: InForce = Field(description="Null: only the mapping's filter.")
    mapping_filter: dict[str, str] | None = Field(
        description="The filter of the mapping by the kind of server; null if it is not used.",
        examples=[{"Active Directory": "(objectCategory=person)", "other servers": "(objectClass=person)"}],
    )
    mapping_error: str | None = Field(description="Why the mapping is not valid.")
    max_delete_count: InForce
    max_delete_share: InForce
    deadline_seconds: InForce
    page_size: InForce


def in_effect(definition: Definition, settings: Settings) -> InEffect:
    """What a run of the definition uses with these settings."""
    filters, mapping_error = _mapping_filters(definition)
    guard, directory = settings.guard, settings.directory
    base, scope, filter_ = _search(definition)
    return InEffect(
        base=base,
        scope=scope,
        filter=filter_,
        mapping_filter=None if filter_.value and definition.filter_only else filters,
        mapping_error=mapping_error,
        max_delete_count=_or_setting(definition.max_delete_count, guard.delete_count),
        max_delete_share=_or_setting(definition.max_delete_share, guard.delete_share),
        deadline_seconds=_or_setting(definition.deadline_seconds, directory.deadline_seconds),
        page_size=_or_setting(definition.page_size, directory.page_size),
    )


def _search(definition: Definition) -> tuple[InForce, InForce, InForce]:
    """Base, scope and filter: from their own fields, the query, or the default, in this order."""
    try:
        query = parse_query(definition.query)
    except QueryError:
        query = None
    in_query = (query.base, query.scope, query.filter) if query else (None, None, None)
    own = (definition.base, definition.scope, definition.filter)
    found = []
    for of_definition, of_query, default in zip(own, in_query, (None, Scope.SUB, None), strict=True):
        if of_definition is not None:
            found.append(InForce(value=of_definition, source="definition"))
        elif of_query:
            found.append(InForce(value=str(of_query), source="query"))
        else:
            found.append(InForce(value=default, source="default"))
    base, scope, filter_ = found
    return base, scope, filter_


def _mapping_filters(definition: Definition) -> tuple[dict[str, str] | None, str | None]:
    """For both kinds of servers: only a run knows the kind."""
    kinds = {"Active Directory": True, "other servers": False}
    try:
        return {
            name: str(compile_mapping(definition.mapping, active_directory=kind, limits=MappingLimits()).filter)
            for name, kind in kinds.items()
        }, None
    except MappingError as error:
        return None, error.message


def _or_setting(own: float | None, setting: float) -> InForce:
    return InForce(value=setting, source="settings") if own is None else InForce(value=own, source="definition")
