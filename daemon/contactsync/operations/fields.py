"""Validates a definition field by field, so that a form can mark every field that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from contactsync.credentials.references import check_reference
from contactsync.errors import ContactsyncError, DefinitionError, SecretError, UsageError
from contactsync.ldap.connection.tls import check_authorities
from contactsync.ldap.dn import canonical_dn
from contactsync.ldap.query.filter import check_filter
from contactsync.ldap.query.query import parse_query
from contactsync.ldap.query.user import parse_user
from contactsync.mapping.mapping import compile_mapping
from contactsync.model import Definition
from contactsync.schedule import parse_schedule
from contactsync.settings.schema import MappingLimits
from contactsync.sync.definition import resolve
from contactsync.text import quoted

if TYPE_CHECKING:
    from contactsync.credentials.references import References

_CHARACTERS = {"folder": 200, "owner": 200, "definition": 100}
_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(Definition)}


def _check_mapping(mapping: dict[str, Any]) -> None:
    for active_directory in (False, True):
        compile_mapping(mapping, active_directory=active_directory, limits=MappingLimits())


_CHECKS: Mapping[str, Callable[[Any], object]] = {
    "query": parse_query,
    "user": parse_user,
    "base": canonical_dn,
    "filter": check_filter,
    "mapping": _check_mapping,
    "schedule": lambda schedule: parse_schedule(schedule, "UTC", 0),
    "time_zone": lambda time_zone: parse_schedule("manual", time_zone, 0),
    "jitter_seconds": lambda seconds: parse_schedule("manual", "UTC", seconds),
    "password_ref": check_reference,
    "tls_ca_pem": check_authorities,
}
_COMBINED = ("auth", "mapping", "tls", "tls_ca_file", "tls_client_cert", "tls_client_key", "user")
"""The fields that may contradict others; the first whose default solves the contradiction is reported."""


class InvalidFields(UsageError):
    """Fields of a definition are not valid."""

    def __init__(self, errors: Mapping[str, ContactsyncError]) -> None:
        first = next(iter(errors.values()))
        hints = dict.fromkeys(error.hint for error in errors.values() if error.hint)
        super().__init__(" ".join(error.message for error in errors.values()), hint=" ".join(hints))
        self.errors = errors
        self.code = first.code


def require_valid_fields(
    definition: Definition, references: References, before: Definition | None = None, *, new_password: bool = False
) -> None:
    """Raise InvalidFields unless a run accepts the definition; `new_password` comes with it.

    The names, and the reference to a password, are checked if they are other ones than `before`.
    """
    errors: dict[str, ContactsyncError] = {}
    if before is None or _names(before) != _names(definition):
        errors |= dict(_wrong_names(definition))
    errors |= field_errors(definition, new_password=new_password)
    reference = definition.password_ref
    if reference is not None and "password_ref" not in errors and (before is None or before.password_ref != reference):
        try:
            references.check(reference)
        except SecretError as error:
            errors["password_ref"] = error
    if errors:
        raise InvalidFields(errors)


def field_errors(definition: Definition, *, new_password: bool = False) -> dict[str, ContactsyncError]:
    """The error of each field that is not valid, by its name."""
    errors: dict[str, ContactsyncError] = {}
    for name, check in _CHECKS.items():
        value = getattr(definition, name)
        try:
            if value is not None:
                check(value)
        except (DefinitionError, SecretError) as error:
            errors[name] = error
    if definition.user is None and (new_password or definition.password_ref is not None):
        errors["password" if new_password else "password_ref"] = UsageError(
            "A password needs a user.", hint="Give a user, or no password for anonymous access."
        )
    if "query" in errors:
        return errors
    definition = replace(definition, **{name: _DEFAULTS[name] for name in errors if name in _DEFAULTS})
    if new_password:
        definition = replace(definition, password_sealed=b"new")
    if contradiction := _resolve_error(definition):
        errors.setdefault(_contradicting(definition), contradiction)
    return errors


def _resolve_error(definition: Definition) -> ContactsyncError | None:
    try:
        resolve(definition)
    except (DefinitionError, SecretError) as error:
        return error
    return None


def _contradicting(definition: Definition) -> str:
    changed = (name for name in _COMBINED if getattr(definition, name) != _DEFAULTS[name])
    return next(
        (name for name in changed if not _resolve_error(replace(definition, **{name: _DEFAULTS[name]}))), "query"
    )


def _names(definition: Definition) -> tuple[str, str | None, str]:
    return definition.folder, definition.owner, definition.name


def _wrong_names(definition: Definition) -> Iterator[tuple[str, ContactsyncError]]:
    for kind, name in zip(_CHARACTERS, _names(definition), strict=True):
        if name is None:
            continue
        limit = _CHARACTERS[kind]
        if not name.isprintable() or name != name.strip() or not 1 <= len(name) <= limit:
            yield (
                kind,
                UsageError(
                    f"{quoted(name)} cannot be the name of a {kind}.",
                    hint=f"A name has 1 to {limit} printable characters, and no space at either end.",
                ),
            )
        elif "/" in name or ":" in name:
            yield (
                kind,
                UsageError(
                    f"{quoted(name)} cannot be the name of a {kind}, because slash and colon separate names.",
                    hint="For a personal folder use --owner, for a second definition of a folder --definition.",
                ),
            )
