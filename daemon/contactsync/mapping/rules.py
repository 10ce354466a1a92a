"""Reads a definition's mapping, decoded JSON, into checked rules; every complaint names the key it is about."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from contactsync.errors import MappingError
from contactsync.fields import EXTRA_PREFIX, FIELDS, Kind, kind_of
from contactsync.ldap.protocol.entry import RANGE_OPTION, is_attribute_description
from contactsync.mapping import values
from contactsync.mapping.entry_filter import COMPUTERS, CONTACTS, DEFAULTS, PEOPLE, EntryFilter, active_directory_filter
from contactsync.mapping.identity import BY_DN
from contactsync.mapping.presets import ACTIVE_DIRECTORY, INET_ORG_PERSON, PRESETS, Preset
from contactsync.mapping.template import Template
from contactsync.model import Policy

NO_PRESET = "none"
EDITS: dict[str, Callable[[str], str]] = {
    "address": values.address,
    "fax": values.fax,
    "rdn": values.rdn,
    "smtp": values.smtp,
    "uri": values.uri,
}
"""What `as` may say."""

_MULTI_LINE = frozenset({"street", "home_address", "notes"})
_EXTRA_KEY = re.compile(r"\w[\w.-]{0,62}")
_ORDER = {field: index for index, field in enumerate(FIELDS)}
_MOST_FIELDS = 100
_MOST_SOURCES = 20
_MOST_IDENTITIES = 10
_SHOWN = 60
"""Characters of what was written that a message repeats."""


@dataclass(frozen=True, slots=True)
class AttributeSource:
    """The values of one attribute; `edit` is a name in EDITS or ""."""

    attribute: str
    edit: str = ""

    @property
    def attributes(self) -> tuple[str, ...]:
        """What it uses, as Template has it."""
        return (self.attribute,)


@dataclass(frozen=True, slots=True)
class FieldRule:
    """Where a field's values come from, in order, and who owns them."""

    sources: tuple[AttributeSource | Template, ...]
    policy: Policy


@dataclass(frozen=True, slots=True)
class Rules:
    """A whole mapping; `fields` follow the order of contactsync.fields, then the extra ones by name."""

    identity: tuple[str, ...]
    filter: EntryFilter
    fields: dict[str, FieldRule]


def is_multi_line(field: str) -> bool:
    """Whether line breaks belong into the field."""
    return field in _MULTI_LINE or field.startswith(EXTRA_PREFIX)


def read_rules(definition: object, *, active_directory: bool) -> Rules:
    """The rules of a definition's mapping over those of its preset; None is an empty definition."""
    top = _object({} if definition is None else definition, "", ("preset", "include", "identity", "fields"))
    native = ACTIVE_DIRECTORY if active_directory else INET_ORG_PERSON
    name = top.get("preset")
    if name is not None:
        _one_of(name, "preset", (*PRESETS, NO_PRESET))
    if name == "inetOrgPerson" and top.get("include"):
        raise _wrong("include", "is about Active Directory's entries", "Leave it out, or the preset inetOrgPerson.")
    preset = native if name is None else PRESETS.get(name, Preset(native.filter, native.identity, {}))
    # Active Directory has no entryUUID, and other directories have no objectGUID, whatever fills the fields.
    identity = ACTIVE_DIRECTORY.identity if active_directory else preset.identity
    return Rules(
        identity=_identity(top["identity"]) if top.get("identity") is not None else identity,
        filter=_filter(top.get("include"), preset),
        fields=_fields(top.get("fields"), preset),
    )


def _filter(written: object, preset: Preset) -> EntryFilter:
    """The preset's filter, with the switches that are about Active Directory's kinds of entries."""
    if written is None:
        return preset.filter
    switches = _object(written, "include", tuple(DEFAULTS))
    for name, value in switches.items():
        if not isinstance(value, bool):
            raise _wrong(f"include.{name}", f"is {_shown(value)}", "It may be: true, false.")
    if preset.filter != ACTIVE_DIRECTORY.filter:
        return preset.filter
    try:
        return active_directory_filter(switches)
    except ValueError:
        hint = f"Leave one of {PEOPLE}, {CONTACTS} and {COMPUTERS} in."
        raise _wrong("include", "leaves out every kind of entry", hint) from None


def _identity(written: object) -> tuple[str, ...]:
    if written == BY_DN:
        return (BY_DN,)
    names = _list(written, "identity", _MOST_IDENTITIES)
    if not names:
        raise _wrong("identity", "names no attribute", f'Name at least one, or write "{BY_DN}".')
    if BY_DN in names:
        raise _wrong(
            "identity", f'has "{BY_DN}" in a list', f'"{BY_DN}" stands alone: it does not mix with attributes.'
        )
    return tuple(_attribute(name, f"identity[{index}]") for index, name in enumerate(names))


