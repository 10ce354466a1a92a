"""When to start listening for a folder, and when to request a run of it."""

from __future__ import annotations

import time
from collections.abc import Iterable

from contactsync.dispatch.live.status import LONGEST_PAUSE

_FIRST_PAUSE = 1.0
"""Seconds before the first retry; the pause doubles up to LONGEST_PAUSE."""


class Timers:
    """Timers by definition id, in monotonic seconds; for one thread.

    `suspended` are the definitions without a timer until their next run: their schedules run them.
    """

    def __init__(self) -> None:
        self.suspended: set[int] = set()
        self._start_at: dict[int, float] = {}
        self._run_at: dict[int, float] = {}
        self._pauses: dict[int | None, float] = {}

    @property
    def to_start(self) -> list[int]:
        """The definitions to listen for, now or later."""
        return list(self._start_at)

    @property
    def due_to_start(self) -> list[int]:
        """The definitions to listen for now."""
        now = time.monotonic()
        return [definition_id for definition_id, at in self._start_at.items() if at <= now]

    def start_in(self, seconds: float, definition_ids: Iterable[int]) -> None:
        """Start listening after so many seconds."""
        at = time.monotonic() + seconds
        for definition_id in sorted(definition_ids):
            self._start_at[definition_id] = at
            self.suspended.discard(definition_id)

    def started(self, definition_id: int) -> None:
        """The definition is listened for; its next pause is the first one again."""
        self._start_at.pop(definition_id, None)
        self._pauses.pop(definition_id, None)

    def suspend(self, definition_id: int) -> None:
        """Clear the timers until the definition's next run."""
        self.forget(definition_id)
        self.suspended.add(definition_id)

    def forget(self, definition_id: int) -> None:
        """Clear the timers."""
        self.started(definition_id)
        self._run_at.pop(definition_id, None)
        self.suspended.discard(definition_id)

    def run_at(self, at: float, definition_id: int) -> None:
        """Request a run at this time, unless an earlier one is set."""
        self._run_at[definition_id] = min(at, self._run_at.get(definition_id, at))

    def take_runs(self) -> list[int]:
        """Remove and return the definitions to run now."""
        now = time.monotonic()
        due = [definition_id for definition_id, at in self._run_at.items() if at <= now]
        for definition_id in due:
            del self._run_at[definition_id]
        return due

    @property
    def seconds(self) -> float | None:
        """Seconds until the next timer; None without timers."""
        times = [*self._start_at.values(), *self._run_at.values()]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def pause(self, definition_id: int | None) -> float:
        """Seconds until the retry for a definition, or (None) for all; doubles with each call."""
        pause = self._pauses.get(definition_id, _FIRST_PAUSE)
        self._pauses[definition_id] = min(2 * pause, LONGEST_PAUSE)
        return pause

    def connected_for(self, seconds: float) -> None:
        """Reset the back-off if the connection outlived half of the last pause."""
        if seconds >= self._pauses.get(None, 0.0) / 2:
            self._pauses.pop(None, None)
