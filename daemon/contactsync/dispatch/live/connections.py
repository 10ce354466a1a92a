"""The connections to one server for one user, over which changes of all their folders are reported."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contactsync.dispatch.live.status import AUTO
from contactsync.errors import ContactsyncError, DirectoryError, NotLive, ServerUnavailable
from contactsync.ldap.changes.base import Cursor
from contactsync.ldap.changes.notifications import Stream, protocol_of, wait_for
from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.search import SearchRequest
from contactsync.sync.definition import Resolved, source_digest, source_of
from contactsync.sync.incremental import SearchScope, changes_for

if TYPE_CHECKING:
    from contactsync.dispatch.live.mailbox import Mailbox
    from contactsync.ldap.connection.session import Session
    from contactsync.store.record.cursors import KeptCursor
    from contactsync.sync.runner import Runner

START_SECONDS = 60.0
"""How long it may take to start to listen for one definition; the others wait meanwhile."""
ONLY_COUNTED = (
    "The server only counts that something changed, so each change would cost a full run. Mode live accepts that."
)
"""Why the schedule runs a folder of mode auto."""


class NothingReported(NotLive):
    """The server does not report changes."""


class OnlyFullRuns(NotLive):
    """The server reports that something changed but not what, which is not enough for a folder of mode auto."""


class ConnectionLost(Exception):
    """All connections have to be made again because of `error`."""

    def __init__(self, error: ContactsyncError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(slots=True, eq=False)
class _Connection:
    stream: Stream
    closing: ExitStack


class Connections:
    """Listens for definitions, which it knows by their ids; for one thread.

    Requests use a connection of their own, because their answers would be mixed with the reports.
    """

    def __init__(self, runner: Runner) -> None:
        self.server: str | None = None
        self._runner = runner
        self._connections: list[_Connection] = []
        self._requests: tuple[Session, ExitStack] | None = None
        self._most: int | None = None

    def __len__(self) -> int:
        return len(self._connections)

    def start(self, definition_id: int, resolved: Resolved, stored: KeptCursor | None) -> bool:
        """Listen for a definition; returns whether its folder is in sync up to now, by the stored cursor.

        Raises ContactsyncError if this definition cannot be listened for, ConnectionLost if the server is unavailable.
        """
        if self._requests is None:
            self._requests = self._open(resolved)
        session = self._requests[0]
        session.wire.limits = self._runner.options.read_limits(Deadline(START_SECONDS))
        most = self._most
        try:
            request, cursor, in_sync = self._prepare(session, resolved, stored)
            for connection in self._connections:
                if self._listen(connection, definition_id, request, cursor):
                    return in_sync
            self._listen_anew(definition_id, resolved, request, cursor)
        except DirectoryError:
            # The search of this definition failed, which says nothing about the others; `wait` notices a broken stream.
            self._most = most
            self.close_requests()
            self._close_unused()
            raise
        return in_sync

    def close_requests(self) -> None:
        """Close the connection for requests until the next one."""
        if self._requests:
            self._requests[1].close()
            self._requests = None

    def forget(self, definition_id: int) -> None:
        """Stop listening for a definition; raises ConnectionLost."""
        try:
            for connection in self._connections:
                connection.stream.forget(definition_id)
        except DirectoryError as error:
            raise ConnectionLost(error) from None
        self._close_unused()

    def take_outside(self) -> dict[int, set[str]]:
        """The keys of changed entries that each definition's search does not find, but may have found before."""
        outside: dict[int, set[str]] = {}
        for connection in self._connections:
            outside |= connection.stream.take_outside()
        return outside

    def wait(self, mailbox: Mailbox, seconds: float | None) -> tuple[set[int], dict[int, DirectoryError]]:
        """The definitions with reported changes, and those whose search the server has ended.

        Waits for a report, for a task in the mailbox, or for so many seconds (None: for ever). Raises ConnectionLost.
        """
        try:
            changed = self._changed()
            if not changed:
                wait_for([mailbox, *(each.stream for each in self._connections)], seconds)
                changed = self._changed()
        except DirectoryError as error:
            raise ConnectionLost(error) from None
        ended: dict[int, DirectoryError] = {}
        for connection in self._connections:
            ended |= connection.stream.take_ended()
        if ended:
            self._close_unused()
        return changed, ended

    def close(self) -> None:
        """Close every connection."""
        self.close_requests()
        connections, self._connections, self._most = self._connections, [], None
        for connection in connections:
            connection.closing.close()

    def _changed(self) -> set[int]:
        return set().union(*(each.stream.poll() for each in self._connections))

    def _open(self, resolved: Resolved) -> tuple[Session, ExitStack]:
        with ExitStack() as stack:
            try:
                session = stack.enter_context(self._runner.listening(resolved))
            except ContactsyncError as error:
                raise ConnectionLost(error) from None
            return session, stack.pop_all()

    def _prepare(
        self, session: Session, resolved: Resolved, stored: KeptCursor | None
    ) -> tuple[SearchRequest, Cursor | None, bool]:
        """The search to listen for, the cursor to start from if the protocol has one, and whether nothing changed."""
        self.server = session.server
        if protocol_of(session.root_dse) is None:
            raise NothingReported(f"{session.server} does not report changes.")
        source = source_of(session, resolved, self._runner.options.map_limits)
        request = SearchRequest(source.base, source.scope, source.filter, source.attributes, 0)
        changes = changes_for(session, request, source.mapping.identity)
        obstacle = changes.obstacle()
        if resolved.definition.mode == AUTO and (obstacle or not changes.reports_entries):
            raise OnlyFullRuns(f"There is no other way: {obstacle}." if obstacle else ONLY_COUNTED)
        cursor = changes.current_cursor() if obstacle is None and changes.reports_entries else None
        scope = SearchScope(resolved.definition, session, request, source, source_digest(resolved, source))
        in_sync = (
            stored is not None
            and cursor == Cursor(stored.kind, stored.value, stored.server)
            and stored.context == scope.context
        )
        return request, cursor, in_sync

    def _listen(
        self, connection: _Connection, definition_id: int, request: SearchRequest, cursor: Cursor | None
    ) -> bool:
        """Listen over this connection; False if the server accepts no more searches on it."""
        stream = connection.stream
        full = self._most is not None and stream.searches >= self._most
        if full and not stream.shares(request):
            return False
        if stream.listen(definition_id, request, cursor):
            return True
        # Remembered, because each attempt takes seconds.
        self._most = stream.searches
        return False

    def _listen_anew(
        self, definition_id: int, resolved: Resolved, request: SearchRequest, cursor: Cursor | None
    ) -> None:
        session, closing = self._open(resolved)
        connection = _Connection(Stream(session), closing)
        self._connections.append(connection)
        if not self._listen(connection, definition_id, request, cursor):
            raise ServerUnavailable(f"{session.server} does not start to report changes.")

    def _close_unused(self) -> None:
        for connection in [each for each in self._connections if not each.stream.searches]:
            self._connections.remove(connection)
            connection.closing.close()
