"""What other threads leave for the one that listens: it hears of that at once, whatever it waits for."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue

Task = Callable[[], None]
"""What the thread is to do."""


class Mailbox:
    """Can be waited for like a connection; any thread may leave something."""

    def __init__(self) -> None:
        self._words: SimpleQueue[Task] = SimpleQueue()
        self._ours, self._theirs = socket.socketpair()
        for end in (self._ours, self._theirs):
            end.settimeout(0)

    def fileno(self) -> int:
        """For select.poll: readable while something is there."""
        return self._ours.fileno()

    def leave(self, word: Task) -> None:
        """Have the thread do something."""
        self._words.put(word)
        # It has been rung for often already, or nobody waits any more.
        with suppress(OSError):
            self._theirs.send(b".")

    def take(self) -> Iterator[Task]:
        """All that is there."""
        # First, so that what comes meanwhile rings again.
        with suppress(BlockingIOError):
            while self._ours.recv(1024):
                pass
        with suppress(Empty):
            while True:
                yield self._words.get_nowait()

    def close(self) -> None:
        """Give it back."""
        self._ours.close()
        self._theirs.close()
