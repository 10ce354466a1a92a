"""Who runs when: worker threads that take requested definitions in turn.

A definition runs once at a time. A request that comes while it waits is the same request; one that comes while it runs
means one more run afterwards, since what it asks about may have changed after it was read. Each directory server has a
limit of its own, and definitions that wait for a busy server hold up nobody else.

Whoever asks gets an answer that comes when the run has ended that was started after the asking; all who asked for the
same run share it.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from contactsync.model import RunReport, Trigger

Work = Callable[[int, Trigger], RunReport]
ServerOf = Callable[[int], str]
Answer = Future[RunReport]
"""The report of a run, or what kept it from being one; cancelled when the request was taken back."""


@dataclass(frozen=True, slots=True)
class _Request:
    trigger: Trigger
    answer: Answer = field(default_factory=Future)


class Dispatcher:
    """Runs `work(definition_id, trigger)` on `workers` threads, at most `per_server` at once for one server.

    `server_of` names the server a definition uses; it must be quick. What `work` raises goes to those who wait for it.
    """

    def __init__(self, work: Work, server_of: ServerOf, *, workers: int, per_server: int) -> None:
        self._work = work
        self._server_of = server_of
        self._per_server = per_server
        self._changed = threading.Condition()
        self._waiting: dict[int, str] = {}
        self._queues: OrderedDict[str, OrderedDict[int, _Request]] = OrderedDict()
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

    def request(self, definition_id: int, trigger: Trigger) -> Answer:
        """Have a definition run as soon as there is room. Never blocks; only a stopped dispatcher drops a request."""
        with self._changed:
            if definition_id in self._waiting:
                return self._join(definition_id, trigger)
            request = _Request(trigger)
            if self._stopping:
                request.answer.cancel()
                return request.answer
            server = self._server_of(definition_id)
            self._waiting[definition_id] = server
            self._queues.setdefault(server, OrderedDict())[definition_id] = request
            self._changed.notify()
            return request.answer

    def forget(self, definition_id: int) -> None:
        """Take back a request that did not start yet."""
        with self._changed:
            forgotten = self._remove(definition_id) if definition_id in self._waiting else None
        if forgotten:
            forgotten.answer.cancel()

    def stop(self) -> None:
        """Take no more requests and drop those that wait; what runs goes on."""
        with self._changed:
            self._stopping = True
            forgotten = [request for queue in self._queues.values() for request in queue.values()]
            self._waiting.clear()
            self._queues.clear()
            self._changed.notify_all()
        # Outside the lock: whoever waits for an answer may have something to say to us.
        for request in forgotten:
            request.answer.cancel()

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

    def _join(self, definition_id: int, trigger: Trigger) -> Answer:
        """Share the request that waits; it becomes one by hand when it is joined by one, since those do more."""
        queue = self._queues[self._waiting[definition_id]]
        waiting = queue[definition_id]
        if trigger.by_hand and not waiting.trigger.by_hand:
            queue[definition_id] = _Request(trigger, waiting.answer)
        return waiting.answer

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

    def _carry_out(self, definition_id: int, request: _Request) -> None:
        failure: Exception | None = None
        report: RunReport | None = None
        try:
            report = self._work(definition_id, request.trigger)
        except Exception as error:  # noqa: BLE001  (it is handed on; a worker thread must not end)
            failure = error
        with self._changed:
            server = self._running.pop(definition_id)
            self._busy[server] -= 1
            if not self._busy[server]:
                del self._busy[server]
            self._changed.notify_all()
        if report is not None:
            request.answer.set_result(report)
        else:
            request.answer.set_exception(failure)

    def _take(self) -> tuple[int, _Request] | None:
        """The definition that has waited longest for the server whose turn it is."""
        for server, queue in self._queues.items():
            if self._busy[server] >= self._per_server:
                continue
            definition_id = next((waiting for waiting in queue if waiting not in self._running), None)
            if definition_id is None:
                continue
            self._queues.move_to_end(server)
            request = self._remove(definition_id)
            # From here on those who wait can no longer take it back for all the others.
            request.answer.set_running_or_notify_cancel()
            self._running[definition_id] = server
            self._busy[server] += 1
            return definition_id, request
        return None

    def _remove(self, definition_id: int) -> _Request:
        server = self._waiting.pop(definition_id)
        queue = self._queues[server]
        request = queue.pop(definition_id)
        if not queue:
            del self._queues[server]
        return request
