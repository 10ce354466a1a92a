"""Validates a definition's mapping, decoded JSON, and turns it into rules. Every error names the key it is about."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from contactsync.errors import MappingError
from contactsync.fields import EXTRA_PREFIX, FIELDS, Kind, kind_of
from contactsync.ldap.protocol.entry import RANGE_OPTION, is_attribute_description
from contactsync.mapping import values
from contactsync.mapping.entry_filter import DEFAULTS, KINDS, PRESERVED, EntryFilter, active_directory_filter
from contactsync.mapping.identity import BY_DN
from contactsync.mapping.presets import ACTIVE_DIRECTORY, INET_ORG_PERSON, PRESETS, Preset
from contactsync.mapping.template import Template
from contactsync.model import Policy
from contactsync.text import quoted

NO_PRESET = "none"
EDITS: dict[str, Callable[[str], str]] = {
    "address": values.address,
    "fax": values.fax,
    "rdn": values.rdn,
    "smtp": values.smtp,
    "uri": values.uri,
}
"""The values of `as`."""

_MULTI_LINE = frozenset({"street", "home_address", "notes"})
_EXTRA_KEY = re.compile(r"\w[\w.-]{0,62}")
MAX_FIELDS = 100
MAX_SOURCES = 20
MAX_IDENTITIES = 10
_SHOWN = 60
"""Characters of a value that a message shows."""


@dataclass(frozen=True, slots=True)
class AttributeSource:
    """The values of one attribute; `edit` is a name in EDITS or ""."""

    attribute: str
    edit: str = ""

    @property
    def attributes(self) -> tuple[str, ...]:
        """Its attribute, like `Template.attributes`."""
        return (self.attribute,)


@dataclass(frozen=True, slots=True)
class FieldRule:
    """The sources of a field in their order, and who owns its values."""

    sources: tuple[AttributeSource | Template, ...]
    policy: Policy


@dataclass(frozen=True, slots=True)
class Rules:
    """A mapping; `fields` are in the order of contactsync.fields, then the extra ones by name."""

    identity: tuple[str, ...]
    filter: EntryFilter
    preserved: bool
    fields: dict[str, FieldRule]


def is_multi_line(field: str) -> bool:
    """Whether the field may contain line breaks."""
    return field in _MULTI_LINE or field.startswith(EXTRA_PREFIX)


def read_rules(definition: object, *, active_directory: bool) -> Rules:
    """The rules of a mapping over those of its preset; None is an empty mapping.

    Raises MappingError, for the first part that is not valid, with those for `others`.
    """
    top = _object({} if definition is None else definition, "", ("preset", "include", "identity", "fields"))
    native = ACTIVE_DIRECTORY if active_directory else INET_ORG_PERSON
    name = top.get("preset")
    if name is not None:
        _one_of(name, "preset", (*PRESETS, NO_PRESET))
    include = _switches(top.get("include"))
    if name == "inetOrgPerson" and include.keys() - {PRESERVED}:
        hint = f"Remove it, or the preset inetOrgPerson; only {PRESERVED} is possible with both."
        raise _error("include", "applies to Active Directory only", hint)
    preset = native if name is None else PRESETS.get(name, Preset(native.filter, native.identity, {}))
    # The identity depends on the server and not on the preset: only Active Directory has objectGUID, and no entryUUID.
    identity = ACTIVE_DIRECTORY.identity if active_directory else preset.identity
    errors: list[MappingError] = []
    fields: dict[str, FieldRule] = {}
    with _collected(errors):
        if top.get("identity") is not None:
            identity = _identity(top["identity"])
    with _collected(errors):
        entry_filter = _filter(include, preset)
    with _collected(errors):
        fields = _fields(top.get("fields"), preset)
    _raise_first(errors)
    return Rules(identity, entry_filter, include.get(PRESERVED, False), fields)


@contextmanager
def _collected(errors: list[MappingError]) -> Iterator[None]:
    """Put the errors of a part of the mapping into the list, so that the parts after it are read too."""
    try:
        yield
    except MappingError as error:
        errors += [error, *error.others]


def _raise_first(errors: list[MappingError]) -> None:
    if errors:
        errors[0].others = tuple(errors[1:])
        raise errors[0]


def _switches(value: object) -> dict[str, bool]:
    switches = {} if value is None else _object(value, "include", tuple(DEFAULTS))
    for name, switch in switches.items():
        if not isinstance(switch, bool):
            raise _error(f"include.{name}", f"is {_shown(switch)}", "It may be: true, false.")
    return switches


def _filter(switches: dict[str, bool], preset: Preset) -> EntryFilter:
    if preset.filter != ACTIVE_DIRECTORY.filter:
        return preset.filter
    try:
        return active_directory_filter(switches)
    except ValueError:
        hint = f"Switch on at least one of {', '.join(KINDS[:-1])} and {KINDS[-1]}."
        raise _error("include", "excludes every kind of entry", hint) from None


def _identity(value: object) -> tuple[str, ...]:
    if value == BY_DN:
        return (BY_DN,)
    names = _list(value, "identity", MAX_IDENTITIES)
    if not names:
        raise _error("identity", "names no attribute", f'Name at least one, or write "{BY_DN}".')
    if BY_DN in names:
        raise _error(
            "identity", f'has "{BY_DN}" in a list', f'"{BY_DN}" cannot be combined with attributes; write it alone.'
        )
    return tuple(_attribute(name, f"identity[{index}]") for index, name in enumerate(names))


def _fields(value: object, preset: Preset) -> dict[str, FieldRule]:
    own = {} if value is None else _object(value, "fields", None)
    if len(own) > MAX_FIELDS:
        raise _error("fields", f"has {len(own)} fields", f"At most {MAX_FIELDS} are possible.")
    errors: list[MappingError] = []
    rules = {}
    for field in (*FIELDS, *sorted(own.keys() - FIELDS.keys())):
        default = preset.fields.get(field)
        try:
            _check_field(field)
            rule = _field_rule(field, own.get(field, default), default)
        except MappingError as error:
            errors.append(MappingError(error.message, hint=error.hint, part=("fields", field)))
            continue
        if rule.sources:
            rules[field] = rule
    _raise_first(errors)
    if not rules:
        raise _error("fields", "fills no field", 'Map at least one, such as "display_name": ["displayName", "cn"].')
    return rules


def _field_rule(field: str, value: object, default: object) -> FieldRule:
    path = f"fields.{field}"
    policy = Policy.DIRECTORY
    if isinstance(value, dict) and "attribute" not in value:
        parts = _object(value, path, ("from", "policy"))
        if "policy" in parts:
            policy = Policy(_one_of(parts["policy"], f"{path}.policy", tuple(Policy)))
        if "from" in parts:
            path = f"{path}.from"
        elif default is None:
            raise _error(path, 'has no "from"', "The preset does not fill this field; name its attributes.")
        value = parts.get("from", default)
    sources = [] if value is None else _list(value, path, MAX_SOURCES)
    return FieldRule(tuple(_source(field, source, path) for source in sources), policy)


def _source(field: str, value: object, path: str) -> AttributeSource | Template:
    if isinstance(value, dict):
        parts = _object(value, path, ("attribute", "as"))
        edit = _one_of(parts["as"], f"{path}.as", tuple(EDITS)) if "as" in parts else ""
        source: AttributeSource | Template = AttributeSource(_attribute(parts.get("attribute"), path), edit)
    elif isinstance(value, str) and "{" in value:
        source = _template(field, value, path)
    else:
        source = AttributeSource(_attribute(value, path))
    if kind_of(field) is Kind.PHOTO and (isinstance(source, Template) or source.edit):
        raise _error(path, "is text", "A photo needs a plain attribute such as jpegPhoto, without a template or `as`.")
    return source


def _template(field: str, text: str, path: str) -> Template:
    try:
        return Template(text if is_multi_line(field) else " ".join(text.split()))
    except ValueError as error:
        raise _error(path, f"is not a template: {error}", 'A template looks like "{title} ({ou})".') from None


def _attribute(value: object, path: str) -> str:
    if isinstance(value, str) and is_attribute_description(value):
        return value
    hint = "Write a name such as mail or cn;lang-de, or an OID, of at most 128 characters (RFC 4512 section 2.5)."
    if isinstance(value, str) and RANGE_OPTION in value.lower():
        hint = "Remove the range option: all values are read in any case."
    raise _error(path, f"is {_shown(value)}, which is not an attribute description", hint)


def _check_field(field: str) -> None:
    key = field.removeprefix(EXTRA_PREFIX)
    if kind_of(field) is not None and (key == field or _EXTRA_KEY.fullmatch(key)):
        return
    allowed = f"The fields are: {', '.join(FIELDS)}, and {EXTRA_PREFIX}NAME for anything else."
    problem = f"has {_shown(field)}, which is not a field of a contact"
    raise _error("fields", problem, _near(field, FIELDS) + allowed, part=("fields", field))


def _object(value: object, path: str, allowed: tuple[str, ...] | None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _error(path, f"is {_shown(value)} but must be an object", "")
    for key in value:
        if allowed is not None and key not in allowed:
            raise _error(path, f"has the unknown key {_shown(key)}", _choices(key, allowed))
    return value


def _list(value: object, path: str, limit: int) -> list[Any]:
    """A list; a single value is a list of one."""
    if not isinstance(value, list):
        return [value]
    if len(value) > limit:
        raise _error(path, f"is a list of {len(value)}", f"At most {limit} are possible.")
    return value


def _one_of(value: object, path: str, allowed: tuple[str, ...]) -> str:
    if isinstance(value, str) and value in allowed:
        return value
    raise _error(path, f"is {_shown(value)}, which is not known", _choices(value, allowed))


def _error(path: str, problem: str, hint: str, *, part: tuple[str, ...] | None = None) -> MappingError:
    message = f"The mapping's {path} {problem}." if path else f"The mapping {problem}."
    keys = tuple(filter(None, path.partition("[")[0].split(".")))
    return MappingError(message, hint=hint, part=keys if part is None else part)


def _choices(value: object, allowed: tuple[str, ...]) -> str:
    return f"{_near(value, allowed)}It may be: {', '.join(allowed)}."


def _near(value: object, allowed: Iterable[str]) -> str:
    near = difflib.get_close_matches(value[:_SHOWN].lower(), list(allowed), n=1) if isinstance(value, str) else []
    return f'Did you mean "{near[0]}"? ' if near else ""


def _shown(value: object) -> str:
    """A short form of a value for a message; lists and objects by their kind only."""
    if isinstance(value, str):
        return quoted(value, most=_SHOWN)
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return "null" if value is None else repr(value)[:_SHOWN]
