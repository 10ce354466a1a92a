"""The event stream: events from any thread, spread to listeners without waiting for any of them."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from contactsync.errors import Stopping, TooMany
from contactsync.sync.document import RunDocument, RunningDocument
from contactsync.sync.observer import Observer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from contactsync.model import RunReport

MOST_LISTENERS = 16
MOST_UNSENT = 256
"""The limit of events that wait for one listener; a listener above it is dropped."""
PROGRESS_SECONDS = 0.2
"""The minimum time between two progress events of a run."""


class Listener:
    """The queue of one client; for the event loop's thread only."""

    def __init__(self) -> None:
        self._unsent: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.dropped = asyncio.Event()

    def put(self, event: bytes | None) -> None:
        """Add an event, or None for the end of the stream. Too many events set `dropped`."""
        if self._unsent.qsize() >= MOST_UNSENT:
            self.dropped.set()
        else:
            self._unsent.put_nowait(event)

    async def get(self, timeout: float) -> bytes | None:  # noqa: ASYNC109  (a heartbeat, not a cancellation)
        """The next event, b"" after `timeout` seconds without one, None at the end of the stream."""
        try:
            async with asyncio.timeout(timeout):
                return await self._unsent.get()
        except TimeoutError:
            return b""


class EventHub(Observer):
    """Spreads events to listeners; an observer of runs. Any thread may call its methods, except `listening`."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: set[Listener] = set()
        self._number = 0
        self._reported: dict[int, tuple[str, float]] = {}
        self._guard = threading.Lock()
        self.closing = asyncio.Event()

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start to spread events, on this loop."""
        self._loop = loop

    def close(self) -> None:
        """End every stream, and ignore later events."""
        self._call(self._close)
        self._loop = None

    @contextmanager
    def listening(self) -> Iterator[Listener]:
        """A listener until the end of the block; on the loop's thread. Raises TooMany, Stopping."""
        if self.closing.is_set():
            raise Stopping("The daemon is stopping.", hint="Try again after its start.")
        if len(self._listeners) >= MOST_LISTENERS:
            raise TooMany(
                f"{MOST_LISTENERS} clients listen to events already.", hint="Try again when one of them has left."
            )
        listener = Listener()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def publish(self, kind: str, **data: Any) -> None:
        """Send an event to all listeners; returns at once."""
        if self._listeners:
            self._call(self._spread, kind, data)

    def definitions_changed(self, ids: Iterable[int]) -> None:
        """Definitions were added, edited, paused or removed."""
        for definition_id in ids:
            self.publish("definition.changed", definition_id=definition_id)

    def started(self, report: RunReport) -> None:
        """See contactsync.sync.observer.Observer."""
        self._publish_run("run.started", report, running=True)

    def progress(self, report: RunReport, stage: str) -> None:
        """See contactsync.sync.observer.Observer. An event too soon after the last one of its run is skipped."""
        if not self._listeners:
            return
        now = time.monotonic()
        with self._guard:
            last_stage, last_at = self._reported.get(report.run_id, ("", 0.0))
            if now - last_at < PROGRESS_SECONDS and (stage == last_stage or stage in {"map", "stage", "search"}):
                return
            self._reported[report.run_id] = stage, now
        self._publish_run("run.progress", report, running=True, stage=stage)

    def finished(self, report: RunReport) -> None:
        """See contactsync.sync.observer.Observer."""
        with self._guard:
            self._reported.pop(report.run_id, None)
        self._publish_run("run.finished", report)

    def _publish_run(self, kind: str, report: RunReport, *, running: bool = False, **more: Any) -> None:
        if self._listeners:
            document = RunningDocument.of(report) if running else RunDocument.of(report)
            self.publish(kind, **document.model_dump(mode="json"), **more)

    def _call(self, function: Any, *arguments: Any) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(function, *arguments)

    def _spread(self, kind: str, data: dict[str, Any]) -> None:
        self._number += 1
        event = f"id: {self._number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode()
        for listener in self._listeners:
            listener.put(event)

    def _close(self) -> None:
        self.closing.set()
        for listener in self._listeners:
            listener.put(None)
