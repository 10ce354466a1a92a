"""Adds, edits, pauses and resumes definitions: checked as a run checks them, and stored whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from contactsync.credentials.bind import destination_of
from contactsync.errors import DefinitionError, SecretError, UsageError
from contactsync.model import Definition
from contactsync.store.definitions import (
    EDITABLE,
    add_definition,
    add_folder,
    edit_definition,
    read_definitions,
    remove_definition,
)
from contactsync.store.record.audit import acting
from contactsync.sync.definition import resolve

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.credentials.bind import BindPasswords
    from contactsync.model import Actor

_NAME_CHARACTERS = {"folder": 200, "owner": 200, "definition": 100}
_EXCLUDES = {"password_ref": "password_sealed", "tls_ca_file": "tls_ca_pem", "tls_ca_pem": "tls_ca_file"}
"""A value for the first field clears the second."""
_DEPENDENTS = {
    "user": {"password_sealed", "password_ref"},
    "tls_client_cert": {"tls_client_key"},
    "tls_ca_file": {"tls_ca_pem"},
}
"""Fields that are cleared together with another."""


def defaults_of(names: Iterable[str]) -> dict[str, Any]:
    """The changes that clear these fields of a definition, and those that depend on them."""
    cleared = {field for name in names for field in {name, *_DEPENDENTS.get(name, ())}}
    return {field.name: field.default for field in fields(Definition) if field.name in cleared}


def with_changes(definition: Definition, changes: Mapping[str, Any]) -> Definition:
    """The definition after these changes, neither checked nor stored. Raises UsageError if two exclude each other."""
    if changes.get("tls_ca_file") and changes.get("tls_ca_pem"):
        raise UsageError(
            "The trusted authorities can come from one place only.", hint="Give a file name or the certificates."
        )
    excluded = {_EXCLUDES[name]: None for name, value in changes.items() if value is not None and name in _EXCLUDES}
    return replace(definition, **{**changes, **excluded})


def check_valid(definition: Definition, *, new_password: bool = False) -> None:
    """Raise UsageError or DefinitionError unless a run accepts the definition; `new_password` comes with it."""
    if definition.user is None and (new_password or definition.password_ref is not None):
        raise UsageError("A password needs a user.", hint="Give a user, or no password for anonymous access.")
    try:
        resolve(definition)
    except SecretError as error:  # the form of a reference: a failure of a run, but wrong usage of an edit
        raise UsageError(error.message, hint=error.hint) from None


def check_new(connection: Connection[Any], passwords: BindPasswords, definition: Definition) -> None:
    """Raise UsageError if the label is taken, or the reference to a password is not allowed; DatabaseError."""
    if any(stored.label == definition.label for stored in read_definitions(connection, name=definition.label)):
        raise UsageError(
            f"{definition.label} exists already.",
            hint="Change it with `contactsync folders edit`, or add a second source: --definition NAME.",
        )
    _check_reference(passwords, definition)


def check_names(definition: Definition) -> None:
    """Raise UsageError unless folder, owner and definition have names that a label can be made of."""
    for kind, name in (("folder", definition.folder), ("owner", definition.owner), ("definition", definition.name)):
        if name is None:
            continue
        limit = _NAME_CHARACTERS[kind]
        if not name.isprintable() or name != name.strip() or not 1 <= len(name) <= limit:
            raise UsageError(
                f"{name!r} cannot be the name of a {kind}.",
                hint=f"A name has 1 to {limit} printable characters, and no space at either end.",
            )
        if "/" in name or ":" in name:
            raise UsageError(
                f"{name!r} cannot be the name of a {kind}, because slash and colon separate names.",
                hint="For a personal folder use --owner, for a second definition of a folder --definition.",
            )


def add(
    connection: Connection[Any], passwords: BindPasswords, definition: Definition, password: str | None, actor: Actor
) -> Definition:
    """Store a new definition, and its folder if that is new; returns it with its ids.

    Raises as `check_names`, `check_valid` and `check_new` do, SecretError, DatabaseError.
    """
    check_names(definition)
    check_valid(definition, new_password=password is not None)
    check_new(connection, passwords, definition)
    values = {field.name: getattr(definition, field.name) for field in fields(definition)}
    with acting(connection, actor):
        folder_id = add_folder(connection, definition.folder, definition.owner)
        definition_id = add_definition(connection, folder_id, _columns(values))
        definition = replace(definition, folder_id=folder_id, definition_id=definition_id)
        if password is not None:
            # The ids of the row are part of what is sealed.
            edit_definition(connection, definition, {"password_sealed": passwords.seal(definition, password)})
    return definition


def edit(
    connection: Connection[Any],
    passwords: BindPasswords,
    definition: Definition,
    edited: Definition,
    password: str | None,
    actor: Actor,
) -> dict[str, tuple[Any, Any]]:
    """Store what `with_changes` made of a stored definition; returns {field: (before, after)} of the differences.

    Raises UsageError if a reference is not allowed or the password has to be given again; as `check_valid` does;
    SecretError, DatabaseError.
    """
    check_valid(edited, new_password=password is not None)
    if edited.password_ref != definition.password_ref:
        _check_reference(passwords, edited)
    if password is None:
        password = _moved_password(passwords, definition, edited)
    if password is not None:
        edited = replace(edited, password_ref=None, password_sealed=passwords.seal(edited, password))
    pairs = {field.name: (getattr(definition, field.name), getattr(edited, field.name)) for field in fields(Definition)}
    changes = {name: (before, after) for name, (before, after) in pairs.items() if before != after}
    if changes:
        with acting(connection, actor):
            edit_definition(connection, definition, _columns({name: after for name, (_, after) in changes.items()}))
    return changes


def set_enabled(connection: Connection[Any], definitions: Iterable[Definition], actor: Actor, *, enabled: bool) -> None:
    """Resume or pause definitions, all or none. Raises DatabaseError."""
    with acting(connection, actor):
        for definition in definitions:
            edit_definition(connection, definition, {"enabled": enabled})


def remove(connection: Connection[Any], definition: Definition, actor: Actor, *, keep_contacts: bool) -> None:
    """Remove a definition; its contacts are deleted, or become people's own. Raises DatabaseError."""
    with acting(connection, actor):
        remove_definition(connection, definition, keep_contacts=keep_contacts)


def _moved_password(passwords: BindPasswords, definition: Definition, edited: Definition) -> str | None:
    """The stored password if the edit changes its destination, so that it has to be sealed again; else None.

    It has to open for the definition as it was, so that this edit does not make another person's edit valid.
    """
    if edited.password_sealed is None or _same_destination(definition, edited):
        return None
    try:
        return passwords.read(definition)
    except (SecretError, DefinitionError) as error:
        raise UsageError(
            f"The password has to be given again, because its server, user or TLS settings change. {error.message}",
            hint="Add --password-prompt or --password-stdin.",
        ) from None


def _same_destination(definition: Definition, edited: Definition) -> bool:
    try:
        return destination_of(definition) == destination_of(edited)
    except DefinitionError:  # no password was sealed for a definition that is not valid
        return False


def _check_reference(passwords: BindPasswords, definition: Definition) -> None:
    if definition.password_ref is not None:
        try:
            passwords.references.check(definition.password_ref)
        except SecretError as error:
            raise UsageError(error.message, hint=error.hint) from None


def _columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of Definition as columns of sync_definitions."""
    columns = {"bind_user" if name == "user" else name: value for name, value in values.items()}
    return {name: value for name, value in columns.items() if name in EDITABLE}
