"""What is to be done when: for which folders to begin to listen, and for which to ask for a run."""

from __future__ import annotations

import time
from collections.abc import Iterable

from contactsync.dispatch.live.status import LONGEST_PAUSE

_FIRST_PAUSE = 1.0
"""Seconds before what failed is tried again, doubling up to LONGEST_PAUSE."""


class Timers:
    """Times are in monotonic seconds, folders are known by the ids of their definitions; one thread uses it.

    `left` are those that nothing is done for until they have run: they are left to their schedules.
    """

    def __init__(self) -> None:
        self.left: set[int] = set()
        self._begin_at: dict[int, float] = {}
        self._run_at: dict[int, float] = {}
        self._pauses: dict[int | None, float] = {}

    @property
    def to_begin(self) -> list[int]:
        """Those that are to be listened for, now or later."""
        return list(self._begin_at)

    @property
    def due_to_begin(self) -> list[int]:
        """Those whose time has come."""
        now = time.monotonic()
        return [number for number, at in self._begin_at.items() if at <= now]

    def begin_in(self, seconds: float, numbers: Iterable[int]) -> None:
        """Begin to listen for these after so many seconds."""
        at = time.monotonic() + seconds
        for number in sorted(numbers):
            self._begin_at[number] = at
            self.left.discard(number)

    def begun(self, number: int) -> None:
        """This one is listened for."""
        self._begin_at.pop(number, None)
        self._pauses.pop(number, None)

    def leave(self, number: int) -> None:
        """Do nothing for this one until it has run."""
        self.forget(number)
        self.left.add(number)

    def forget(self, number: int) -> None:
        """Do nothing for this one."""
        self.begun(number)
        self._run_at.pop(number, None)
        self.left.discard(number)

    def run_at(self, at: float, number: int) -> None:
        """Ask for a run of this one then, unless one is to be asked for earlier."""
        self._run_at[number] = min(at, self._run_at.get(number, at))

    def take_runs(self) -> list[int]:
        """Those for which a run is to be asked for now."""
        now = time.monotonic()
        ripe = [number for number, at in self._run_at.items() if at <= now]
        for number in ripe:
            del self._run_at[number]
        return ripe

    @property
    def seconds(self) -> float | None:
        """How long there is nothing to do; None when there is nothing at all."""
        times = [*self._begin_at.values(), *self._run_at.values()]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def pause(self, key: int | None) -> float:
        """How long to wait with one, or (None) with all, that could not be listened for: longer each time."""
        pause = self._pauses.get(key, _FIRST_PAUSE)
        self._pauses[key] = min(2 * pause, LONGEST_PAUSE)
        return pause

    def reached(self, seconds: float) -> None:
        """All were listened for, for so long: if that is longer than it was waited for, the next pause is the first."""
        if seconds >= self._pauses.get(None, 0.0) / 2:
            self._pauses.pop(None, None)
