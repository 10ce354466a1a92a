"""A queue of tasks for a thread that waits for connections."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue

Task = Callable[[], None]


class Mailbox:
    """A queue that can be polled together with connections; any thread may put a task into it."""

    def __init__(self) -> None:
        self._tasks: SimpleQueue[Task] = SimpleQueue()
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.settimeout(0)

    def fileno(self) -> int:
        """The descriptor for select.poll; it is readable while there are tasks."""
        return self._reader.fileno()

    def put(self, task: Task) -> None:
        """Add a task and wake the thread."""
        self._tasks.put(task)
        with suppress(OSError):  # the buffer is full, so the thread wakes anyway; or the mailbox is closed
            self._writer.send(b".")

    def get(self) -> Iterator[Task]:
        """Remove and return all tasks."""
        # First, so that a task that comes meanwhile wakes the thread again.
        with suppress(BlockingIOError):
            while self._reader.recv(1024):
                pass
        with suppress(Empty):
            while True:
                yield self._tasks.get_nowait()

    def close(self) -> None:
        """Close the sockets."""
        self._reader.close()
        self._writer.close()
