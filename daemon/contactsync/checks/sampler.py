"""Reads the first entries that a definition selects, and maps them, without a change."""

from __future__ import annotations

from dataclasses import dataclass, replace

from contactsync.checks.context import Password
from contactsync.checks.searches import Search, ask_for_some
from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.dn import is_within
from contactsync.mapping.mapping import Mapping
from contactsync.model import Definition, MappedEntry, RejectedEntry
from contactsync.sync.definition import open_directory, resolve, source_of
from contactsync.sync.options import RunOptions

_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Sampled:
    """The first entries as a run maps them; `more` if there are others. `active_directory` selects the preset."""

    server: str
    active_directory: bool
    mapping: Mapping
    entries: tuple[MappedEntry | RejectedEntry, ...]
    more: bool


def sample(definition: Definition, password: Password, options: RunOptions, *, limit: int) -> Sampled:
    """At most `limit` entries that a run would read now. Raises DefinitionError, SecretError, DirectoryError."""
    resolved = resolve(replace(definition, schedule="manual"))
    with open_directory(resolved, options, password(), Deadline(_SECONDS)) as session:
        source = source_of(session, resolved, options.map_limits)
        search = Search(source.base, source.scope, source.filter, source.attributes, source.refused_hint)
        answer = ask_for_some(session, search, options.read_limits(Deadline(_SECONDS)), most=limit)
        excluded = source.excluded_base
        entries = tuple(
            source.mapping.map(b"", entry)
            for entry in answer.entries[:limit]
            if not (excluded and is_within(entry.dn, excluded))
        )
        active_directory = session.root_dse.is_active_directory
        return Sampled(session.server, active_directory, source.mapping, entries, answer.more)
