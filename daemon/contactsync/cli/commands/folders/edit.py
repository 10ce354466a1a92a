"""`contactsync folders add`, `edit`, `remove`, `pause` and `resume`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contactsync.bootstrap import bind_passwords
from contactsync.cli.changes import FILES, changes_of
from contactsync.cli.commands.folders.list import NO_DAEMON
from contactsync.cli.output.text import show_text
from contactsync.cli.prompts import confirm, read_password
from contactsync.errors import UsageError
from contactsync.operations import definitions
from contactsync.operations.fields import require_valid_fields
from contactsync.operations.names import find_all, find_one
from contactsync.store.definitions import read_overview
from contactsync.store.health import daemon_listens
from contactsync.text import counted

if TYPE_CHECKING:
    from contactsync.cli.context import Invocation
    from contactsync.cli.options import Clearable, DefinitionOptions
    from contactsync.model import Definition

_SEARCH_FIELDS = frozenset({"query", "base", "scope", "filter", "filter_only"})
"""The guard holds any deletion in the first run after an edit of these."""


def add_folder(invocation: Invocation, new: Definition, options: DefinitionOptions) -> None:
    """Store a definition and print the next step. Raises UsageError, DefinitionError, SecretError, DatabaseError."""
    passwords = bind_passwords(invocation.settings)
    definition = definitions.with_changes(new, changes_of(options))
    require_valid_fields(definition, passwords.references, new_password=options.brings_password)
    with invocation.connection(create=True) as connection:
        definitions.check_new(connection, definition)
        password = read_password(options, needed=definition.lacks_password)
        added = definitions.add(connection, passwords, definition, password, invocation.actor)
        daemon_running = daemon_listens(connection)
    show_text(invocation.out, f"Added {added.label} (schedule: {added.schedule}).")
    _warn_of_files(invocation, [added.tls_ca_file, added.tls_client_cert, added.tls_client_key])
    name = shlex.quote(added.label)
    if not added.enabled:
        show_text(invocation.out, f"It is paused. To resume it: contactsync folders resume {name}")
    elif daemon_running and added.schedule != "manual":
        show_text(invocation.out, f"The daemon runs it now. To see the result: contactsync folders show {name}")
        return
    elif not daemon_running:
        show_text(invocation.out, NO_DAEMON)
    show_text(invocation.out, f"To run it once now: contactsync sync {name}")


def edit_folder(
    invocation: Invocation, name: str, query: str | None, cleared: Sequence[Clearable], options: DefinitionOptions
) -> None:
    """Store changes of a definition and print them. Raises UsageError, DefinitionError, SecretError, DatabaseError."""
    changes = changes_of(options, query=query, cleared=cleared)
    if not (changes or options.brings_password):
        raise UsageError("There is nothing to change.", hint="See `contactsync folders edit --help`.")
    with invocation.connection() as connection:
        definition = find_one(connection, name)
        edited = definitions.with_changes(definition, changes)
        passwords = bind_passwords(invocation.settings)
        require_valid_fields(edited, passwords.references, definition, new_password=options.brings_password)
        password = read_password(options, needed=edited.lacks_password)
        changed = definitions.edit(connection, passwords, definition, edited, password, invocation.actor)
    if not changed:
        show_text(invocation.out, f"{definition.label} has these values already.")
        return
    show_text(invocation.out, f"Changed {definition.label}.")
    for field, (before, after) in changed.items():
        if field not in {"password_sealed", "password_new"}:
            show_text(invocation.out, f"  {field}: {_shown(before)} -> {_shown(after)}")
        elif field == "password_sealed" and after is not None:
            show_text(invocation.out, "  password: sealed anew")
    _warn_of_files(invocation, [after for field, (_, after) in changed.items() if field in FILES])
    if changed.keys() & _SEARCH_FIELDS:
        show_text(invocation.err, "The next run is held if it would delete contacts, because the search was edited.")


def remove_folder(invocation: Invocation, name: str, *, keep_contacts: bool, yes: bool) -> None:
    """Remove a definition after a confirmation. Raises UsageError if that is not possible, DatabaseError."""
    with invocation.connection() as connection:
        definition = find_one(connection, name)
        (row,) = read_overview(connection, [definition.definition_id])
        contacts = f"{counted(row['contacts'], 'contact')} {'kept' if keep_contacts else 'deleted'}"
        if not yes:
            confirm(f"Remove {definition.label}, with {contacts}?")
        definitions.remove(connection, definition, invocation.actor, keep_contacts=keep_contacts)
    show_text(invocation.out, f"Removed {definition.label}; {contacts}.")


def set_enabled(invocation: Invocation, name: str, *, enabled: bool) -> None:
    """Pause or resume a definition, or all definitions of a folder. Raises UsageError, DatabaseError."""
    done = "Resumed" if enabled else "Paused"
    with invocation.connection() as connection:
        named = find_all(connection, name)
        definitions.set_enabled(connection, named, invocation.actor, enabled=enabled)
    for definition in named:
        already = definition.enabled == enabled
        show_text(
            invocation.out,
            f"{definition.label} was {done.lower()} already." if already else f"{done} {definition.label}.",
        )


def _warn_of_files(invocation: Invocation, paths: Iterable[str | None]) -> None:
    for path in paths:
        if path and not Path(path).is_file():
            show_text(invocation.err, f"Warning: there is no file {path} here. The daemon needs it on its machine.")


def _shown(value: Any) -> str:
    if value is None:
        return "default"
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    lines = str(value).splitlines()
    return str(value) if len(lines) == 1 else f"{lines[0]} ({len(lines)} lines)"
