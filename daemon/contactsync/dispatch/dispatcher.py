"""The queue of requested runs, and the worker threads that make them.

A definition runs once at a time. A request for a definition that waits already is the same request. A request for one
that is running leads to another run, because the directory may have changed after it was read. The limit of runs
applies to each directory server; definitions that wait for a busy server do not delay others.

Individual requests, for one folder or after an edit, take every second turn, so that a round of ten thousand folders
delays neither them nor itself.

An awaited request returns the future report of the run that starts after it; such requests for the same run share it.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Container
from concurrent.futures import Future
from dataclasses import dataclass, replace
from itertools import count

from contactsync.model import RunReport, Trigger


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A request for a run of one definition.

    `asked_at` is the monotonic time at which a user asked for this folder alone, or edited it; else None. `report` is
    cancelled if the request is withdrawn; it is None if no caller waits, since a future takes 1.7 kB. `number` grows
    with each request. `only_by_hand`: no schedule, edit or change in the directory needs the run. `remark` is added to
    the error if the definition or its password cannot be used. `node_id` is the node of a fleet that makes the run.
    """

    definition_id: int
    trigger: Trigger
    asked_at: float | None = None
    number: int = 0
    only_by_hand: bool = False
    remark: str = ""
    node_id: int | None = None
    report: Future[RunReport] | None = None

    def withdraw(self) -> None:
        """Tell those who wait that there will be no run."""
        if self.report:
            self.report.cancel()


class _Line:
    """The ids of waiting definitions in the order in which they came; servers take turns."""

    def __init__(self) -> None:
        self._queues: OrderedDict[str, OrderedDict[int, None]] = OrderedDict()

    def add(self, server: str, definition_id: int) -> None:
        self._queues.setdefault(server, OrderedDict()).setdefault(definition_id)

    def remove(self, server: str, definition_id: int) -> None:
        del self._queues[server][definition_id]
        if not self._queues[server]:
            del self._queues[server]

    def first(self, is_free: Callable[[str], bool], running: Container[int]) -> int | None:
        """The definition that has waited longest for the next free server; skips no more requests than are running."""
        for server, queue in self._queues.items():
            definition_id = next((key for key in queue if key not in running), None) if is_free(server) else None
            if definition_id is not None:
                self._queues.move_to_end(server)
                return definition_id
        return None


