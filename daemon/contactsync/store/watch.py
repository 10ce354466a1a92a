"""Follows edits of definitions: LISTEN on a connection of its own, and a look at everything now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import structlog

from contactsync.errors import DatabaseError
from contactsync.store.errors import translated

if TYPE_CHECKING:
    from psycopg import Connection

log = structlog.get_logger()

CHANNEL = "contactsync_definitions"
TICK_SECONDS = 0.5
"""How long a stop may go unnoticed, and how late `on_tick` may come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """What the watch calls, always from its own thread; DatabaseError from one of them makes it connect again."""

    on_edit: Callable[[set[int]], None]
    on_rescan: Callable[[], None]
    on_tick: Callable[[], None]


class DefinitionWatch:
    """A thread that calls back within a moment of an edit, and rescans after every (re)connection and regularly.

    A notification that was sent while nobody listened is lost for ever; the rescan finds what it was about.
    """

    def __init__(self, conninfo: str, callbacks: Callbacks, *, rescan_seconds: float, max_wait: float = 15) -> None:
        self._conninfo = conninfo
        self._callbacks = callbacks
        self._rescan_seconds = rescan_seconds
        self._max_wait = max_wait
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="definition-watch", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout: float = 5) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join(timeout)

    @property
    def alive(self) -> bool:
        """Whether the thread is there."""
        return self._thread.is_alive()

    def _serve(self) -> None:
        wait = 0.2
        while not self._stopping.is_set():
            try:
                self._listen()
            except DatabaseError as error:
                log.warning("database.lost", error=str(error), retry_in_seconds=round(wait, 1))
                self._stopping.wait(wait)
                wait = min(wait * 2, self._max_wait)
            else:
                wait = 0.2

    def _listen(self) -> None:
        with translated(), psycopg.connect(
            self._conninfo, autocommit=True, application_name="contactsync-watch", connect_timeout=10
        ) as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            log.info("database.listening")
            while not self._stopping.is_set():
                self._callbacks.on_rescan()
                self._until_rescan(connection)

    def _until_rescan(self, connection: Connection[Any]) -> None:
        due = time.monotonic() + self._rescan_seconds
        while not self._stopping.is_set() and time.monotonic() < due:
            edited = _edited(connection)
            if edited:
                self._callbacks.on_edit(edited)
            self._callbacks.on_tick()
        # A connection that died without a word is found out here, not at the next edit.
        connection.execute("SELECT")


def _edited(connection: Connection[Any]) -> set[int]:
    """The definitions that notifications name, waiting up to a tick for the first and taking all that came with it."""
    edited = {notification.payload for notification in connection.notifies(timeout=TICK_SECONDS, stop_after=1)}
    if edited:
        edited |= {notification.payload for notification in connection.notifies(timeout=0)}
    return {int(payload) for payload in edited if payload.isdecimal()}
