"""What a mapping may have, and the entries of a directory as it makes contacts of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, Field

from contactsync.fields import FIELDS, PHOTO
from contactsync.mapping.entry_filter import DEFAULTS
from contactsync.mapping.presets import PRESETS
from contactsync.mapping.rules import EDITS
from contactsync.model import MappedEntry, Policy, RejectedEntry

if TYPE_CHECKING:
    from contactsync.mapping.mapping import Mapping


class PresetShown(BaseModel):
    """A preset: what identifies an entry, and the sources of each field, in the form of a mapping."""

    identity: list[str]
    fields: dict[str, Any]


class MappingParts(BaseModel):
    """The parts of which a mapping is made."""

    fields: dict[str, Literal["text", "list", "photo"]] = Field(
        description="The fields of a contact with their kinds, and besides `extra.NAME`, a text."
    )
    presets: dict[str, PresetShown] = Field(
        description="Without `preset`, `activeDirectory` for Active Directory and `inetOrgPerson` for other servers."
    )
    include: dict[str, bool] = Field(description="The switches of `include` with their defaults.")
    edits: list[str] = Field(description="The values of `as`.")
    policies: list[str]


class SampleEntry(BaseModel):
    """An entry as a contact; `rejected` says why no contact can be made of it."""

    dn: str
    fields: dict[str, Any] = Field(description="The fields that have a value, except for the photo.")
    photo_bytes: int | None = Field(description="The size of the photo; null if there is none.")
    trimmed: list[str] = Field(description="The values that are dropped or changed: the field and the reason.")
    rejected: str | None

    @classmethod
    def of(cls, mapping: Mapping, entry: MappedEntry | RejectedEntry) -> Self:
        """The document of an entry."""
        if isinstance(entry, RejectedEntry):
            return cls(dn=entry.dn, fields={}, photo_bytes=None, trimmed=[], rejected=entry.reason)
        values = {name: value for name, value in zip(mapping.fields, entry.values, strict=True) if value}
        photo = values.pop(PHOTO, None)
        trimmed = [f"{value.field}: {value.reason}" for value in entry.trimmed_values]
        size = None if photo is None else len(photo)
        return cls(dn=entry.dn, fields=values, photo_bytes=size, trimmed=trimmed, rejected=None)


class SampleDocument(BaseModel):
    """The first entries that the settings select, as contacts; `more` if there are others."""

    server: str
    active_directory: bool = Field(description="Whether it is Active Directory, which selects the preset.")
    entries: list[SampleEntry]
    more: bool


def mapping_parts() -> MappingParts:
    """What a mapping may have."""
    return MappingParts(
        fields={name: _KINDS[kind.value] for name, kind in FIELDS.items()},
        presets={name: PresetShown(identity=list(each.identity), fields=each.fields) for name, each in PRESETS.items()},
        include=DEFAULTS,
        edits=list(EDITS),
        policies=[policy.value for policy in Policy],
    )


_KINDS: dict[str, Literal["text", "list", "photo"]] = {"text": "text", "text[]": "list", "bytea": "photo"}
