"""One definition with all its fields and what is in effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from contactsync.model import Auth, Tls
from contactsync.operations.names import find_by_id, no_definition
from contactsync.operations.reading.definitions import Activity, DefinitionOverview
from contactsync.operations.reading.in_effect import InEffect, in_effect
from contactsync.store.definitions import read_overview

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.settings.schema import Settings


class DefinitionDetails(DefinitionOverview):
    """A definition with all fields that can be edited. Null is the default; `in_effect` has its value."""

    user: str | None
    password_ref: str | None
    base: str | None
    scope: str | None
    filter: str | None
    filter_only: bool
    mapping: dict[str, Any] | None
    mode: str
    jitter_seconds: int
    auth: Auth
    tls: Tls
    tls_verify: bool
    tls_minimum: str | None
    tls_ca_file: str | None
    tls_ca_pem: str | None
    tls_client_cert: str | None
    tls_client_key: str | None
    max_delete_count: int | None
    max_delete_share: float | None
    allow_empty: bool
    deadline_seconds: int | None
    page_size: int | None
    in_effect: InEffect | None = Field(description="Null for a viewer at the web console, as the settings are.")


def definition_details(
    connection: Connection[Any], definition_id: int, activity: Activity, settings: Settings
) -> DefinitionDetails:
    """One definition with all its fields. Raises NotFound, DatabaseError."""
    stored = find_by_id(connection, definition_id)
    for row in read_overview(connection, [definition_id]):
        overview = DefinitionOverview(**row, **activity.of(definition_id))
        own = DefinitionDetails.model_fields.keys() - DefinitionOverview.model_fields.keys() - {"in_effect"}
        values = {name: getattr(stored, name) for name in own}
        return DefinitionDetails(**dict(overview), **values, in_effect=in_effect(stored, settings))
    raise no_definition(definition_id)
