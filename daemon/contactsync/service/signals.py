"""Signals as a queue: a handler only notes that its signal came, and the main thread does the work when it looks."""

from __future__ import annotations

import signal
import time
from collections import deque
from queue import Empty, SimpleQueue
from typing import Any

STOP = frozenset({signal.SIGTERM, signal.SIGINT})
ASK = frozenset({signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2})


class Signals:
    """What was asked by signals, in the order in which it came; for the main thread."""

    def __init__(self) -> None:
        # A SimpleQueue may be put into while the same thread is in the middle of getting from it; an Event may not.
        self._arrived: SimpleQueue[signal.Signals] = SimpleQueue()
        self._later: deque[signal.Signals] = deque()
        self.stopping = False

    def install(self) -> None:
        """Take over the signals that stop the daemon or ask it for something."""
        for number in STOP | ASK:
            signal.signal(number, self._note)

    def wait_for_stop(self, seconds: float) -> bool:
        """Wait up to so long; True as soon as it is to stop. What else was asked meanwhile is kept for `next`."""
        end = time.monotonic() + seconds
        while not self.stopping and (left := end - time.monotonic()) > 0:
            asked = self._take(left)
            if asked in ASK:
                self._later.append(asked)
        return self.stopping

    def next(self, seconds: float) -> signal.Signals | None:
        """What was asked first, waiting up to so long for it; None when nothing was, or when it is to stop."""
        asked = self._later.popleft() if self._later else self._take(seconds)
        return asked if asked in ASK else None

    def _take(self, seconds: float) -> signal.Signals | None:
        try:
            return self._arrived.get(timeout=seconds)
        except Empty:
            return None

    def _note(self, number: int, _frame: Any) -> None:
        if number in STOP:
            self.stopping = True
        self._arrived.put(signal.Signals(number))
