"""Who runs when: worker threads that take requested definitions in turn.

A definition runs once at a time. A request that comes while it waits is the same request; one that comes while it runs
means one more run afterwards, since what it asks about may have changed after it was read. Each directory server has a
limit of its own, and definitions that wait for a busy server hold up nobody else.

What somebody waits for, a folder that was asked for or edited, is not put behind a round of ten thousand: every second
turn is for those, if there are any, and every second one for the others, so that neither keep the others from running.

Whoever asks gets an answer that comes when the run has ended that was started after the asking; all who asked for the
same run share it.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Container
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


class _Line:
    """Those that wait, in the order of their coming, for servers that have their turns."""

    def __init__(self) -> None:
        self._queues: OrderedDict[str, OrderedDict[int, _Request]] = OrderedDict()

    def put(self, server: str, definition_id: int, request: _Request) -> None:
        self._queues.setdefault(server, OrderedDict())[definition_id] = request

    def get(self, server: str, definition_id: int) -> _Request:
        return self._queues[server][definition_id]

    def remove(self, server: str, definition_id: int) -> _Request:
        queue = self._queues[server]
        request = queue.pop(definition_id)
        if not queue:
            del self._queues[server]
        return request

    def clear(self) -> list[_Request]:
        """Empty it; returns those that waited."""
        requests = [request for queue in self._queues.values() for request in queue.values()]
        self._queues.clear()
        return requests

    def first(self, is_free: Callable[[str], bool], running: Container[int]) -> int | None:
        """Who has waited longest for the server whose turn it is; no more are passed over than run."""
        for server, queue in self._queues.items():
            definition_id = next((key for key in queue if key not in running), None) if is_free(server) else None
            if definition_id is not None:
                self._queues.move_to_end(server)
                return definition_id
        return None


class Dispatcher:
    """Runs `work(definition_id, trigger)` on `workers` threads, at most `per_server` at once for one server.

    `server_of` names the server a definition uses; it must be quick. What `work` raises goes to those who wait for it.
    """

    def __init__(self, work: Work, server_of: ServerOf, *, workers: int, per_server: int) -> None:
        self._work = work
        self._server_of = server_of
        self._per_server = per_server
        self._changed = threading.Condition()
        self._awaited, self._others = _Line(), _Line()
        self._waiting: dict[int, tuple[_Line, str]] = {}
        self._others_turn = False
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

    def request(self, definition_id: int, trigger: Trigger, *, awaited: bool = False) -> Answer:
        """Have a definition run as soon as there is room; before most others when somebody waits for it.

        Never blocks; only a stopped dispatcher drops a request.
        """
        with self._changed:
            if definition_id in self._waiting:
                return self._join(definition_id, trigger, awaited=awaited)
            request = _Request(trigger)
            if self._stopping:
                request.answer.cancel()
                return request.answer
            server = self._server_of(definition_id)
            self._put(definition_id, server, request, awaited=awaited)
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
            forgotten = self._awaited.clear() + self._others.clear()
            self._waiting.clear()
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

    def _put(self, definition_id: int, server: str, request: _Request, *, awaited: bool) -> None:
        line = self._awaited if awaited else self._others
        self._waiting[definition_id] = line, server
        line.put(server, definition_id, request)

    def _join(self, definition_id: int, trigger: Trigger, *, awaited: bool) -> Answer:
        """Share the request that waits, which becomes what is more of the two: by hand, awaited."""
        line, server = self._waiting[definition_id]
        waiting = line.get(server, definition_id)
        joined = _Request(trigger, waiting.answer) if trigger.by_hand and not waiting.trigger.by_hand else waiting
        if awaited and line is self._others:
            line.remove(server, definition_id)
            line = self._awaited
        self._put(definition_id, server, joined, awaited=line is self._awaited)
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
        """Who has its turn and may run now."""
        lines = (self._others, self._awaited) if self._others_turn else (self._awaited, self._others)
        for line in lines:
            definition_id = line.first(self._is_free, self._running)
            if definition_id is None:
                continue
            self._others_turn = line is self._awaited
            _, server = self._waiting[definition_id]
            request = self._remove(definition_id)
            # From here on those who wait can no longer take it back for all the others.
            request.answer.set_running_or_notify_cancel()
            self._running[definition_id] = server
            self._busy[server] += 1
            return definition_id, request
        return None

    def _is_free(self, server: str) -> bool:
        return self._busy[server] < self._per_server

    def _remove(self, definition_id: int) -> _Request:
        line, server = self._waiting.pop(definition_id)
        return line.remove(server, definition_id)