def _fields(written: object, preset: Preset) -> dict[str, FieldRule]:
    own = {} if written is None else _object(written, "fields", None)
    if len(own) > _MOST_FIELDS:
        raise _wrong("fields", f"has {len(own)} fields", f"At most {_MOST_FIELDS} are possible.")
    for field in own:
        _check_field(field)
    rules = {}
    for field in sorted({**preset.fields, **own}, key=_rank):
        rule = _field_rule(field, own.get(field, preset.fields.get(field)), preset.fields.get(field))
        if rule.sources:
            rules[field] = rule
    if not rules:
        raise _wrong("fields", "fills no field", 'Map at least one, such as "display_name": ["displayName", "cn"].')
    return rules


def _field_rule(field: str, written: object, default: object) -> FieldRule:
    path = f"fields.{field}"
    policy = Policy.DIRECTORY
    if isinstance(written, dict) and "attribute" not in written:
        parts = _object(written, path, ("from", "policy"))
        if "policy" in parts:
            policy = Policy(_one_of(parts["policy"], f"{path}.policy", tuple(Policy)))
        if "from" in parts:
            path = f"{path}.from"
        elif default is None:
            raise _wrong(path, 'has no "from"', "The preset does not fill this field; name its attributes.")
        written = parts.get("from", default)
    sources = [] if written is None else _list(written, path, _MOST_SOURCES)
    return FieldRule(tuple(_source(field, source, path) for source in sources), policy)


def _source(field: str, written: object, path: str) -> AttributeSource | Template:
    if isinstance(written, dict):
        parts = _object(written, path, ("attribute", "as"))
        edit = _one_of(parts["as"], f"{path}.as", tuple(EDITS)) if "as" in parts else ""
        source: AttributeSource | Template = AttributeSource(_attribute(parts.get("attribute"), path), edit)
    elif isinstance(written, str) and "{" in written:
        source = _template(field, written, path)
    else:
        source = AttributeSource(_attribute(written, path))
    if kind_of(field) is Kind.PHOTO and (isinstance(source, Template) or source.edit):
        raise _wrong(path, "is text", "A photo comes as it is, out of an attribute such as jpegPhoto.")
    return source


def _template(field: str, text: str, path: str) -> Template:
    try:
        return Template(text if is_multi_line(field) else " ".join(text.split()))
    except ValueError as error:
        raise _wrong(path, f"is not a template: {error}", 'A template looks like "{title} ({ou})".') from None


def _attribute(written: object, path: str) -> str:
    if isinstance(written, str) and is_attribute_description(written):
        return written
    hint = "Write a name such as mail or cn;lang-de, or an OID, of at most 128 characters (RFC 4512 section 2.5)."
    if isinstance(written, str) and RANGE_OPTION in written.lower():
        hint = "Leave out the range: all values are read, however they come."
    raise _wrong(path, f"is {_shown(written)}, which is not an attribute description", hint)


def _check_field(field: str) -> None:
    key = field.removeprefix(EXTRA_PREFIX)
    known = kind_of(field) is not None
    if known and (key == field or _EXTRA_KEY.fullmatch(key)):
        return
    allowed = f"The fields are: {', '.join(FIELDS)}, and {EXTRA_PREFIX}NAME for whatever else."
    raise _wrong("fields", f"has {_shown(field)}, which is not a field of a contact", _near(field, FIELDS) + allowed)


def _object(written: object, path: str, allowed: tuple[str, ...] | None) -> dict[str, Any]:
    if not isinstance(written, dict):
        raise _wrong(path, f"is {_shown(written)} where an object belongs", "")
    for key in written:
        if allowed is not None and key not in allowed:
            raise _wrong(path, f"has the unknown key {_shown(key)}", _near(key, allowed) + _allowed(allowed))
    return written


def _list(written: object, path: str, most: int) -> list[Any]:
    """A list, or one thing in place of a list of it."""
    if not isinstance(written, list):
        return [written]
    if len(written) > most:
        raise _wrong(path, f"is a list of {len(written)}", f"At most {most} are possible.")
    return written


def _one_of(written: object, path: str, allowed: tuple[str, ...]) -> str:
    if isinstance(written, str) and written in allowed:
        return written
    raise _wrong(path, f"is {_shown(written)}, which is not known", _near(written, allowed) + _allowed(allowed))


def _wrong(path: str, problem: str, hint: str) -> MappingError:
    return MappingError(f"The mapping's {path} {problem}." if path else f"The mapping {problem}.", hint=hint)


def _allowed(allowed: Iterable[str]) -> str:
    return f"It may be: {', '.join(allowed)}."


def _near(written: object, allowed: Iterable[str]) -> str:
    near = difflib.get_close_matches(written[:_SHOWN].lower(), list(allowed), n=1) if isinstance(written, str) else []
    return f'Did you mean "{near[0]}"? ' if near else ""


def _shown(written: object) -> str:
    """A short form of what was written, fit for a message; lists and objects, however deep, by their kind only."""
    if isinstance(written, str):
        return repr(written if len(written) <= _SHOWN else f"{written[:_SHOWN]}…")
    if isinstance(written, list | dict):
        return "a list" if isinstance(written, list) else "an object"
    return "null" if written is None else repr(written)[:_SHOWN]


def _rank(field: str) -> tuple[int, str]:
    return (_ORDER.get(field, len(_ORDER)), field)
