"""What of a document an actor may see."""

from __future__ import annotations

from dataclasses import fields as fields_of
from typing import TYPE_CHECKING, TypeVar

from contactsync.model import Definition, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from contactsync.operations.access.rights import Access
    from contactsync.operations.preview import ChangeDocument
    from contactsync.operations.reading.definitions import DefinitionOverview
    from contactsync.operations.reading.runs import RunShown
    from contactsync.sync.document import RunDocument

_OF_ENTRIES = frozenset({"source_dn"})
"""Fields of contacts that name directory entries."""
_SETTINGS = {field.name: field.default for field in fields_of(Definition)} | {
    "query": "", "bind_user": None, "password_stored": False, "reason": None, "why_not_live": None, "in_effect": None,
}  # fmt: skip
"""What a viewer sees in place of settings, and of sentences that name servers."""
_SHOWN = frozenset({"folder_id", "definition_id", "folder", "owner", "schedule", "time_zone", "enabled", "revision"})
Value = TypeVar("Value")
Overview = TypeVar("Overview", bound="DefinitionOverview")


def visible_definition(access: Access, definition: Overview) -> Overview:
    """A definition without its settings, for an actor who may only see the contacts of its folder."""
    if access.sees_settings(definition.folder_id):
        return definition
    hidden = type(definition).model_fields.keys() & _SETTINGS.keys() - _SHOWN
    return definition.model_copy(update={name: _SETTINGS[name] for name in hidden})


def visible_fields(access: Access, fields: dict[str, Value]) -> dict[str, Value]:
    """The fields of a contact, or their changes, without names of entries for an actor who may not see them."""
    return fields if access.sees_entries else {name: fields[name] for name in fields.keys() - _OF_ENTRIES}


def hide_entries(access: Access, changes: Iterable[ChangeDocument]) -> None:
    """Remove the names of entries from changes, for an actor who may not see them."""
    for change in changes:
        change.fields = visible_fields(access, change.fields)


def hide_settings(access: Access, runs: Iterable[RunDocument]) -> None:
    """Remove from runs what names servers and users, for an actor who may only see the contacts of their folders."""
    for run in runs:
        if not access.sees_settings(run.folder_id):
            run.server = run.full_reason = run.error = None
            run.skipped_servers = []


def visible_run(access: Access, run: RunShown) -> RunShown:
    """A run without settings, a held plan and entries, for an actor who may not see them."""
    hide_settings(access, [run])
    if not access.sees_entries:
        run.rejected_entries, run.trimmed_values = [], []
        if run.outcome is Outcome.HELD:
            run.changes = []
        hide_entries(access, run.changes)
    return run
