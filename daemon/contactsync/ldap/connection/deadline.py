"""The deadline of a run, which can be cancelled."""

from __future__ import annotations

import time
from threading import Event

from contactsync.errors import DeadlineExceeded, RunCancelled


class Deadline:
    """A number of seconds from now on the monotonic clock; any thread may call `cancel()`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._cancelled = Event()

    def within(self, seconds: float) -> Deadline:
        """A deadline after `seconds`, but not after this one; both are cancelled together."""
        other = Deadline(min(seconds, self.remaining()))
        other._cancelled = self._cancelled
        return other

    def cancel(self) -> None:
        """End every wait on this deadline within a fraction of a second."""
        self._cancelled.set()

    def remaining(self) -> float:
        """The seconds left, always more than 0; raises RunCancelled or DeadlineExceeded otherwise."""
        if self._cancelled.is_set():
            raise RunCancelled("The run was cancelled before anything was applied.")
        left = self._end - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(
                f"The run took longer than its deadline of {self.seconds:g} s.",
                hint="Find out why the directory is slow, or allow the run a longer deadline.",
            )
        return left

    @property
    def overdrawn(self) -> float:
        """The seconds since the end; negative before it."""
        return time.monotonic() - self._end

    def sleep(self, seconds: float) -> None:
        """Sleep, at most until the deadline; raises RunCancelled or DeadlineExceeded."""
        self._cancelled.wait(min(seconds, self.remaining()))
        self.remaining()
