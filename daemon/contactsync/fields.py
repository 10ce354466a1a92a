"""The fields of a contact: the targets of a mapping and the columns of `contacts`.

They correspond to properties of vCard (RFC 6350): `display_name` is FN, the name parts are those of N, `organization`
and `department` those of ORG, the address parts those of ADR.
"""

from __future__ import annotations

from enum import Enum
from hashlib import blake2b

EXTRA_PREFIX = "extra."
"""The field `extra.badge` is the key `badge` of the column `extra` (jsonb with text values)."""

PHOTO = "photo"
"""The only binary field: its octets are stored in `contact_photos`, its digest in `contacts.photo_digest`."""


_PHOTOS = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
PHOTO_TYPES = (*dict.fromkeys(_PHOTOS.values()), "image/webp")
"""The media types of photos."""


def photo_type(octets: bytes) -> str | None:
    """The media type of a photo by its first octets; None for any other content, which no program should show."""
    if octets[:4] == b"RIFF" and octets[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in _PHOTOS.items() if octets.startswith(start)), None)


def photo_digest(octets: bytes) -> bytes:
    """The digest of a photo: BLAKE2b with 16 bytes."""
    return blake2b(octets, digest_size=16).digest()


class Kind(Enum):
    """The type of a field, as the PostgreSQL type of its column."""

    TEXT = "text"
    LIST = "text[]"
    PHOTO = "bytea"


FIELDS: dict[str, Kind] = {
    "display_name": Kind.TEXT,
    "name_prefix": Kind.TEXT,
    "given_name": Kind.TEXT,
    "additional_names": Kind.TEXT,
    "family_name": Kind.TEXT,
    "name_suffix": Kind.TEXT,
    "nickname": Kind.TEXT,
    "initials": Kind.TEXT,
    "emails": Kind.LIST,
    "work_phones": Kind.LIST,
    "mobile_phones": Kind.LIST,
    "home_phones": Kind.LIST,
    "other_phones": Kind.LIST,
    "fax_numbers": Kind.LIST,
    "pagers": Kind.LIST,
    "ip_phones": Kind.LIST,
    "organization": Kind.TEXT,
    "department": Kind.TEXT,
    "title": Kind.TEXT,
    "employee_number": Kind.TEXT,
    "manager": Kind.TEXT,
    "assistant": Kind.TEXT,
    "office": Kind.TEXT,
    "street": Kind.TEXT,
    "po_box": Kind.TEXT,
    "city": Kind.TEXT,
    "region": Kind.TEXT,
    "postal_code": Kind.TEXT,
    "country": Kind.TEXT,
    "home_address": Kind.TEXT,
    "websites": Kind.LIST,
    "languages": Kind.LIST,
    "notes": Kind.TEXT,
    PHOTO: Kind.PHOTO,
}


def kind_of(field: str) -> Kind | None:
    """The kind of a field; None if the field does not exist."""
    if field.startswith(EXTRA_PREFIX) and len(field) > len(EXTRA_PREFIX):
        return Kind.TEXT
    return FIELDS.get(field)
