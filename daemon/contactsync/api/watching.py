"""One client of the event stream, and the events that it can still get after it has reconnected."""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Self

MOST_UNSENT_BYTES = 1 << 20
"""The limit of what waits for one listener; a listener above it is dropped. Listeners share the octets."""
_ID = re.compile(r"([0-9a-f]+)-([0-9]{1,18})")
MOST_KEPT = 2000
"""Events that are kept for clients that reconnect."""


def encoded(kind: str, data: dict[str, Any], event_id: str | None = None) -> bytes:
    """A server-sent event (WHATWG HTML, section 9.2); one without an id does not move the client's position."""
    first = "" if event_id is None else f"id: {event_id}\n"
    return f"{first}event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


class Event(NamedTuple):
    """An encoded event, and the definition that it is about."""

    octets: bytes
    definition_id: int

    @classmethod
    def of(cls, kind: str, data: dict[str, Any], event_id: str | None = None) -> Self:
        """An event with this data, which names the definition."""
        return cls(encoded(kind, data, event_id), data["definition_id"])


Wants = Callable[[int], bool]
"""Whether a client may have the events about the definition with this id."""


def joined(events: Iterable[Event], wants: Wants | None = None) -> bytes:
    """The octets of all events, or of those that a client may have."""
    return b"".join(event.octets for event in events if wants is None or wants(event.definition_id))


_DROPPED = encoded(
    "stream.dropped",
    {
        "reason": "This client read too slowly, and events were lost.",
        "hint": "Connect again with the header Last-Event-ID, and read faster.",
    },
)


class Listener:
    """The queue of one client; for the event loop's thread only."""

    def __init__(self, first: list[bytes], wants: Wants | None = None) -> None:
        self.wants = wants
        self._unsent = deque(first)
        self._size = sum(map(len, first))
        self._arrived = asyncio.Event()
        self._ended = False
        self.dropped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the client was too slow; what it can still get is one last event."""

    def put(self, events: bytes) -> None:
        """Add events, which other listeners share."""
        if self._ended or not events:
            return
        if self._unsent and self._size + len(events) > MOST_UNSENT_BYTES:
            self._unsent.clear()
            self._unsent.append(_DROPPED)
            self.end()
            self.dropped.set_result(None)
        else:
            self._unsent.append(events)
            self._size += len(events)
            self._arrived.set()

    def end(self) -> None:
        """End the stream after what waits."""
        self._ended = True
        self._arrived.set()

    async def get(self, timeout: float) -> bytes | None:  # noqa: ASYNC109  (a heartbeat, not a cancellation)
        """All that waits, b"" after `timeout` seconds without anything, None at the end of the stream."""
        if not self._unsent and not self._ended:
            self._arrived.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._arrived.wait()
            except TimeoutError:
                return b""
        events = b"".join(self._unsent)
        self._unsent.clear()
        self._size = 0
        return events or None


class KeptEvents:
    """The last events, by ids that are valid until the daemon ends: `TOKEN-NUMBER`."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._number = 0
        self._events: deque[Event] = deque(maxlen=MOST_KEPT)

    def add(self, kind: str, data: dict[str, Any]) -> Event:
        """Keep an event; returns it with its id."""
        self._number += 1
        event = Event.of(kind, data, self._last_id)
        self._events.append(event)
        return event

    def forget(self) -> None:
        """Forget everything: events are not kept from now on, and the last id is no position any more."""
        self._events.clear()
        self._number += 1

    @property
    def position(self) -> bytes:
        """The newest id, without an event: a client that gets no event before it reconnects resumes there."""
        return f"id: {self._last_id}\n\n".encode()

    def after(self, event_id: str, wants: Wants | None = None) -> list[bytes]:
        """The events after this one; if not all of them are known, one event that says so, with the newest id.

        Of the first, only those that the client may have.
        """
        parts = _ID.fullmatch(event_id)
        if parts is None or parts[1] != self._token:
            return [self._reset("The daemon was started again, or never sent this id.")]
        behind = self._number - int(parts[2])
        if not 0 <= behind <= len(self._events):
            return [self._reset("Events after this id are not kept any more.")]
        events = joined(list(self._events)[len(self._events) - behind :], wants)
        return [events] if events else []

    @property
    def _last_id(self) -> str:
        return f"{self._token}-{self._number}"

    def _reset(self, reason: str) -> bytes:
        hint = "Read what you show again: the events after this one are complete."
        return encoded("stream.reset", {"reason": reason, "hint": hint}, self._last_id)
