"""Adds and edits definitions: checked as a run would check them, and stored whole or not at all."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contactsync.bootstrap import allowed_references, secret_box
from contactsync.cli.prompts import check_input, read_mapping, read_password
from contactsync.credentials.bind import destination_of, password_of, seal_for
from contactsync.errors import DefinitionError, SecretError, UsageError
from contactsync.store.definitions import add_definition, add_folder, edit_definition, read_definitions
from contactsync.store.errors import translated
from contactsync.sync.definition import resolve

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.cli.options import DefinitionOptions
    from contactsync.model import Definition
    from contactsync.settings import Settings

_NAME_CHARACTERS = {"folder": 200, "owner": 200, "definition": 100}
FILES = frozenset({"tls_ca_file", "tls_client_cert", "tls_client_key"})
"""Fields that name a file where the daemon runs."""
_NOT_COLUMNS = frozenset({"folder_id", "definition_id", "folder", "owner", "revision"})


def with_options(definition: Definition, options: DefinitionOptions) -> Definition:
    """A new definition with its options, checked as far as that is possible without the database.

    Raises UsageError, DefinitionError.
    """
    _check_names(definition)
    definition = replace(definition, **given_values(options))
    _check(definition, options)
    return definition


def add(
    connection: Connection[Any], settings: Settings, definition: Definition, options: DefinitionOptions
) -> Definition:
    """Store what `with_options` gave, with its password, and its folder if that is new; returns it as stored.

    Raises UsageError, SecretError, DatabaseError.
    """
    _check_free(connection, definition)
    _check_allowed(settings, options)
    password = _password(definition, options)
    values = {field.name: getattr(definition, field.name) for field in fields(definition)}
    with translated(), connection.transaction():
        folder_id = add_folder(connection, definition.folder, definition.owner)
        definition_id = add_definition(connection, folder_id, _columns(values))
        definition = replace(definition, folder_id=folder_id, definition_id=definition_id)
        if password is not None:
            # It can only be sealed for a row that has its ids.
            sealed = seal_for(definition, password, secret_box(settings))
            edit_definition(connection, definition, {"password_sealed": sealed})
    return definition


def edit(
    connection: Connection[Any],
    settings: Settings,
    definition: Definition,
    changes: dict[str, Any],
    options: DefinitionOptions,
) -> dict[str, tuple[Any, Any]]:
    """Apply changes (by the names of Definition) and options; returns {field: (before, after)} of what is new.

    Raises UsageError, DefinitionError, SecretError, DatabaseError.
    """
    changes = changes | given_values(options)
    if options.password_ref is not None:
        changes["password_sealed"] = None
    edited = replace(definition, **changes)
    _check(edited, options)
    _check_allowed(settings, options)
    password = _password(edited, options)
    if password is None:
        password = _taken_along(settings, definition, edited)
    if password is not None:
        changes |= {"password_ref": None, "password_sealed": seal_for(edited, password, secret_box(settings))}
    news = {name: (getattr(definition, name), value) for name, value in changes.items()}
    news = {name: (before, after) for name, (before, after) in news.items() if before != after}
    if news:
        edit_definition(connection, definition, _columns({name: after for name, (_, after) in news.items()}))
    return news


def given_values(options: DefinitionOptions) -> dict[str, Any]:
    """The options as fields of a definition. Raises UsageError, MappingError."""
    check_input(options)
    values = options.given()
    if options.mapping is not None:
        values["mapping"] = read_mapping(options.mapping)
    for name in FILES & values.keys():
        # The daemon runs in a directory of its own.
        values[name] = str(Path(values[name]).absolute())
    return values | _authorities(options)


def _authorities(options: DefinitionOptions) -> dict[str, str | None]:
    """One of the two ways to say whom to trust takes the place of the other."""
    if options.tls_ca_pem is None:
        return {"tls_ca_pem": None} if options.tls_ca_file is not None else {}
    if options.tls_ca_file is not None:
        raise UsageError("The authorities can come from one place only.", hint="Give --ca-file or --ca-pem.")
    try:
        return {"tls_ca_file": None, "tls_ca_pem": Path(options.tls_ca_pem).read_text(encoding="ascii")}
    except OSError as error:
        raise UsageError(f"{options.tls_ca_pem} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"{options.tls_ca_pem} is not a file of certificates in PEM form.") from None


def _check(definition: Definition, options: DefinitionOptions) -> None:
    """Raise UsageError or DefinitionError when the definition as it will be makes no sense."""
    wanted = options.password_stdin or options.password_prompt or definition.password_ref is not None
    if wanted and definition.user is None:
        raise UsageError("A password needs a user.", hint="Give --user, or no password to ask anonymously.")
    try:
        resolve(definition)
    except SecretError as error:  # a reference that is written wrongly: for a run a failure, here wrong usage
        raise UsageError(error.message, hint=error.hint) from None


def _password(definition: Definition, options: DefinitionOptions) -> str | None:
    """The password to be sealed; None when there is none, or when the stored one stays."""
    return read_password(options, needed=definition.lacks_password)


def _taken_along(settings: Settings, definition: Definition, edited: Definition) -> str | None:
    """The stored password when an edit has it go elsewhere, so that it can be sealed for that; None when it can stay.

    Who holds the key may say so. It must have been good for the definition as it was: nobody's edit before this one is
    made good by it. Raises UsageError.
    """
    if edited.password_sealed is None or _same_destination(definition, edited):
        return None
    try:
        return password_of(definition, lambda: secret_box(settings), {}, allowed_references(settings))
    except (SecretError, DefinitionError) as error:
        raise UsageError(
            f"The password has to be given again, since it would be sent elsewhere or otherwise. {error.message}",
            hint="Add --password-prompt or --password-stdin.",
        ) from None


def _same_destination(definition: Definition, edited: Definition) -> bool:
    try:
        return destination_of(definition) == destination_of(edited)
    except DefinitionError:  # what is stored makes no sense, so no password was sealed for it
        return False


def _check_allowed(settings: Settings, options: DefinitionOptions) -> None:
    """Raise UsageError for a reference that the settings of this machine do not allow."""
    if options.password_ref is not None:
        try:
            allowed_references(settings).check(options.password_ref)
        except SecretError as error:
            raise UsageError(error.message, hint=error.hint) from None


def _check_names(definition: Definition) -> None:
    for what, name in (("folder", definition.folder), ("owner", definition.owner), ("definition", definition.name)):
        if name is None:
            continue
        most = _NAME_CHARACTERS[what]
        if not name.isprintable() or name != name.strip() or not 1 <= len(name) <= most:
            raise UsageError(
                f"{name!r} cannot be the name of a {what}.",
                hint=f"A name has 1 to {most} printable characters and no space at its ends.",
            )
        if "/" in name or ":" in name:
            raise UsageError(
                f"{name!r} cannot be the name of a {what}: slash and colon stand between names.",
                hint="For a personal folder use --owner, for a second definition of a folder --definition.",
            )


def _check_free(connection: Connection[Any], wanted: Definition) -> None:
    if any(definition.label == wanted.label for definition in read_definitions(connection)):
        raise UsageError(
            f"{wanted.label} exists already.",
            hint="Change it with `contactsync folders edit`, or add a second source: --definition NAME.",
        )


def _columns(values: dict[str, Any]) -> dict[str, Any]:
    """Fields of Definition as columns of sync_definitions."""
    kept = {name: value for name, value in values.items() if name not in _NOT_COLUMNS}
    return {"bind_user" if name == "user" else name: value for name, value in kept.items()}
