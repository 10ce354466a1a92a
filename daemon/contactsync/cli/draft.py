"""The definition that `check` and `browse` work on: stored, with changes that are not stored, or new."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from contactsync.bootstrap import bind_passwords
from contactsync.cli.changes import changes_of
from contactsync.cli.prompts import read_password
from contactsync.errors import UsageError
from contactsync.model import Definition
from contactsync.operations.definitions import with_changes
from contactsync.operations.names import find_one
from contactsync.operations.preview import Draft
from contactsync.store.pool import Pool, connection_of

if TYPE_CHECKING:
    from contactsync.cli.context import Invocation
    from contactsync.cli.options import DefinitionOptions


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
