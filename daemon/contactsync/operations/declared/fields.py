"""The fields of a definition as a request or a file gives them. A password is in requests only."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from contactsync.model import Auth, Definition, Tls
from contactsync.operations.declared.bodies import Storable, Text, body_with_example
from contactsync.operations.definitions import defaults_of, with_changes

_RENAMED = {"definition": "name"}
_NOT_STORED = {"password", "password_stored"}
"""The fields that are no fields of a definition."""
_LARGEST_COUNT = 2**31 - 1
_MOST = 20_000
"""The limit of definitions in one request."""


Short = Annotated[Text, Field(min_length=1, max_length=200)]
Long = Annotated[Text, Field(min_length=1, max_length=4096)]
File = Annotated[Text, Field(min_length=1, max_length=4096, pattern="^/")]
Password = Annotated[SecretStr, Field(min_length=1, max_length=1024)]


_STAFF = {
    "folder": "Staff",
    "query": "ldaps://dc1.example.com",
    "user": "reader@example.com",
    "password": "a long password",
}


class Fields(BaseModel):
    """The fields that are set; null sets the default."""

    model_config = ConfigDict(extra="forbid")

    base: Annotated[Text, Field(max_length=4096)] | None = None
    scope: Literal["base", "one", "sub"] | None = None
    filter: Annotated[Text, Field(min_length=1, max_length=65_536)] | None = Field(
        None, examples=["(department=Sales)"]
    )
    filter_only: bool | None = Field(None, description="Search with this filter alone, without the mapping's.")
    mapping: Annotated[dict[str, Any], Storable] | None = None
    user: Annotated[Text, Field(min_length=1, max_length=1024)] | None = Field(None, examples=["EXAMPLE\\reader"])
    password: Password | None = Field(None, description="Stored sealed. Never in an answer.")
    password_ref: Long | None = Field(None, description="In place of a password: env:NAME, file:PATH, credential:NAME.")
    schedule: Short | None = Field(None, examples=["every 15m"])
    time_zone: Annotated[Text, Field(min_length=1, max_length=100)] | None = None
    mode: Literal["auto", "full", "incremental", "live"] | None = None
    jitter_seconds: int | None = Field(None, ge=0, le=86_400)
    auth: Auth | None = None
    tls: Tls | None = None
    tls_verify: bool | None = None
    tls_minimum: Literal["1.2", "1.3"] | None = None
    tls_ca_file: File | None = Field(None, description="A file on the daemon's machine.")
    tls_ca_pem: Annotated[Text, Field(min_length=1, max_length=60_000)] | None = None
    tls_client_cert: File | None = None
    tls_client_key: File | None = None
    max_delete_count: int | None = Field(None, ge=0, le=_LARGEST_COUNT)
    max_delete_share: float | None = Field(None, ge=0, le=1)
    allow_empty: bool | None = None
    deadline_seconds: int | None = Field(None, ge=1, le=86_400)
    page_size: int | None = Field(None, ge=0, le=100_000)
    enabled: bool | None = Field(None, description="False: paused.")

    @property
    def password_text(self) -> str | None:
        """The password, if there is one in the request."""
        return self.password.get_secret_value() if self.password else None

    def applied_to(self, definition: Definition) -> Definition:
        """The definition with the fields of the request. Raises UsageError if two exclude each other."""
        given = {_RENAMED.get(name, name): getattr(self, name) for name in self.model_fields_set - _NOT_STORED}
        changes = {name: value for name, value in given.items() if value is not None or name == "owner"}
        return with_changes(definition, defaults_of(given.keys() - changes.keys()) | changes)


class NewDefinition(Fields):
    """A new definition. Its folder is added if it does not exist."""

    model_config = body_with_example(**_STAFF)

    folder: Short = Field(examples=["Staff"])
    owner: Short | None = Field(None, description="Of a personal folder; null for a shared one.")
    definition: Short = Field("directory", description="The name within the folder, for a second definition of it.")
    query: Long = Field(examples=["ldaps://dc1.example.com"])


class DeclaredDefinition(NewDefinition):
    """A whole definition, as in a file. A field that is not there has its default."""

    password_stored: bool | None = Field(None, description="In an export: whether a password is stored. Else ignored.")

    @field_validator("mapping", mode="before")
    @classmethod
    def _parse_mapping(cls, value: object) -> object:
        """The mapping from a text in JSON; TOML has no null."""
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError(f"it is not JSON: {error.msg} in line {error.lineno}") from None


class Declarations(BaseModel):
    """Whole definitions. Folder, owner and definition identify each; a field that is not there has its default."""

    model_config = body_with_example(definitions=[{**_STAFF, "schedule": "every 15m"}])

    definitions: list[DeclaredDefinition] = Field(max_length=_MOST)
    remove_others: Annotated[bool, Field(description="Remove those that are not here, with contacts.")] = False


class AppliedDeclarations(Declarations):
    """The definitions, and the plan that was looked at."""

    digest: str | None = Field(None, max_length=64, description="Of the plan; with it, no other plan is carried out.")


class Exported(BaseModel):
    """Definitions in the form of a request."""

    definitions: list[DeclaredDefinition]
