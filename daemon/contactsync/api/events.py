"""The event stream: events from any thread, spread to listeners without waiting for any of them."""

from __future__ import annotations

import asyncio
import resource
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from contactsync.api.watching import Event, KeptEvents, Listener, Wants, joined
from contactsync.errors import Stopping, TooMany
from contactsync.sync.document import RunDocument, RunningDocument
from contactsync.sync.observer import Observer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from contactsync.model import RunReport

MOST_LISTENERS = 1000
_FEWEST_LISTENERS, _DESCRIPTORS_OF_RUNS = 16, 512
"""The limit of listeners where few file descriptors are allowed, of which runs need some."""
KEEP_SECONDS = 600.0
"""How long events are kept after the last listener has left. A daemon without listeners keeps none."""
FIRST_PAUSE, PAUSE_OF_EACH = 0.02, 0.0004
"""Seconds from an event until it is sent with those that came after it, in all and for each listener.

A thousand sends take a tenth of a second, whatever is in them.
"""
PROGRESS_SECONDS = 0.2
"""The minimum time between two progress events of a run."""


class OtherNodes(Protocol):
    """The other nodes of a fleet, which may have clients that listen to the events of this one."""

    @property
    def wanted(self) -> bool:
        """Whether one of them wants events."""

    def look_again(self) -> None:
        """Forget which of them want events."""

    def send(self, kind: str, data: dict[str, Any]) -> None:
        """Send them an event; does not block."""


class EventHub(Observer):
    """Spreads events to listeners; an observer of runs. Any thread may call its methods, except `listening`."""

    def __init__(self) -> None:
        self._most = most_listeners()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: set[Listener] = set()
        self._kept = KeptEvents(secrets.token_hex(4))
        self._keep_until = 0.0
        self._unsent: list[Event] = []
        self._reported: dict[int, tuple[str, float]] = {}
        self._guard = threading.Lock()
        self.other_nodes: OtherNodes | None = None
        """Set in a fleet, before the first run."""
        self.closing = asyncio.Event()

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start to spread events, on this loop."""
        self._loop = loop

    def close(self) -> None:
        """End every stream, and ignore later events."""
        self._call(self._close)
        self._loop = None

    @contextmanager
    def listening(self, last_id: str | None = None, wants: Wants | None = None) -> Iterator[Listener]:
        """A listener until the end of the block; on the loop's thread. Raises TooMany, Stopping.

        With `last_id` it first gets the events after that one. With `wants` it gets only some.
        """
        if self.closing.is_set():
            raise Stopping("The daemon is stopping.", hint="Try again after its start.")
        if len(self._listeners) >= self._most:
            raise TooMany(
                f"{self._most} clients listen to events already.", hint="Try again when one of them has left."
            )
        if not self.keeps:
            self._kept.forget()
        self._flush()
        first = [self._kept.position] if last_id is None else self._kept.after(last_id, wants)
        listener = Listener(first, wants)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._keep_until = time.monotonic() + KEEP_SECONDS
            self._listeners.discard(listener)

    def publish(self, kind: str, **data: Any) -> None:
        """Send an event to all listeners, and keep it for those that reconnect; returns at once."""
        if self.keeps:
            self._call(self._add, kind, data)

    def definitions_changed(self, ids: Iterable[int]) -> None:
        """Definitions were added, edited, paused or removed."""
        for definition_id in ids:
            self.publish("definition.changed", definition_id=definition_id)

    def started(self, report: RunReport) -> None:
        """See contactsync.sync.observer.Observer."""
        self._publish_run("run.started", report, running=True)

    def progress(self, report: RunReport, stage: str) -> None:
        """See contactsync.sync.observer.Observer. An event too soon after the last one of its run is skipped."""
        if not (self._listeners or self._wanted_elsewhere):
            return
        now = time.monotonic()
        with self._guard:
            last_stage, last_at = self._reported.get(report.run_id, ("", 0.0))
            if now - last_at < PROGRESS_SECONDS and (stage == last_stage or stage in {"map", "stage", "search"}):
                return
            self._reported[report.run_id] = stage, now
        # Not kept: the next one says more.
        event = {**RunningDocument.of(report).model_dump(mode="json"), "stage": stage}
        self._call(self._collect, "run.progress", event)
        if self.other_nodes and self.other_nodes.wanted:
            self.other_nodes.send("run.progress", event)

    def relay(self, kind: str, data: dict[str, Any]) -> None:
        """Send an event of a run on another node to all listeners."""
        if kind == "run.progress":
            self._call(self._collect, kind, data)
        else:
            self.publish(kind, **data)

    def finished(self, report: RunReport) -> None:
        """See contactsync.sync.observer.Observer."""
        with self._guard:
            self._reported.pop(report.run_id, None)
        if report.undoes is not None and self.other_nodes:  # it had no beginning that asked the database
            self.other_nodes.look_again()
        self._publish_run("run.finished", report)

    @property
    def keeps(self) -> bool:
        """Whether events are kept: there are listeners, or were until some minutes ago."""
        return bool(self._listeners) or time.monotonic() < self._keep_until

    @property
    def _wanted_elsewhere(self) -> bool:
        return self.other_nodes is not None and self.other_nodes.wanted

    def _publish_run(self, kind: str, report: RunReport, *, running: bool = False) -> None:
        if not (self.keeps or self._wanted_elsewhere):
            return
        document = RunningDocument.of(report) if running else RunDocument.of(report)
        event = document.model_dump(mode="json")
        self.publish(kind, **event)
        if self.other_nodes and self.other_nodes.wanted:
            self.other_nodes.send(kind, event)

    def _call(self, function: Any, *arguments: Any) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(function, *arguments)

    def _add(self, kind: str, data: dict[str, Any]) -> None:
        self._collect_event(self._kept.add(kind, data))

    def _collect(self, kind: str, data: dict[str, Any]) -> None:
        self._collect_event(Event.of(kind, data))

    def _collect_event(self, event: Event) -> None:
        if not self._listeners:
            return
        if not self._unsent:
            asyncio.get_running_loop().call_later(FIRST_PAUSE + PAUSE_OF_EACH * len(self._listeners), self._flush)
        self._unsent.append(event)

    def _flush(self) -> None:
        events, self._unsent = self._unsent, []
        octets = joined(events)
        for listener in self._listeners if events else ():
            listener.put(octets if listener.wants is None else joined(events, listener.wants))

    def _close(self) -> None:
        self.closing.set()
        self._flush()
        for listener in self._listeners:
            listener.end()


def most_listeners() -> int:
    """The limit of listeners, which leaves file descriptors for the work of the daemon."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(MOST_LISTENERS, max(_FEWEST_LISTENERS, allowed - _DESCRIPTORS_OF_RUNS))
