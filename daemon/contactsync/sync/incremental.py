"""Whether a run may ask only for what changed since the last one, and the asking.

A cursor counts for as long as nothing gives reason to doubt it; else everything is read, which is always right.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from contactsync.ldap.changes.base import Changed, Changes, Cursor, CursorVoid
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
AT_ONCE = frozenset({"incremental", "live"})
"""What a definition's mode may ask for; `auto` reads small folders as a whole."""


@dataclass(frozen=True, slots=True)
class SearchScope:
    """What a search asks for, and of whom: the frame that a cursor counts in."""

    definition: Definition
    session: Session
    request: SearchRequest
    source: Source
    digest: bytes

    @property
    def context(self) -> bytes:
        """Stands for all of it, in 16 octets."""
        parts = [
            self.digest.hex(),
            self.source.mapping.digest.hex(),
            sorted(self.request.attributes),
            self.session.server,
            self.session.user,
        ]
        return blake2b(json.dumps(parts).encode(), digest_size=16).digest()


class Increments:
    """How one attempt of a run is to be made.

    `full_reason` says why everything has to be read; None when the changes are enough. With `trusted` the
    cursor is valid all the same, and a full run should find no more than `since` reports.
    """

    def __init__(self, connection: Connection[Any], asked: SearchScope, *, full_seconds: float) -> None:
        self.full_reason: str | None = None
        self.trusted = False
        self._connection = connection
        self._asked = asked
        self._changes: Changes | None = None
        self._kept: KeptCursor | None = None
        self._choose(full_seconds)

    def since(self) -> Iterator[Changed]:
        """What changed since the last run; raises CursorVoid, DirectoryError."""
        if self._changes is None or self._kept is None:
            raise CursorVoid("There is no cursor.")
        yield from self._changes.since(_told_by(self._kept))

    @property
    def mode(self) -> Mode:
        """What a run asks for that reads no more than it has to."""
        return Mode.INCREMENTAL if self._changes is None or self._changes.reports_entries else Mode.COUNTERS

    @property
    def all_listed(self) -> bool:
        """See contactsync.ldap.changes.base.Changes."""
        return self._changes is not None and self._changes.all_listed

    @property
    def unreported_fields(self) -> tuple[str, ...]:
        """Fields that may change without the directory telling."""
        silent = self._changes.unreported_attributes if self._changes else frozenset()
        sources = self._asked.source.mapping.sources
        # The history has all of `extra` as one.
        return tuple(sorted({name.partition(".")[0] for name, used in sources.items() if used & silent}))

    def cursor_after_changes(self) -> KeptCursor | None:
        """Up to where the folder is once what `since` gave is applied; None when the next run has to read all."""
        return self._to_keep(self._changes.cursor if self._changes else None)

    def cursor_before_search(self, run_id: int) -> KeptCursor | None:
        """Up to where the folder is once a full search that begins now is applied; None when no increment is possible.

        `run_id` is whose search it is. Raises DirectoryError, DatabaseError.
        """
        kept = self._kept
        before = _told_by(kept) if kept and kept.context == self._asked.context else None
        cursor = self._to_keep(self._changes.current_cursor(before) if self._changes else None)
        if cursor and not begin_cursor(self._connection, self._asked.definition, run_id=run_id):
            return None
        return cursor

    def moved(self, cursor: KeptCursor) -> bool:
        """Whether a cursor is another one than that which is stored."""
        kept = self._kept
        return kept is None or (kept.value, kept.context) != (cursor.value, cursor.context)

    def _choose(self, full_seconds: float) -> None:
        asked = self._asked
        if asked.definition.mode == FULL:
            self.full_reason = "The definition's mode is full."
            return
        self._kept = read_cursor(self._connection, asked.definition)
        self.full_reason = self._doubt(full_seconds)
        changes = changes_for(asked.session, asked.request, asked.source.mapping.identity)
        obstacle = changes.obstacle(quick=self.full_reason is None)
        if obstacle:
            self.full_reason = f"There is no other way: {obstacle}."
            self.trusted = False
            return
        self._changes = changes

    def _doubt(self, full_seconds: float) -> str | None:
        kept = self._kept
        if kept is None:
            return "No run before this one has noted up to where it read."
        if kept.context != self._asked.context:
            return "What is asked for, or which server is asked, is not what it was."
        if kept.touched:
            return "Somebody changed a contact here since the last run."
        self.trusted = True
        if kept.seconds >= full_seconds:
            return f"The last full run was {kept.seconds / 3600:.1f} hours ago."
        return None

    def _to_keep(self, cursor: Cursor | None) -> KeptCursor | None:
        return KeptCursor(cursor.kind, cursor.value, cursor.server, self._asked.context) if cursor else None


def changes_for(session: Session, request: SearchRequest, identity: Sequence[str]) -> Changes:
    """The best way that a server may offer to tell what changed; whether it does, `obstacle` says."""
    if session.root_dse.is_389_directory_server:
        return Counters(session, request)
    way = UsnChanges if session.root_dse.is_active_directory else ContentSync
    return way(session, request, identity)


def _told_by(kept: KeptCursor) -> Cursor:
    return Cursor(kept.kind, kept.value, kept.server)
