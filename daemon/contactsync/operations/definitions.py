"""Adds, edits, pauses and resumes definitions: checked as a run checks them, and stored whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from contactsync.credentials.bind import destination_of
from contactsync.errors import DefinitionError, UsageError
from contactsync.ldap.connection.options import missing_password
from contactsync.model import Definition
from contactsync.operations.fields import InvalidFields, require_valid_fields
from contactsync.store.definitions import (
    EDITABLE,
    add_definitions,
    add_folders,
    edit_definition,
    find_folder,
    read_definitions,
    remove_definition,
    rename_folder,
)
from contactsync.store.record.audit import acting
from contactsync.text import quoted

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.credentials.bind import BindPasswords
    from contactsync.model import Actor

_EXCLUDES = {"password_ref": "password_sealed", "tls_ca_file": "tls_ca_pem", "tls_ca_pem": "tls_ca_file"}
"""A value for the first field clears the second."""
_DEPENDENTS = {
    "user": {"password_sealed", "password_new", "password_ref"},
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


def check_new(connection: Connection[Any], definition: Definition) -> None:
    """Raise UsageError if the label is taken; DatabaseError."""
    if any(stored.label == definition.label for stored in read_definitions(connection, name=definition.label)):
        raise UsageError(
            f"{definition.label} exists already.",
            hint="Change it with `contactsync folders edit`, or add a second source: --definition NAME.",
        )


def add(
    connection: Connection[Any], passwords: BindPasswords, definition: Definition, password: str | None, actor: Actor
) -> Definition:
    """Store a new definition, and its folder if that is new; returns it with its ids.

    Raises InvalidFields, UsageError if its label is taken, SecretError, DatabaseError.
    """
    require_valid_fields(definition, passwords.references, new_password=password is not None)
    if definition.lacks_password and password is None:
        raise InvalidFields({"password": missing_password(definition.user)})
    check_new(connection, definition)
    return store_new(connection, passwords, definition, password, actor)


def store_new(
    connection: Connection[Any], passwords: BindPasswords, definition: Definition, password: str | None, actor: Actor
) -> Definition:
    """Store a new definition that was checked; returns it with its ids. Raises SecretError, DatabaseError."""
    (stored,) = store_all_new(connection, passwords, [(definition, password)], actor)
    return stored


def store_all_new(
    connection: Connection[Any], passwords: BindPasswords, new: Sequence[tuple[Definition, str | None]], actor: Actor
) -> list[Definition]:
    """The same for many definitions with their passwords, in a few round trips."""
    with acting(connection, actor):
        folders = add_folders(connection, [(each.folder, each.owner) for each, _ in new])
        rows = [(folders[each.folder, each.owner], _columns(_values(each))) for each, _ in new]
        stored = [
            replace(definition, folder_id=folder_id, definition_id=definition_id)
            for (definition, _), (folder_id, _), definition_id in zip(
                new, rows, add_definitions(connection, rows), strict=True
            )
        ]
        for definition, (_, password) in zip(stored, new, strict=True):
            if password is not None:
                # The ids of the row are part of what is sealed.
                edit_definition(connection, definition, {"password_sealed": passwords.seal(definition, password)})
    return stored


def _values(definition: Definition) -> dict[str, Any]:
    return {field.name: getattr(definition, field.name) for field in fields(definition)}


def edit(
    connection: Connection[Any],
    passwords: BindPasswords,
    definition: Definition,
    edited: Definition,
    password: str | None,
    actor: Actor,
) -> dict[str, tuple[Any, Any]]:
    """Store what `with_changes` made of a stored definition; returns {field: (before, after)} of the differences.

    A stored password is not used for other servers, another user or other TLS settings: it has to be given again.
    Raises InvalidFields, UsageError if the new label is taken, SecretError, DatabaseError.
    """
    require_valid_fields(edited, passwords.references, definition, new_password=password is not None)
    if password is None:
        require_password(definition, edited)
    if (edited.folder, edited.owner) != (definition.folder, definition.owner):
        _check_folder(connection, edited)
    if edited.label != definition.label:
        check_new(connection, edited)
    return store_edited(connection, passwords, definition, edited, password, actor)


def store_edited(
    connection: Connection[Any],
    passwords: BindPasswords,
    definition: Definition,
    edited: Definition,
    password: str | None,
    actor: Actor,
) -> dict[str, tuple[Any, Any]]:
    """Store the edit of a definition that was checked; returns the differences as `edit` does.

    Raises SecretError, DatabaseError.
    """
    if password is not None:
        edited = replace(edited, password_ref=None, password_sealed=passwords.seal(edited, password))
    pairs = {field.name: (getattr(definition, field.name), getattr(edited, field.name)) for field in fields(Definition)}
    changes = {name: (before, after) for name, (before, after) in pairs.items() if before != after}
    if changes:
        with acting(connection, actor):
            if changes.keys() & {"folder", "owner"}:
                rename_folder(connection, definition.folder_id, edited.folder, edited.owner)
            if columns := _columns({name: after for name, (_, after) in changes.items()}):
                edit_definition(connection, definition, columns)
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


def clear_password(connection: Connection[Any], definition: Definition, actor: Actor) -> None:
    """Remove the password of a definition, or the reference to it. Raises DatabaseError."""
    with acting(connection, actor):
        edit_definition(connection, definition, {"password_sealed": None, "password_new": None, "password_ref": None})


def _check_folder(connection: Connection[Any], renamed: Definition) -> None:
    """Raise InvalidFields if another folder has the new name."""
    if find_folder(connection, renamed.folder, renamed.owner) not in {None, renamed.folder_id}:
        error = UsageError(
            f"There is a folder {quoted(renamed.folder_label)} already.", hint="Choose another name for this one."
        )
        raise InvalidFields({"folder": error})


def require_password(definition: Definition, edited: Definition) -> None:
    """Raise InvalidFields if the edit needs a password that was not given."""
    if (edited.password_sealed or edited.password_new) and not _same_destination(definition, edited):
        raise InvalidFields(
            {
                "password": UsageError(
                    "The password has to be given again, because its server, user or TLS settings change.",
                    hint="Give the password together with the edit: on the command line with --password-prompt.",
                )
            }
        )
    if edited.lacks_password and not definition.lacks_password:
        raise InvalidFields({"password": missing_password(edited.user)})


def _same_destination(definition: Definition, edited: Definition) -> bool:
    try:
        return destination_of(definition) == destination_of(edited)
    except DefinitionError:  # no password was sealed for a definition that is not valid
        return False


def _columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of Definition as columns of sync_definitions."""
    columns = {"bind_user" if name == "user" else name: value for name, value in values.items()}
    return {name: value for name, value in columns.items() if name in EDITABLE}
