"""The definitions of live folders, as they are in the table: a listener needs all of each."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from contactsync.dispatch.followed import batches
from contactsync.errors import ContactsyncError
from contactsync.store.definitions import read_definitions
from contactsync.store.pool import Pool, connection_of
from contactsync.sync.definition import resolve

if TYPE_CHECKING:
    from contactsync.dispatch.followed import Followed
    from contactsync.sync.definition import Resolved


class LiveDefinitions:
    """Reads each definition once after each edit, and keeps those of the last call; for one thread."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._kept: dict[int, tuple[Followed, Resolved]] = {}

    def resolved(self, definitions: Iterable[Followed]) -> list[Resolved]:
        """These definitions parsed, without those that are gone by now, or not valid any more. Raises DatabaseError."""
        wanted = {each.definition_id: each for each in definitions}
        kept = {key: pair for key, pair in self._kept.items() if wanted.get(key) is pair[0]}
        for batch in batches(wanted.keys() - kept.keys()):
            with connection_of(self._pool) as connection:
                read = read_definitions(connection, batch)
            for definition in read:
                with suppress(ContactsyncError):
                    kept[definition.definition_id] = wanted[definition.definition_id], resolve(definition)
        self._kept = kept
        return [resolved for _, resolved in kept.values()]
