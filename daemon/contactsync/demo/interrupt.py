"""Ends the demo when somebody asks for it: between two steps, never inside one, so that nothing is left half done."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SLICE_SECONDS = 0.1


class Stopped(Exception):
    """SIGINT, SIGTERM or SIGHUP came."""


class Stopper:
    """Notes the first signal that asks the demo to end; `pause` then raises Stopped, later signals change nothing."""

    def __init__(self) -> None:
        self.signal: int | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals over from whoever handles them, and give them back at the end."""
        # What nohup or a shell in the background has switched off stays so.
        heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self._note) for number in heard}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def pause(self, seconds: float) -> None:
        """Sleep; raises Stopped as soon as somebody asked for the end."""
        # In slices and not on an Event: setting that from a signal handler can lock up its own waiter.
        deadline = time.monotonic() + seconds
        while self.signal is None and (remaining := deadline - time.monotonic()) > 0:
            time.sleep(min(remaining, _SLICE_SECONDS))
        self.check()

    def check(self) -> None:
        """Raise Stopped when somebody asked for the end."""
        if self.signal is not None:
            raise Stopped

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.signal = self.signal or number