class Dispatcher:
    """Calls `work` for each request on `workers` threads, for at most `per_server` definitions of one server at once.

    `server_of` returns a definition's server; it must not block. An exception from `work` becomes the future's.
    """

    def __init__(
        self,
        work: Callable[[RunRequest], RunReport],
        server_of: Callable[[int], str],
        *,
        workers: int,
        per_server: int,
    ) -> None:
        self._work = work
        self._server_of = server_of
        self._per_server = per_server
        lock = threading.RLock()
        self._changed, self._ended = threading.Condition(lock), threading.Condition(lock)
        self._individual, self._round = _Line(), _Line()
        self._waiting: dict[int, tuple[RunRequest, str]] = {}
        self._turn_of_round = False
        self._numbers = count(1)
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

    def request(
        self,
        definition_id: int,
        trigger: Trigger,
        *,
        asked_at: float | None = None,
        awaited: bool = False,
    ) -> Future[RunReport]:
        """Run a definition as soon as possible; does not block. See RunQueue."""
        report: Future[RunReport] = Future()
        number, kept = next(self._numbers), report if awaited else None
        request = RunRequest(definition_id, trigger, asked_at, number, trigger.by_hand, report=kept)
        with self._changed:
            if self._stopping:
                report.cancel()
                return report
            if definition_id in self._waiting:
                waiting, server = self._waiting[definition_id]
                request = _merged(waiting, request)
                if self._line_of(waiting) is not self._line_of(request):
                    self._line_of(waiting).remove(server, definition_id)
            else:
                server = self._server_of(definition_id)
                self._changed.notify()
            self._line_of(request).add(server, definition_id)
            self._waiting[definition_id] = request, server
            return request.report if awaited and request.report else report

    def forget(self, definition_id: int, *, only_by_hand: bool = False) -> bool:
        """Withdraw a request whose run has not started. See RunQueue."""
        with self._changed:
            request = self._waiting[definition_id][0] if definition_id in self._waiting else None
            if request and (request.only_by_hand or not only_by_hand):
                self._remove(definition_id)
            else:
                request = None
        if request:
            request.withdraw()
        return request is not None

    def stop(self) -> None:
        """Accept no more requests and withdraw those that wait; running ones go on."""
        with self._changed:
            self._stopping = True
            withdrawn = [self._remove(definition_id)[0] for definition_id in list(self._waiting)]
            self._changed.notify_all()
        # Without the lock: a callback of the future may call the dispatcher.
        for request in withdrawn:
            request.withdraw()

    def join(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for the running ones; True if all have ended."""
        with self._changed:
            return self._ended.wait_for(lambda: not self._running, timeout)

    @property
    def running(self) -> frozenset[int]:
        """The definitions that are running."""
        with self._changed:
            return frozenset(self._running)

    def is_pending(self, definition_id: int) -> bool:
        """Whether a definition is waiting or running."""
        return bool(self.pending([definition_id]))

    def pending(self, definition_ids: Collection[int]) -> set[int]:
        """Those of these definitions that are waiting or running."""
        with self._changed:
            return {each for each in definition_ids if each in self._waiting or each in self._running}

    def is_waiting(self, definition_id: int) -> bool:
        """Whether a definition waits for a run."""
        with self._changed:
            return definition_id in self._waiting

    def places(self) -> dict[int, int]:
        """The place in the queue, from 1, of each waiting definition. It is about right: servers take turns."""
        with self._changed:
            waiting = [request for request, _ in self._waiting.values()]
        waiting.sort(key=lambda request: (request.asked_at is None, request.number))
        return {request.definition_id: place for place, request in enumerate(waiting, start=1)}

    @property
    def waiting(self) -> int:
        """The number of waiting definitions."""
        with self._changed:
            return len(self._waiting)

    @property
    def alive(self) -> bool:
        """Whether every worker thread is alive."""
        return all(thread.is_alive() for thread in self._threads)

    def _serve(self) -> None:
        request: RunRequest | None = None
        while True:
            if request is None:
                with self._changed:
                    while (request := self._take()) is None and not self._stopping:
                        self._changed.wait()
            if request is None:
                return
            request = self._carry_out(request)

    def _carry_out(self, request: RunRequest) -> RunRequest | None:
        """Run it, and take the next one: the end of a run lets at most one other start, so no other thread is woken."""
        failure: Exception | None = None
        report: RunReport | None = None
        try:
            report = self._work(request)
        except Exception as error:  # noqa: BLE001  (it is handed on; a worker thread must not end)
            failure = error
        with self._changed:
            server = self._running.pop(request.definition_id)
            self._busy[server] -= 1
            if not self._busy[server]:
                del self._busy[server]
            self._ended.notify_all()
            following = self._take()
        if request.report is not None:
            if report is not None:
                request.report.set_result(report)
            else:
                request.report.set_exception(failure)
        return following

    def _take(self) -> RunRequest | None:
        lines = (self._round, self._individual) if self._turn_of_round else (self._individual, self._round)
        for line in lines:
            definition_id = line.first(self._is_free, self._running)
            if definition_id is None:
                continue
            self._turn_of_round = line is self._individual
            request, server = self._remove(definition_id)
            # From here on, a client that shares the future can no longer cancel it.
            if request.report:
                request.report.set_running_or_notify_cancel()
            self._running[definition_id] = server
            self._busy[server] += 1
            return request
        return None

    def _is_free(self, server: str) -> bool:
        return self._busy[server] < self._per_server

    def _line_of(self, request: RunRequest) -> _Line:
        return self._round if request.asked_at is None else self._individual

    def _remove(self, definition_id: int) -> tuple[RunRequest, str]:
        request, server = self._waiting.pop(definition_id)
        self._line_of(request).remove(server, definition_id)
        return request, server


def _merged(waiting: RunRequest, request: RunRequest) -> RunRequest:
    """The waiting request, made by hand, after an edit or individual if the new one is."""
    return replace(
        waiting,
        trigger=request.trigger.merged(waiting.trigger),
        only_by_hand=waiting.only_by_hand and request.only_by_hand,
        asked_at=waiting.asked_at if request.asked_at is None else request.asked_at,
        report=waiting.report or request.report,
    )
