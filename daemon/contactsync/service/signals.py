"""A queue of signals: the handler only adds the signal, and the main thread handles it."""

from __future__ import annotations

import signal
import time
from collections import deque
from queue import Empty, SimpleQueue
from typing import Any

STOP = frozenset({signal.SIGTERM, signal.SIGINT})
ASK = frozenset({signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2})


class Signals:
    """The received signals, in the order in which they came; for the main thread."""

    def __init__(self) -> None:
        # A signal handler may use a SimpleQueue while its own thread waits for it; it may not use an Event so.
        self._received: SimpleQueue[signal.Signals] = SimpleQueue()
        self._later: deque[signal.Signals] = deque()
        self.stopping = False

    def install(self) -> None:
        """Install the handlers."""
        for number in STOP | ASK:
            signal.signal(number, self._note)

    def wait_for_stop(self, seconds: float) -> bool:
        """Wait up to so many seconds; True as soon as the daemon is to stop. Other signals are kept for `next`."""
        end = time.monotonic() + seconds
        while not self.stopping and (left := end - time.monotonic()) > 0:
            received = self._take(left)
            if received in ASK:
                self._later.append(received)
        return self.stopping

    def next(self, seconds: float) -> signal.Signals | None:
        """The next signal, waiting up to so many seconds; None if there is none, or if the daemon is to stop."""
        received = self._later.popleft() if self._later else self._take(seconds)
        return received if received in ASK else None

    def _take(self, seconds: float) -> signal.Signals | None:
        try:
            return self._received.get(timeout=seconds)
        except Empty:
            return None

    def _note(self, number: int, _frame: Any) -> None:
        if number in STOP:
            self.stopping = True
        self._received.put(signal.Signals(number))
