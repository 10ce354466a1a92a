"""Options as changes of a definition, which `folders add` and `edit` store, and `check` and `browse` only try."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contactsync.bootstrap import bind_passwords
from contactsync.cli.prompts import check_input, read_mapping, read_password
from contactsync.errors import UsageError
from contactsync.model import Definition
from contactsync.operations.definitions import defaults_of, with_changes
from contactsync.operations.names import find_one
from contactsync.operations.preview import Draft
from contactsync.store.pool import Pool, connection_of

if TYPE_CHECKING:
    from contactsync.cli.context import Invocation
    from contactsync.cli.options import Clearable, DefinitionOptions

FILES = frozenset({"tls_ca_file", "tls_client_cert", "tls_client_key"})
"""Fields that name a file where the daemon runs."""


def changes_of(
    options: DefinitionOptions, *, query: str | None = None, cleared: Iterable[Clearable] = ()
) -> dict[str, Any]:
    """The changes that the options ask for, by the fields of a definition. Raises UsageError, MappingError."""
    check_input(options)
    changes = defaults_of(choice.field for choice in cleared) | options.given()
    if query is not None:
        changes["query"] = query
    if options.mapping is not None:
        changes["mapping"] = read_mapping(options.mapping)
    if options.tls_ca_pem is not None:
        changes["tls_ca_pem"] = _read_certificates(options.tls_ca_pem)
    # The daemon has another working directory.
    return changes | {name: str(Path(changes[name]).absolute()) for name in FILES & changes.keys() if changes[name]}


@contextmanager
def draft_of(
    invocation: Invocation, name: str | None, query: str | None, options: DefinitionOptions
) -> Iterator[tuple[Draft, Pool | None]]:
    """The definition of NAME, --query and the other options, and the database of a stored one.

    Raises UsageError, MappingError, DatabaseError.
    """
    changes = changes_of(options, query=query)
    if name is None:
        if query is None:
            raise UsageError(
                "Neither a NAME nor a --query is given.",
                hint="Give the NAME of a stored definition, or --query for a new one.",
            )
        yield _draft(invocation, Definition(folder_id=0, definition_id=0, folder=""), changes, options), None
        return
    with invocation.pool() as pool:
        with connection_of(pool) as connection:
            stored = find_one(connection, name)
        yield _draft(invocation, stored, changes, options), pool


def _draft(invocation: Invocation, stored: Definition, changes: dict[str, Any], options: DefinitionOptions) -> Draft:
    definition = with_changes(stored, changes)
    password = read_password(options, needed=definition.lacks_password)
    return Draft(stored, definition, bind_passwords(invocation.settings), password)


def _read_certificates(file: str) -> str:
    try:
        return Path(file).read_text(encoding="ascii")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not a file of certificates in PEM form.") from None
