"""Mappings and values that the tests of this folder share."""

from __future__ import annotations

from typing import Any

from contactsync.mapping.mapping import Mapping, compile_mapping
from contactsync.settings.schema import MappingLimits

KEY = "0c0ffee0-1111-4222-8333-444455556666"
JPEG = b"\xff\xd8\xff\xe0 a picture"
DEFAULTS = MappingLimits()
SMALL = MappingLimits(text_bytes=64, values=3, photo_bytes=50)


def mapping_of(fields: dict[str, Any] | None = None, limits: MappingLimits = DEFAULTS, **keys: Any) -> Mapping:
    """The mapping of a definition with these keys; with `fields` it has these and no preset."""
    definition = {"preset": "none", "fields": fields, **keys} if fields else keys
    return compile_mapping(definition, active_directory=False, limits=limits)
