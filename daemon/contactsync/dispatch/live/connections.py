"""The connections on which one server is listened to for one user: as many as it takes for all of their folders."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contactsync.dispatch.live.mailbox import Mailbox
from contactsync.dispatch.live.status import AUTO
from contactsync.errors import ContactsyncError, DirectoryError, ServerUnavailable
from contactsync.ldap.changes.base import Cursor
from contactsync.ldap.changes.notifications import Stream, protocol_of, wait_for
from contactsync.ldap.search import SearchRequest
from contactsync.sync.definition import Resolved, choose_source, source_digest
from contactsync.sync.incremental import SearchScope, changes_for

if TYPE_CHECKING:
    from contactsync.ldap.connection.session import Session
    from contactsync.settings.schema import MappingLimits
    from contactsync.store.record.cursors import KeptCursor

OpenSession = Callable[[Resolved], AbstractContextManager["Session"]]
"""A connection of its own for a definition; raises ContactsyncError."""


ONLY_COUNTED = (
    "The server only counts that something changed, so that to follow it would cost full runs; mode live does."
)
"""Why a folder of mode auto is left to its schedule."""


class NothingTold(DirectoryError):
    """The server tells nobody what changes."""

    code = "directory.silent"


class OnlyFullRuns(DirectoryError):
    """It may be told that something changed, but not what, which is too little for a folder of mode auto."""

    code = "directory.silent"


class ConnectionLost(Exception):
    """All that is listened for over the same connections is to be begun anew, because of `error`."""

    def __init__(self, error: ContactsyncError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(slots=True, eq=False)
class _Connection:
    """One connection that is listened on."""

    stream: Stream
    closing: ExitStack


class Connections:
    """Listens for definitions by their ids; one thread uses it.

    What is asked goes over another connection than what is heard: answers of both would be mixed.
    """

    def __init__(self, open_session: OpenSession, limits: Callable[[], MappingLimits]) -> None:
        self.server: str | None = None
        self._open = open_session
        self._limits = limits
        self._ears: list[_Connection] = []
        self._asking: tuple[Session, ExitStack] | None = None
        self._most: int | None = None

    @property
    def connections(self) -> int:
        """How many are listened on."""
        return len(self._ears)

    def begin(self, number: int, resolved: Resolved, kept: KeptCursor | None) -> bool:
        """Listen for a definition; returns whether its folder is in step so far, as `kept` says.

        Raises ContactsyncError when this one cannot be listened for, ConnectionLost when none can.
        """
        session = self._ask(resolved)
        try:
            request, cursor, in_step = self._prepared(session, resolved, kept)
            if not any(self._listen(ear, number, request, cursor) for ear in list(self._ears)):
                self._listen_anew(number, resolved, request, cursor)
        except DirectoryError as error:
            if error.retryable:
                raise ConnectionLost(error) from None
            raise
        return in_step

    def rest(self) -> None:
        """There is nothing to ask for a while."""
        if self._asking:
            self._asking[1].close()
            self._asking = None

    def forget(self, number: int) -> None:
        """Listen no more for a definition; raises ConnectionLost."""
        try:
            for ear in self._ears:
                ear.stream.forget(number)
        except DirectoryError as error:
            raise ConnectionLost(error) from None
        self._close_unused()

    def hear(self, mailbox: Mailbox, seconds: float | None) -> tuple[set[int], dict[int, DirectoryError]]:
        """For whom something changed, and whom the server ended to listen for, as soon as anything is heard.

        Nothing after these seconds (None: never), or when something is in the letterbox. Raises ConnectionLost.
        """
        try:
            heard = self._heard()
            if not heard:
                wait_for([mailbox, *(ear.stream for ear in self._ears)], seconds)
                heard = self._heard()
        except DirectoryError as error:
            raise ConnectionLost(error) from None
        ended: dict[int, DirectoryError] = {}
        for ear in self._ears:
            ended |= ear.stream.take_ended()
        if ended:
            self._close_unused()
        return heard, ended

    def close(self) -> None:
        """End every connection."""
        self.rest()
        ears, self._ears, self._most = self._ears, [], None
        for ear in ears:
            ear.closing.close()

    def _heard(self) -> set[int]:
        return set().union(*(ear.stream.hear() for ear in self._ears))

    def _ask(self, resolved: Resolved) -> Session:
        if self._asking is None:
            self._asking = self._opened(resolved)
        return self._asking[0]

    def _opened(self, resolved: Resolved) -> tuple[Session, ExitStack]:
        with ExitStack() as stack:
            try:
                session = stack.enter_context(self._open(resolved))
            except ContactsyncError as error:
                raise ConnectionLost(error) from None
            return session, stack.pop_all()

    def _prepared(
        self, session: Session, resolved: Resolved, kept: KeptCursor | None
    ) -> tuple[SearchRequest, Cursor | None, bool]:
        """What to listen for, from when on where the server tells that, and whether nothing changed before it."""
        self.server = session.server
        if protocol_of(session.root_dse) is None:
            raise NothingTold(f"{session.server} tells nobody what changes.")
        source = choose_source(resolved, session.root_dse, self._limits())
        request = SearchRequest(source.base, source.scope, source.filter, source.attributes, 0)
        changes = changes_for(session, request, source.mapping.identity)
        obstacle = changes.obstacle()
        if resolved.definition.mode == AUTO and (obstacle or not changes.reports_entries):
            raise OnlyFullRuns(f"There is no other way: {obstacle}." if obstacle else ONLY_COUNTED)
        cursor = changes.current_cursor() if obstacle is None and changes.reports_entries else None
        asked = SearchScope(resolved.definition, session, request, source, source_digest(resolved, source))
        in_step = (
            kept is not None and cursor == Cursor(kept.kind, kept.value, kept.server) and kept.context == asked.context
        )
        return request, cursor, in_step

    def _listen(self, ear: _Connection, number: int, request: SearchRequest, cursor: Cursor | None) -> bool:
        """Whether this connection had room for one more."""
        full = self._most is not None and ear.stream.searches >= self._most
        if full and not ear.stream.shares(request):
            return False
        if ear.stream.listen(number, request, cursor):
            return True
        # To find out takes seconds, so that it is done once.
        self._most = ear.stream.searches
        return False

    def _listen_anew(self, number: int, resolved: Resolved, request: SearchRequest, cursor: Cursor | None) -> None:
        session, closing = self._opened(resolved)
        ear = _Connection(Stream(session), closing)
        self._ears.append(ear)
        if not self._listen(ear, number, request, cursor):
            raise ServerUnavailable(f"{session.server} does not begin to tell what changes.")

    def _close_unused(self) -> None:
        for ear in [ear for ear in self._ears if not ear.stream.searches]:
            self._ears.remove(ear)
            ear.closing.close()
