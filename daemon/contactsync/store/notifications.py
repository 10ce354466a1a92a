"""Follows edits and requests: LISTEN on its own connection, and a regular rescan."""

from __future__ import annotations

import re
import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from contactsync.errors import DatabaseError
from contactsync.store.errors import translated
from contactsync.store.health import WATCH_NAME
from contactsync.store.migration import require_schema
from contactsync.store.session import connect

if TYPE_CHECKING:
    from psycopg import Connection, Notify

log = structlog.get_logger()

EDITS = "contactsync_definitions"
"""The channel for edits; the payload is the id of the definition."""
REQUESTS = "contactsync_requests"
"""The channel for requests; the payload is the name of a folder or definition to run now, or empty for all."""
_BIGINT = re.compile(r"[0-9]{1,18}", re.ASCII)
TICK_SECONDS = 0.5
"""The interval of `on_tick`, and the longest delay of a stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """Functions that the watch calls in its own thread; it reconnects if one raises DatabaseError."""

    on_edit: Callable[[set[int]], None]
    on_request: Callable[[set[str]], None]
    on_rescan: Callable[[], None]
    on_tick: Callable[[], None]
    on_lost: Callable[[], None]
    """Called before each attempt to reconnect."""


class DefinitionWatch:
    """A thread that reports edits and requests at once, and rescans after each connection and regularly.

    PostgreSQL does not keep notifications for a session that is not connected; the rescan replaces them.
    """

    _FIRST_PAUSE = 0.2

    def __init__(self, conninfo: str, callbacks: Callbacks, *, rescan_seconds: float, max_pause: float = 15) -> None:
        self._conninfo = conninfo
        self._callbacks = callbacks
        self._rescan_seconds = rescan_seconds
        self._max_pause = max_pause
        self._stopping = threading.Event()
        self._caught_up = threading.Event()
        self._active_at = time.monotonic()
        self._rescan_now = threading.Event()
        self.losses = 0
        """The number of lost connections and failed attempts to connect."""
        self._thread = threading.Thread(target=self._serve, name="definition-watch", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def replace_rescan(self, seconds: float) -> None:
        """Change the interval of rescans, and rescan now."""
        self._rescan_seconds = seconds
        self._rescan_now.set()

    def stop(self, timeout: float = 5) -> None:
        """Stop the thread."""
        self._stopping.set()
        self._thread.join(timeout)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def caught_up(self) -> bool:
        """Whether it is connected and has rescanned since."""
        return self._caught_up.is_set()

    @property
    def silent_seconds(self) -> float:
        """Seconds since it last finished its callbacks or began an attempt to connect."""
        return time.monotonic() - self._active_at

    def _serve(self) -> None:
        pause = self._FIRST_PAUSE
        while not self._stopping.is_set():
            self._active_at = time.monotonic()
            try:
                if self.losses:
                    self._callbacks.on_lost()
                self._listen()
            except Exception as error:  # without this thread the daemon sees no edits and requests
                pause = self._FIRST_PAUSE if self._caught_up.is_set() else min(pause * 2, self._max_pause)
                self._caught_up.clear()
                self.losses += 1
                if isinstance(error, DatabaseError):
                    log.warning("database.lost", error=str(error), retry_in_seconds=round(pause, 1))
                else:
                    log.exception("database.watch_crashed", retry_in_seconds=round(pause, 1))
                self._stopping.wait(pause)

    def _listen(self) -> None:
        with translated(), connect(self._conninfo, application_name=WATCH_NAME) as connection:
            require_schema(connection)  # a dump of another release may have been restored
            for channel in (EDITS, REQUESTS):
                connection.execute(f"LISTEN {channel}")
            log.info("database.listening")
            while not self._stopping.is_set():
                self._rescan_now.clear()
                self._callbacks.on_rescan()
                self._caught_up.set()
                self._forward_until_rescan(connection)

    def _forward_until_rescan(self, connection: Connection[Any]) -> None:
        due = time.monotonic() + self._rescan_seconds
        while not (self._stopping.is_set() or self._rescan_now.is_set()) and time.monotonic() < due:
            payloads = _payloads(connection)
            # Every role that may connect can send a notification with any payload.
            edited = {int(payload) for payload in payloads.get(EDITS, ()) if _BIGINT.fullmatch(payload)}
            # Edits first, so that a request for a definition that was just added finds it.
            if edited:
                self._callbacks.on_edit(edited)
            if REQUESTS in payloads:
                self._callbacks.on_request(payloads[REQUESTS])
            self._callbacks.on_tick()
            self._active_at = time.monotonic()
        # Detects a connection that the network has dropped silently.
        connection.execute("SELECT")


def _payloads(connection: Connection[Any]) -> dict[str, set[str]]:
    """Payloads by channel: waits up to a tick for the first notification, and takes all that have arrived then."""
    payloads: dict[str, set[str]] = {}
    for notification in await_notifications(connection, TICK_SECONDS):
        payloads.setdefault(notification.channel, set()).add(notification.payload)
    return payloads


def await_notifications(connection: Connection[Any], seconds: float) -> list[Notify]:
    """The notifications that have arrived; waits up to `seconds` for the first. Raises psycopg.Error.

    While nothing arrives, this wakes up once; psycopg's own wait wakes up ten times a second.
    """
    arrived = list(connection.notifies(timeout=0))
    if not arrived:
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        if poll.poll(seconds * 1000):
            arrived = list(connection.notifies(timeout=0))
    return arrived
