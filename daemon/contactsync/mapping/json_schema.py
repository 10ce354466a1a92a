"""The JSON Schema of a mapping, for editors that complete and check.

It accepts every mapping that `rules` accepts. Some mistakes need more than a schema: a template that is not closed, a
mapping that fills no field.
"""

from __future__ import annotations

from typing import Any

from contactsync.fields import EXTRA_PREFIX, FIELDS
from contactsync.ldap.protocol.entry import DESCRIPTION, LONGEST_DESCRIPTION
from contactsync.mapping.entry_filter import DEFAULTS
from contactsync.mapping.identity import BY_DN
from contactsync.mapping.presets import PRESETS
from contactsync.mapping.rules import EDITS, MAX_FIELDS, MAX_IDENTITIES, MAX_SOURCES, NO_PRESET
from contactsync.model import Policy

_FIELD = {"$ref": "#/$defs/field"}


def mapping_schema() -> dict[str, Any]:
    """The schema; "$defs" has its parts."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Mapping of contactsync",
        "description": "Which attributes of the directory fill which fields of a contact.",
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": {
            "preset": {"enum": [*PRESETS, NO_PRESET, None], "description": "By default that of the kind of server."},
            "include": {
                "type": ["object", "null"],
                "description": "Which entries become contacts.",
                "additionalProperties": False,
                "properties": {name: {"type": "boolean", "default": value} for name, value in DEFAULTS.items()},
            },
            "identity": {
                "description": "What recognises an entry after a rename.",
                "anyOf": [
                    {"const": BY_DN},
                    {"$ref": "#/$defs/attribute"},
                    {"type": "array", "items": _own_attribute(), "minItems": 1, "maxItems": MAX_IDENTITIES},
                    {"type": "null"},
                ],
            },
            "fields": {
                "type": ["object", "null"],
                "description": "The sources of each field; null leaves a field out.",
                "maxProperties": MAX_FIELDS,
                "additionalProperties": False,
                "properties": dict.fromkeys(FIELDS, _FIELD),
                "patternProperties": {rf"^{EXTRA_PREFIX[:-1]}\.[^\s.-][^\s]{{0,62}}$": _FIELD},
            },
        },
        "$defs": _parts(),
    }


def _parts() -> dict[str, Any]:
    sources = {"anyOf": [{"$ref": "#/$defs/source"}, {"$ref": "#/$defs/sources"}, {"type": "null"}]}
    return {
        "attribute": {"type": "string", "pattern": f"^{DESCRIPTION.pattern}$", "maxLength": LONGEST_DESCRIPTION},
        "source": {
            "anyOf": [
                {"$ref": "#/$defs/attribute"},
                {"type": "string", "pattern": r"\{", "description": "A template, such as {title} ({ou})."},
                {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["attribute"],
                    "properties": {"attribute": {"$ref": "#/$defs/attribute"}, "as": {"enum": list(EDITS)}},
                },
            ]
        },
        "sources": {"type": "array", "items": {"$ref": "#/$defs/source"}, "maxItems": MAX_SOURCES},
        "field": {
            "anyOf": [
                *sources["anyOf"],
                {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"from": sources, "policy": {"enum": list(Policy)}},
                },
            ]
        },
    }


def _own_attribute() -> dict[str, Any]:
    """An attribute beside others, which cannot be the DN."""
    return {"allOf": [{"$ref": "#/$defs/attribute"}, {"not": {"const": BY_DN}}]}
