"""Follows edits and requests: LISTEN on a connection of its own, and a look at everything now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from contactsync.errors import DatabaseError
from contactsync.store.errors import translated
from contactsync.store.health import WATCH_NAME
from contactsync.store.session import connect

if TYPE_CHECKING:
    from psycopg import Connection

log = structlog.get_logger()

EDITS = "contactsync_definitions"
"""The channel whose payload is the id of a definition that was edited."""
REQUESTS = "contactsync_requests"
"""The channel whose payload names a folder or definition that is to run now; empty for all."""
TICK_SECONDS = 0.5
"""How long a stop may go unnoticed, and how late `on_tick` may come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """What the watch calls, always from its own thread; DatabaseError from one of them makes it connect again."""

    on_edit: Callable[[set[int]], None]
    on_request: Callable[[set[str]], None]
    on_rescan: Callable[[], None]
    on_tick: Callable[[], None]
    on_lost: Callable[[], None]
    """Before each new try to connect after the connection was lost."""


class DefinitionWatch:
    """A thread that calls back within a moment of an edit, and rescans after every (re)connection and regularly.

    A notification that was sent while nobody listened is lost for ever; the rescan finds what it was about.
    """

    _FIRST_WAIT = 0.2

    def __init__(self, conninfo: str, callbacks: Callbacks, *, rescan_seconds: float, max_wait: float = 15) -> None:
        self._conninfo = conninfo
        self._callbacks = callbacks
        self._rescan_seconds = rescan_seconds
        self._max_wait = max_wait
        self._stopping = threading.Event()
        self._caught_up = threading.Event()
        self._turned_at = time.monotonic()
        self._rescan_now = threading.Event()
        self.losses = 0
        """How often the connection was lost, or could not be made."""
        self._thread = threading.Thread(target=self._serve, name="definition-watch", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def replace_rescan(self, seconds: float) -> None:
        """Rescan at another interval, beginning with a rescan within a moment."""
        self._rescan_seconds = seconds
        self._rescan_now.set()

    def stop(self, timeout: float = 5) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join(timeout)

    @property
    def alive(self) -> bool:
        """Whether the thread is there."""
        return self._thread.is_alive()

    @property
    def caught_up(self) -> bool:
        """Whether it listens and has looked at everything since it does."""
        return self._caught_up.is_set()

    @property
    def silent_seconds(self) -> float:
        """The seconds since it last got round: through its callbacks, or to another try to connect."""
        return time.monotonic() - self._turned_at

    def _serve(self) -> None:
        wait = self._FIRST_WAIT
        while not self._stopping.is_set():
            self._turned_at = time.monotonic()
            try:
                if self.losses:
                    self._callbacks.on_lost()
                self._listen()
            except DatabaseError as error:
                wait = self._FIRST_WAIT if self._caught_up.is_set() else min(wait * 2, self._max_wait)
                self._caught_up.clear()
                self.losses += 1
                log.warning("database.lost", error=str(error), retry_in_seconds=round(wait, 1))
                self._stopping.wait(wait)

    def _listen(self) -> None:
        with (
            translated(),
            connect(self._conninfo, application_name=WATCH_NAME) as connection,
        ):
            for channel in (EDITS, REQUESTS):
                connection.execute(f"LISTEN {channel}")
            log.info("database.listening")
            while not self._stopping.is_set():
                self._rescan_now.clear()
                self._callbacks.on_rescan()
                self._caught_up.set()
                self._until_rescan(connection)

    def _until_rescan(self, connection: Connection[Any]) -> None:
        due = time.monotonic() + self._rescan_seconds
        while not (self._stopping.is_set() or self._rescan_now.is_set()) and time.monotonic() < due:
            arrived = _arrived(connection)
            edited = {int(payload) for payload in arrived.get(EDITS, ()) if payload.isdecimal()}
            # Edits first: who adds a definition and asks for it at once is not to be told that there is none.
            if edited:
                self._callbacks.on_edit(edited)
            if REQUESTS in arrived:
                self._callbacks.on_request(arrived[REQUESTS])
            self._callbacks.on_tick()
            self._turned_at = time.monotonic()
        # A connection that died without a word is found out here, not at the next edit.
        connection.execute("SELECT")


def _arrived(connection: Connection[Any]) -> dict[str, set[str]]:
    """Payloads by channel, waiting up to a tick for the first notification and taking all that came with it."""
    arrived: dict[str, set[str]] = {}
    for timeout in (TICK_SECONDS, 0):
        for notification in connection.notifies(timeout=timeout, stop_after=None if arrived else 1):
            arrived.setdefault(notification.channel, set()).add(notification.payload)
        if not arrived:
            break
    return arrived
