"""The definition that `check` and `browse` look at: a stored one, one with edits that are not saved, or a new one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from contactsync.bootstrap import allowed_references, secret_box
from contactsync.cli.edits import given_values
from contactsync.cli.prompts import read_password
from contactsync.credentials.bind import password_of
from contactsync.errors import UsageError
from contactsync.model import Definition
from contactsync.operations.names import find_one
from contactsync.store.pool import Pool, connection_of

if TYPE_CHECKING:
    from contactsync.cli.context import Invocation
    from contactsync.cli.options import DefinitionOptions


@dataclass(frozen=True, slots=True)
class Draft:
    """`stored` is the database when the definition is in its table just like this; `password` is called when needed."""

    definition: Definition
    password: Callable[[], str | None]
    stored: Pool | None

    @property
    def label(self) -> str | None:
        """The name of the definition; None for one that has none yet."""
        return self.definition.label if self.definition.definition_id else None


@contextmanager
def draft_of(
    invocation: Invocation, name: str | None, query: str | None, options: DefinitionOptions
) -> Iterator[Draft]:
    """What NAME, --query and the other options stand for. Raises UsageError, MappingError, DatabaseError."""
    if name is None and query is None:
        raise UsageError(
            "There is nothing to look at.", hint="Give the NAME of a folder, or --query with what you want to add."
        )
    edits = given_values(options) | ({} if query is None else {"query": query})
    if options.password_ref is not None:
        edits["password_sealed"] = None
    with ExitStack() as stack:
        before, pool = Definition(folder_id=0, definition_id=0, folder=""), None
        if name is not None:
            pool = stack.enter_context(invocation.pool())
            with connection_of(pool) as connection:
                before = find_one(connection, name)
        definition = replace(before, **edits)
        typed = read_password(options, needed=definition.lacks_password)

        # A stored password is one for the definition as it is stored; who holds the key may try it elsewhere.
        holder = before if definition.password_sealed is not None else definition

        def password() -> str | None:
            settings = invocation.settings
            return typed or password_of(holder, lambda: secret_box(settings), os.environ, allowed_references(settings))

        yield Draft(definition, password, stored=None if edits or typed else pool)
