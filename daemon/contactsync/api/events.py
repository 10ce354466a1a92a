"""What happens, as it happens: told by any thread, handed to those who listen, never waiting for one of them."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from contactsync.api.problems import Stopping, TooMany

if TYPE_CHECKING:
    from collections.abc import Iterable

    from contactsync.model import RunReport

MOST_LISTENERS = 16
MOST_UNSENT = 256
"""Events that may wait for one listener; one that lets more of them wait is dropped."""
PROGRESS_SECONDS = 0.2
"""The least time between two events about how far one run is."""


class Listener:
    """One client's queue, used on the event loop's thread only."""

    def __init__(self) -> None:
        self._unsent: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.dropped = asyncio.Event()

    def put(self, event: bytes | None) -> None:
        """Add an event, or None for the end; too many set `dropped`."""
        if self._unsent.qsize() >= MOST_UNSENT:
            self.dropped.set()
        else:
            self._unsent.put_nowait(event)

    async def get(self, timeout: float) -> bytes | None:  # noqa: ASYNC109  (a heartbeat, not a cancellation)
        """The next event, an empty one after `timeout` seconds without any, None at the end."""
        try:
            async with asyncio.timeout(timeout):
                return await self._unsent.get()
        except TimeoutError:
            return b""


class EventHub:
    """Spreads events to listeners; the runner's observer. Every public method but `listening` is for any thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: set[Listener] = set()
        self._number = 0
        self._told: dict[int, tuple[str, float]] = {}
        self._guard = threading.Lock()
        self.closing = asyncio.Event()

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Spread events on this loop from now on."""
        self._loop = loop

    def close(self) -> None:
        """End every stream; nobody is told anything afterwards."""
        self._call(self._close)
        self._loop = None

    @contextmanager
    def listening(self) -> Iterator[Listener]:
        """A listener for as long as the block lasts; on the loop's thread. Raises TooMany, Stopping."""
        if self.closing.is_set():
            raise Stopping("The daemon is stopping.", hint="Try again when it has been started.")
        if len(self._listeners) >= MOST_LISTENERS:
            raise TooMany(
                f"{MOST_LISTENERS} clients listen to events already.", hint="Try again when one of them has gone."
            )
        listener = Listener()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def publish(self, kind: str, **data: Any) -> None:
        """Tell all listeners; returns at once."""
        if self._listeners:
            self._call(self._spread, kind, data)

    def definitions_changed(self, ids: Iterable[int]) -> None:
        """Definitions were added, edited, paused or removed."""
        for definition_id in ids:
            self.publish("definition.changed", definition_id=definition_id)

    def started(self, report: RunReport) -> None:
        """See contactsync.sync.observer.Observer."""
        self.publish("run.started", **_names(report), trigger=report.trigger.value)

    def progress(self, report: RunReport, stage: str) -> None:
        """See contactsync.sync.observer.Observer; left out when it comes too soon after the last one of its run."""
        if not self._listeners:
            return
        now = time.monotonic()
        with self._guard:
            told_stage, told_at = self._told.get(report.run_id, ("", 0.0))
            if now - told_at < PROGRESS_SECONDS and (stage == told_stage or stage in {"map", "stage", "search"}):
                return
            self._told[report.run_id] = stage, now
        self.publish("run.progress", **_names(report), stage=stage, **asdict(report.counts))

    def finished(self, report: RunReport) -> None:
        """See contactsync.sync.observer.Observer."""
        with self._guard:
            self._told.pop(report.run_id, None)
        self.publish(
            "run.finished",
            **_names(report),
            outcome=report.outcome.value,
            error_code=report.error_code,
            **asdict(report.counts),
        )

    def _call(self, function: Any, *arguments: Any) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop has ended meanwhile
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


def _names(report: RunReport) -> dict[str, Any]:
    definition = report.definition
    return {"run_id": report.run_id, "definition_id": definition.definition_id, "label": definition.label}
