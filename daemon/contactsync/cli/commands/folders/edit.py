"""`contactsync folders add`, `edit`, `remove`, `pause` and `resume`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contactsync.cli.api import definition_of, items
from contactsync.cli.changes import FILES, body_of, with_password
from contactsync.cli.commands.folders.list import NO_DAEMON
from contactsync.cli.output.text import show_json, show_text
from contactsync.cli.prompts import confirm
from contactsync.errors import UsageError
from contactsync.text import counted

if TYPE_CHECKING:
    from contactsync.cli.context import Invocation
    from contactsync.cli.options import Clearable, DefinitionOptions

_SEARCH_FIELDS = frozenset({"query", "base", "scope", "filter", "filter_only"})
"""The guard holds any deletion in the first run after an edit of these."""


def add_folder(
    invocation: Invocation, names: dict[str, Any], query: str, options: DefinitionOptions, *, as_json: bool
) -> None:
    """Store a definition and print the next step; `names` are folder, owner, definition and `enabled`.

    Raises UsageError, DefinitionError, SecretError, DatabaseError.
    """
    body = body_of(options, query=query) | names
    with invocation.api() as api:
        added = with_password(lambda new: api.post("/v1/definitions", new), body, options)
        daemon_running = api.is_daemon or _daemon_listens(invocation)
    if as_json:
        show_json(invocation.out, added)
        return
    show_text(invocation.out, f"Added {added['label']} (schedule: {added['schedule']}).")
    _warn_of_files(invocation, [added[name] for name in sorted(FILES)])
    name = shlex.quote(added["label"])
    if not added["enabled"]:
        show_text(invocation.out, f"It is paused. To resume it: contactsync folders resume {name}")
    elif daemon_running and added["schedule"] != "manual":
        show_text(invocation.out, f"The daemon runs it now. To see the result: contactsync folders show {name}")
        return
    elif not daemon_running:
        show_text(invocation.out, NO_DAEMON)
    show_text(invocation.out, f"To run it once now: contactsync sync {name}")


def edit_folder(
    invocation: Invocation,
    name: str,
    query: str | None,
    cleared: Sequence[Clearable],
    options: DefinitionOptions,
    *,
    as_json: bool,
) -> None:
    """Store changes of a definition and print them. Raises UsageError, DefinitionError, SecretError, DatabaseError."""
    from contactsync.operations.declared.fields import NewDefinition

    body = body_of(options, query=query, cleared=cleared)
    if not (body or options.brings_password):
        raise UsageError("There is nothing to change.", hint="See `contactsync folders edit --help`.")
    with invocation.api() as api:
        path = f"/v1/definitions/{definition_of(api, name)['definition_id']}"
        before = api.get(path)
        sealed: list[bool] = []

        def patch(changes: Mapping[str, Any]) -> Any:
            sealed.append("password" in changes)
            return api.patch(path, changes)

        after = with_password(patch, body, options, explain=True)
    if as_json:
        show_json(invocation.out, after)
        return
    changed = [field for field in NewDefinition.model_fields if field in after and before[field] != after[field]]
    if not (changed or sealed[-1]):
        show_text(invocation.out, f"{after['label']} has these values already.")
        return
    show_text(invocation.out, f"Changed {after['label']}.")
    for field in changed:
        show_text(invocation.out, f"  {field}: {_shown(before[field])} -> {_shown(after[field])}")
    if sealed[-1]:
        show_text(invocation.out, "  password: sealed anew")
    _warn_of_files(invocation, [after[field] for field in changed if field in FILES])
    if _SEARCH_FIELDS.intersection(changed):
        show_text(invocation.err, "The next run is held if it would delete contacts, because the search was edited.")


def remove_folder(invocation: Invocation, name: str, *, keep_contacts: bool, yes: bool, as_json: bool) -> None:
    """Remove a definition after a confirmation. Raises UsageError if that is not possible, DatabaseError."""
    with invocation.api() as api:
        path = f"/v1/definitions/{definition_of(api, name)['definition_id']}"
        definition = api.get(path)
        contacts = f"{counted(definition['contacts'], 'contact')} {'kept' if keep_contacts else 'deleted'}"
        if not yes:
            confirm(f"Remove {definition['label']}, with {contacts}?")
        removed = api.delete(path, keep_contacts=keep_contacts)
    if as_json:
        show_json(invocation.out, removed)
    else:
        show_text(invocation.out, f"Removed {removed['label']}; {contacts}.")


def set_enabled(invocation: Invocation, name: str, *, enabled: bool, as_json: bool) -> None:
    """Pause or resume a definition, or all definitions of a folder. Raises UsageError, DatabaseError."""
    verb, done = ("resume", "Resumed") if enabled else ("pause", "Paused")
    with invocation.api() as api:
        named = list(items(api, "/v1/definitions", "definitions", name=name))
        answers = [api.post(f"/v1/definitions/{row['definition_id']}/{verb}") for row in named]
    if as_json:
        show_json(invocation.out, answers)
        return
    for row in named:
        already = f"{row['label']} was {done.lower()} already."
        show_text(invocation.out, already if row["enabled"] == enabled else f"{done} {row['label']}.")


def _daemon_listens(invocation: Invocation) -> bool:
    from contactsync.store.health import daemon_listens

    with invocation.connection() as connection:
        return daemon_listens(connection)


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
