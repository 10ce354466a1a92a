"""The fields of a definition in requests and answers. A password is in requests only."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from contactsync.api.schemas import Definition as Overview
from contactsync.model import Auth, Definition, Tls
from contactsync.operations.declared.fields import Fields, Long, Password, Short


class DefinitionChanges(Fields):
    """Changes of a definition: only the fields that are there. Folder and owner rename the folder."""

    folder: Short = Field("", examples=["Staff"])
    owner: Short | None = None
    definition: Short = Field("", examples=["directory"])
    query: Long = Field("", examples=["ldaps://dc1.example.com"])


class NewPassword(BaseModel):
    """A password for the definition's present server and user."""

    model_config = ConfigDict(extra="forbid")

    password: Password = Field(examples=["a long password"])


class DefinitionDetails(Overview):
    """A definition with all fields that can be edited. Null is the default of settings.toml."""

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

    @classmethod
    def of_definition(cls, overview: Overview, definition: Definition) -> DefinitionDetails:
        """The details of a stored definition."""
        own = cls.model_fields.keys() - Overview.model_fields.keys()
        values = {name: getattr(definition, name) for name in own}
        return cls(**dict(overview), **values)


class Definitions(BaseModel):
    """Definitions by id; `after` of the next page, or null on the last."""

    definitions: list[Overview]
    next_after: int | None
