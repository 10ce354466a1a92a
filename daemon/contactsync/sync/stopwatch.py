"""Where a run's time goes."""

from __future__ import annotations

import time


class Stopwatch:
    """Adds the time between two `enter` calls to the stage entered first; `seconds` is filled in place."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds = seconds
        self._stage: str | None = None
        self._since = time.perf_counter()

    def enter(self, stage: str) -> None:
        """End the stage that runs and begin another."""
        self.stop()
        self._stage = stage

    def stop(self) -> None:
        """End the stage that runs."""
        now = time.perf_counter()
        if self._stage is not None:
            self._seconds[self._stage] = self._seconds.get(self._stage, 0.0) + now - self._since
        self._stage, self._since = None, now
