"""Incremental reading: whether a run may read only what changed since the last run, and how.

A cursor is used as long as there is no reason to doubt it. Otherwise all entries are read, which is always correct.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from contactsync.errors import CursorVoid
from contactsync.ldap.changes.base import Changed, Changes, Cursor
from contactsync.ldap.changes.content_sync import ContentSync
from contactsync.ldap.changes.counters_389 import Counters
from contactsync.ldap.changes.usn import UsnChanges
from contactsync.model import Mode
from contactsync.store.record.cursors import KeptCursor, begin_cursor, read_cursor

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.ldap.connection.session import Session
    from contactsync.ldap.search import SearchRequest
    from contactsync.model import Definition
    from contactsync.sync.definition import Source

FULL = "full"
INCREMENTAL_MODES = frozenset({"incremental", "live"})
"""The modes in which even small folders are read incrementally; `auto` reads those completely."""


@dataclass(frozen=True, slots=True)
class SearchScope:
    """The request of a run and the server that it goes to: what a cursor is valid for."""

    definition: Definition
    session: Session
    request: SearchRequest
    source: Source
    digest: bytes

    @property
    def context(self) -> bytes:
        """Digest (16 bytes) of the scope."""
        parts = [
            self.digest.hex(),
            self.source.mapping.digest.hex(),
            sorted(self.request.attributes),
            self.session.server,
            self.session.user,
        ]
        return blake2b(json.dumps(parts).encode(), digest_size=16).digest()


class Increments:
    """The changes since the last run, or the reason why one attempt of a run has to read all entries.

    `full_reason` is that reason, or None. With `trusted` the cursor is valid all the same: a full run should then find
    no more changes than `since` reports.
    """

    def __init__(self, connection: Connection[Any], scope: SearchScope, *, full_seconds: float) -> None:
        self.full_reason: str | None = None
        self.trusted = False
        self._connection = connection
        self._scope = scope
        self._changes: Changes | None = None
        self._stored: KeptCursor | None = None
        self._choose(full_seconds)

    def since(self) -> Iterator[Changed]:
        """What changed since the last run; raises CursorVoid, DirectoryError."""
        if self._changes is None or self._stored is None:
            raise CursorVoid("There is no cursor.")
        yield from self._changes.since(_cursor(self._stored))

    @property
    def mode(self) -> Mode:
        """The mode of a run that reads only the changes."""
        return Mode.INCREMENTAL if self._changes is None or self._changes.reports_entries else Mode.COUNTERS

    @property
    def all_listed(self) -> bool:
        """See contactsync.ldap.changes.base.Changes."""
        return self._changes is not None and self._changes.all_listed

    @property
    def unreported_fields(self) -> tuple[str, ...]:
        """Fields that may change without a report by the directory."""
        silent = self._changes.unreported_attributes if self._changes else frozenset()
        sources = self._scope.source.mapping.sources
        # The history has all of `extra` as one field.
        return tuple(sorted({name.partition(".")[0] for name, used in sources.items() if used & silent}))

    @property
    def confirm_seconds(self) -> float | None:
        """See contactsync.ldap.changes.base.Changes."""
        return self._changes.confirm_seconds if self._changes else None

    def cursor_after_changes(self) -> KeptCursor | None:
        """The cursor once the changes from `since` are applied; None if the next run has to read all entries."""
        return self._to_store(self._changes.cursor if self._changes else None)

    def cursor_before_search(self, run_id: int) -> KeptCursor | None:
        """The cursor once a full search that starts now is applied; None if no incremental run can follow.

        Raises DirectoryError, DatabaseError.
        """
        stored = self._stored
        before = _cursor(stored) if stored and stored.context == self._scope.context else None
        cursor = self._to_store(self._changes.current_cursor(before) if self._changes else None)
        if cursor and not begin_cursor(self._connection, self._scope.definition, run_id=run_id):
            return None
        return cursor

    def moved(self, cursor: KeptCursor) -> bool:
        """Whether a cursor differs from the stored one."""
        stored = self._stored
        return stored is None or (stored.value, stored.context) != (cursor.value, cursor.context)

    def _choose(self, full_seconds: float) -> None:
        scope = self._scope
        if scope.definition.mode == FULL:
            self.full_reason = "The definition's mode is full."
            return
        self._stored = read_cursor(self._connection, scope.definition)
        self.full_reason = self._doubt(full_seconds)
        changes = changes_for(scope.session, scope.request, scope.source.mapping.identity)
        obstacle = changes.obstacle(quick=self.full_reason is None)
        if obstacle:
            self.full_reason = f"There is no other way: {obstacle}."
            self.trusted = False
            return
        self._changes = changes

    def _doubt(self, full_seconds: float) -> str | None:
        stored = self._stored
        if stored is None:
            return "No earlier run has stored a cursor."
        if stored.context != self._scope.context:
            return "The definition or the server has changed since the last run."
        if stored.touched:
            return "A contact was changed here since the last run."
        self.trusted = True
        if not 0 <= stored.seconds < full_seconds:
            return f"The last full run was {stored.seconds / 3600:.1f} hours ago."
        return None

    def _to_store(self, cursor: Cursor | None) -> KeptCursor | None:
        return KeptCursor(cursor.kind, cursor.value, cursor.server, self._scope.context) if cursor else None


def changes_for(session: Session, request: SearchRequest, identity: Sequence[str]) -> Changes:
    """The best protocol for changes that the server may support; `obstacle` says whether it does."""
    protocol: type[Changes] = ContentSync
    if session.root_dse.is_389_directory_server:
        protocol = Counters
    elif session.root_dse.is_active_directory:
        protocol = UsnChanges
    return protocol(session, request, identity)


def _cursor(stored: KeptCursor) -> Cursor:
    return Cursor(stored.kind, stored.value, stored.server)
