"""The signals that end the demo: between two steps, so that nothing is left half done."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SLICE_SECONDS = 0.1


class Stopped(Exception):
    """SIGINT, SIGTERM or SIGHUP was received."""


class Stopper:
    """Remembers the first signal that asks the demo to end; then `pause` and `check` raise Stopped."""

    def __init__(self) -> None:
        self.signal: int | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals, and restore their handlers at the end."""
        # A signal that nohup or a shell's background job ignores stays ignored.
        handled = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self._note) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def pause(self, seconds: float) -> None:
        """Sleep; raises Stopped as soon as a signal is received."""
        # In slices and not on an Event: a signal handler that sets it can block its own waiter.
        deadline = time.monotonic() + seconds
        while self.signal is None and (remaining := deadline - time.monotonic()) > 0:
            time.sleep(min(remaining, _SLICE_SECONDS))
        self.check()

    def check(self) -> None:
        """Raise Stopped if a signal was received."""
        if self.signal is not None:
            raise Stopped

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.signal = self.signal or number
