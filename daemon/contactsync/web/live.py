"""Follows the daemon's events for all browsers that watch a run, over one connection to the daemon."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from contactsync.errors import ControlError
from contactsync.serving.client import Daemon, Event
from contactsync.web.shared_reads import SharedReads

log = structlog.get_logger()

Run = dict[str, Any]

_PAUSE_SECONDS = 1.0
"""Until the next attempt to follow the events of a daemon that does not answer."""


class Watcher:
    """One browser that watches the runs of a definition: the newest document, and whether it is new."""

    def __init__(self) -> None:
        self.run: Run | None = None
        self.changed = asyncio.Event()
        self.finished = asyncio.Event()

    def put(self, run: Run) -> None:
        """Take a newer document."""
        self.run = run
        self.changed.set()
        if run["outcome"]:
            self.finished.set()


class LiveRuns:
    """All watchers. The first one begins the connection to the daemon, which lasts as long as the process."""

    def __init__(self, daemon: Callable[[], Daemon]) -> None:
        self._daemon = daemon
        self._watchers: dict[int, set[Watcher]] = defaultdict(set)
        self._thread: threading.Thread | None = None
        self.reads = SharedReads()

    @contextmanager
    def watching(self, definition_id: int) -> Iterator[Watcher]:
        """Watch the runs of a definition, inside the event loop."""
        watcher = Watcher()
        self._watchers[definition_id].add(watcher)
        if self._thread is None:
            loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._follow, args=(loop,), name="live-runs", daemon=True)
            self._thread.start()
        try:
            yield watcher
        finally:
            watchers = self._watchers[definition_id]
            watchers.discard(watcher)
            if not watchers:
                del self._watchers[definition_id]

    def _follow(self, loop: asyncio.AbstractEventLoop) -> None:
        last_id = None
        while not loop.is_closed():
            try:
                for event in self._daemon().events(last_id):
                    last_id = event.id or last_id
                    loop.call_soon_threadsafe(self._publish, event)
            except ControlError as error:
                log.debug("web.events_lost", error_code=error.code)
            except RuntimeError:  # the loop has ended
                return
            time.sleep(_PAUSE_SECONDS)

    def _publish(self, event: Event) -> None:
        if event.kind.startswith("run."):
            for watcher in self._watchers.get(event.data["definition_id"], ()):
                watcher.put(event.data)
