"""Which edits of a definition a person at the web console may make who is no administrator."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from typing import TYPE_CHECKING

from contactsync.errors import DefinitionError, FieldsNotPermitted, OutOfScope
from contactsync.ldap.query.query import parse_query
from contactsync.model import Definition
from contactsync.operations.access.machine import same_destination, uses_machine
from contactsync.operations.access.person import Role, role_missing
from contactsync.schedule import parse_schedule

if TYPE_CHECKING:
    from contactsync.ldap.query.query import DirectoryQuery
    from contactsync.operations.access.person import PersonAccess
    from contactsync.settings.web import Web

_EDITABLE = frozenset({"query", "user", "base", "scope", "filter", "schedule", "time_zone", "enabled"})
_PASSWORDS = frozenset({"password_sealed", "password_new", "password_ref"})
"""An edit of other fields may remove them; a new password comes beside the definition."""
_WHERE = frozenset({"folder", "owner", "name"})


def require_permitted_to_person(
    access: PersonAccess, stored: Definition, edited: Definition, *, new_password: bool
) -> None:
    """Raise Forbidden unless this person may make of a stored or empty definition what `edited` is.

    No server is contacted and no name is looked up before this.
    """
    is_new = stored.folder_id == 0
    if not is_new:
        access.require_role(stored)
    _require_fields(access.rules, stored, edited, is_new=is_new)
    if is_new:
        _require_own_folder(access, edited)
    if is_new or (stored.schedule, stored.time_zone) != (edited.schedule, edited.time_zone):
        _require_schedule(access.rules, edited)
    _require_servers(access.rules, stored, edited)
    if uses_machine(edited, new_password=new_password) and not same_destination(stored, edited):
        raise FieldsNotPermitted(
            "Only an administrator may change the servers, the user or the TLS settings of a definition that"
            " authenticates by a reference, a ticket or a certificate of the daemon's machine.",
            hint="Give a password together with the edit, or ask an administrator.",
            fields=["query", "user"],
        )


def require_may_add(access: PersonAccess) -> None:
    """Raise RoleMissing unless people may have personal folders."""
    if not access.rules.personal_folders:
        raise role_missing(Role.ADMINISTRATOR)


def _require_fields(rules: Web, stored: Definition, edited: Definition, *, is_new: bool) -> None:
    allowed = _EDITABLE | ({"mapping"} if rules.editors_map else set()) | (_WHERE if is_new else set())
    names = [field.name for field in fields(Definition)]
    changed = [name for name in names if getattr(stored, name) != getattr(edited, name)]
    refused = [
        name for name in changed if name not in allowed and not (name in _PASSWORDS and getattr(edited, name) is None)
    ]
    if refused:
        shown = ["definition" if name == "name" else name for name in refused]
        raise FieldsNotPermitted(
            f"Only an administrator may set {', '.join(f'`{name}`' for name in shown)}.",
            hint="Leave it out, or ask an administrator.",
            fields=shown,
        )


def _require_own_folder(access: PersonAccess, edited: Definition) -> None:
    require_may_add(access)
    if edited.folder_id == 0 and edited.definition_id < 0:
        return  # a draft has no folder yet
    if not access.is_named(edited.owner):
        raise OutOfScope(
            "You may add only personal folders of your own.",
            hint=f"Set the owner to {access.name}, or ask an administrator.",
        )


def _require_schedule(rules: Web, edited: Definition) -> None:
    try:
        timetable = parse_schedule(edited.schedule, edited.time_zone, 0)
    except DefinitionError:
        return  # the check of the fields says more
    if timetable is not None and timetable.instants.shortest < timedelta(minutes=rules.least_minutes):
        raise FieldsNotPermitted(
            f"A schedule of a folder may not be shorter than {rules.least_minutes} minutes.",
            hint=f"Set `every {rules.least_minutes}m` or longer, or ask an administrator.",
            fields=["schedule"],
        )


def _require_servers(rules: Web, stored: Definition, edited: Definition) -> None:
    if edited.query == stored.query:
        return
    try:
        query = parse_query(edited.query)
    except DefinitionError:
        return  # it cannot be used, and the check of the fields says more
    if not _places(query) <= _permitted(rules) | _places_of(stored):
        raise FieldsNotPermitted(
            "This directory server is not one of those that people may use.",
            hint="Use one that is there already, or ask an administrator: [web] directories in settings.toml.",
            fields=["query"],
        )


def _permitted(rules: Web) -> set[object]:
    return {place for word in rules.directories.split() for place in _places(parse_query(word))}


def _places_of(stored: Definition) -> set[object]:
    try:
        return _places(parse_query(stored.query)) if stored.query else set()
    except DefinitionError:
        return set()


def _places(query: DirectoryQuery) -> set[object]:
    """The servers that a query leads to; for one without servers, the domain whose servers DNS names."""
    servers: set[object] = {(server.host, server.port_or_default, server.ldaps) for server in query.servers}
    return servers or {query.domain}
