"""Who runs when: worker threads that take requested definitions in turn.

A definition runs once at a time. A request that comes while it waits is the same request; one that comes while it runs
means one more run afterwards, since what it asks about may have changed after it was read. Each directory server has a
limit of its own, and definitions that wait for a busy server hold up nobody else.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable

from contactsync.model import Trigger

Work = Callable[[int, Trigger], None]
ServerOf = Callable[[int], str]


class Dispatcher:
    """Runs `work(definition_id, trigger)` on `workers` threads, at most `per_server` at once for one server.

    `server_of` names the server a definition uses; it must be quick. `work` must not raise.
    """

    def __init__(self, work: Work, server_of: ServerOf, *, workers: int, per_server: int) -> None:
        self._work = work
        self._server_of = server_of
        self._per_server = per_server
        self._changed = threading.Condition()
        self._waiting: dict[int, str] = {}
        self._queues: OrderedDict[str, OrderedDict[int, Trigger]] = OrderedDict()
        self._running: dict[int, str] = {}
        self._busy: Counter[str] = Counter()
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._serve, name=f"worker-{number + 1}", daemon=True) for number in range(workers)
        ]

    def start(self) -> None:
        """Start the worker threads."""
        for thread in self._threads:
            thread.start()

    def request(self, definition_id: int, trigger: Trigger) -> None:
        """Have a definition run as soon as there is room. Never blocks; only a stopped dispatcher drops a request."""
        with self._changed:
            if self._stopping or definition_id in self._waiting:
                return
            server = self._server_of(definition_id)
            self._waiting[definition_id] = server
            self._queues.setdefault(server, OrderedDict())[definition_id] = trigger
            self._changed.notify()

    def forget(self, definition_id: int) -> None:
        """Take back a request that did not start yet."""
        with self._changed:
            if definition_id in self._waiting:
                self._remove(definition_id)

    def stop(self) -> None:
        """Take no more requests and drop those that wait; what runs goes on."""
        with self._changed:
            self._stopping = True
            self._waiting.clear()
            self._queues.clear()
            self._changed.notify_all()

    def join(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for the running ones to end; True when all did."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._running, timeout)

    @property
    def running(self) -> frozenset[int]:
        """The definitions that run now."""
        with self._changed:
            return frozenset(self._running)

    @property
    def waiting(self) -> int:
        """How many definitions wait."""
        with self._changed:
            return len(self._waiting)

    @property
    def alive(self) -> bool:
        """Whether every worker thread is there."""
        return all(thread.is_alive() for thread in self._threads)

    def _serve(self) -> None:
        while True:
            with self._changed:
                taken = self._take()
                while taken is None and not self._stopping:
                    self._changed.wait()
                    taken = self._take()
            if taken is None:
                return
            self._carry_out(*taken)

    def _carry_out(self, definition_id: int, trigger: Trigger) -> None:
        try:
            self._work(definition_id, trigger)
        finally:
            with self._changed:
                server = self._running.pop(definition_id)
                self._busy[server] -= 1
                if not self._busy[server]:
                    del self._busy[server]
                self._changed.notify_all()

    def _take(self) -> tuple[int, Trigger] | None:
        """The definition that has waited longest for the server whose turn it is."""
        for server, queue in self._queues.items():
            if self._busy[server] >= self._per_server:
                continue
            definition_id = next((waiting for waiting in queue if waiting not in self._running), None)
            if definition_id is None:
                continue
            self._queues.move_to_end(server)
            trigger = self._remove(definition_id)
            self._running[definition_id] = server
            self._busy[server] += 1
            return definition_id, trigger
        return None

    def _remove(self, definition_id: int) -> Trigger:
        server = self._waiting.pop(definition_id)
        queue = self._queues[server]
        trigger = queue.pop(definition_id)
        if not queue:
            del self._queues[server]
        return trigger
