"""The parts of the daemon that the API reads and controls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request
from psycopg import Connection

from contactsync.api.access.turns import Turns
from contactsync.api.actor import Requester
from contactsync.api.events import EventHub
from contactsync.api.schemas import Reloaded
from contactsync.dispatch.live import LiveFolders
from contactsync.dispatch.run_queue import RunQueue
from contactsync.dispatch.scheduler import Schedule
from contactsync.errors import TooMany
from contactsync.fleet.queue import FleetQueue
from contactsync.log.recent import RecentRecords
from contactsync.model import Definition
from contactsync.operations.access.rights import LOCAL, Access
from contactsync.operations.access.sign_in_codes import SignInCodes
from contactsync.operations.names import find_all, find_by_id
from contactsync.operations.reading.definitions import Activity
from contactsync.operations.requests.queue import Requests
from contactsync.serving.limits import RateLimiter
from contactsync.settings.schema import Settings
from contactsync.store.pool import READ_SECONDS, Pool, connection_of, reading_connection_of
from contactsync.sync.runner import Runner

Returned = TypeVar("Returned")
_MOST_READERS = 2
"""The limit of concurrent requests that read a directory; each may take long and hold a connection to PostgreSQL."""


@dataclass(frozen=True, kw_only=True)
class ApiContext:
    """The parts; `problems` returns the reasons why the daemon is not ready, `reload` raises SettingsError.

    `settings` returns those in force, which a reload replaces.
    """

    pool: Pool
    runner: Runner
    dispatcher: RunQueue
    schedule: Schedule
    requests: Requests
    hub: EventHub
    recent: RecentRecords
    live: LiveFolders
    settings: Callable[[], Settings]
    started_at: datetime
    problems: Callable[[], list[str]]
    reload: Callable[[], Reloaded]
    metrics: Callable[[], bytes]
    fleet: FleetQueue | None = None
    sign_in_codes: SignInCodes = field(default_factory=SignInCodes)
    by_hand: RateLimiter = field(init=False, default_factory=lambda: RateLimiter(burst_seconds=60))
    """Requests for runs by each person at the web console, of each definition."""
    turns: Turns = field(init=False, default_factory=lambda: Turns(1, "use a directory"))
    """Of each person at the web console, who may not take the place of others that read a directory."""
    searches: Turns = field(init=False, default_factory=lambda: Turns(2, "search contacts"))
    """The same for searches, which take a processor of PostgreSQL's each."""
    _readers: CapacityLimiter = field(init=False, default_factory=lambda: CapacityLimiter(_MOST_READERS))

    @property
    def activity(self) -> Activity:
        """What the daemon does now, and the other nodes of its fleet. Raises DatabaseError."""
        if self.fleet is None:
            return Activity(self.dispatcher.running, self.live.states)
        elsewhere = {row["definition_id"] for row in self.fleet.elsewhere()}
        return Activity(self.dispatcher.running | elsewhere, self.fleet.live_states.elsewhere() | self.live.states)

    def reading(self, seconds: float = READ_SECONDS) -> AbstractContextManager[Connection[Any]]:
        """A connection for a request that only reads, with this limit for each statement. See reading_connection_of."""
        return reading_connection_of(self.pool, seconds)

    async def read_directory(self, function: Callable[[], Returned]) -> Returned:
        """Call a function that reads a directory, on a thread of its own. Raises TooMany if two do already."""
        if self._readers.borrowed_tokens >= _MOST_READERS:
            raise TooMany(f"{_MOST_READERS} requests use a directory already.", hint="Try again later.")
        return await to_thread.run_sync(function, limiter=self._readers)

    def definition(self, definition_id: int, access: Access = LOCAL) -> Definition:
        """The definition with this id, if it is in the scope. Raises NotFound, DatabaseError."""
        with connection_of(self.pool) as connection:
            return find_by_id(connection, definition_id, visible=access.covers)

    def named(self, name: str, access: Access) -> list[Definition]:
        """The definition with this name, or all of the folder with this name; raises as operations.names.find_all."""
        with connection_of(self.pool) as connection:
            return find_all(connection, name, visible=access.covers)


def _context_of(request: Request) -> ApiContext:
    context: ApiContext = request.app.state.context
    return context


Context = Annotated[ApiContext, Depends(_context_of)]


def _in_turn(turns_of: Callable[[ApiContext], Turns], *, parameter: str = "") -> Any:
    async def own_turn(request: Request, context: Context) -> AsyncIterator[None]:
        requester: Requester = request.state.actor
        if requester.kind != "web" or (parameter and not request.query_params.get(parameter)):
            yield
            return
        async with turns_of(context).of(requester.name):
            yield

    return Depends(own_turn)


OneAtATime = _in_turn(lambda context: context.turns)
"""Of a route that reads a directory: requests of one person at the web console wait for each other."""
TwoSearches = _in_turn(lambda context: context.searches, parameter="text")
"""Of a route that searches contacts by `text`: two searches of one person at the web console run at once."""
