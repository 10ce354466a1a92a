"""Who runs when. Threads, but no I/O: the work of these tests waits on events."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from contactsync.dispatch.dispatcher import Dispatcher, RunRequest
from contactsync.model import Definition, RunReport, Trigger

WAIT = 10.0


class Gate:
    """Work that waits at a gate, and remembers who came and how many were inside at once."""

    def __init__(self) -> None:
        self.entered: list[int] = []
        self.most_at_once = 0
        self._inside = 0
        self._open = threading.Event()
        self._changed = threading.Condition()

    def work(self, request: RunRequest) -> RunReport:
        """Go in, wait for the gate to open, go out."""
        with self._changed:
            self.entered.append(request.definition_id)
            number = len(self.entered)
            self._inside += 1
            self.most_at_once = max(self.most_at_once, self._inside)
            self._changed.notify_all()
        assert self._open.wait(WAIT)
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()
        definition = Definition(folder_id=1, definition_id=request.definition_id, folder="Staff")
        return RunReport(number, definition, request.trigger, datetime.now(UTC))

    def open(self) -> None:
        """Let everybody through from now on."""
        self._open.set()

    def wait_for(self, entered: int) -> None:
        """Wait until so many came in."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.entered) >= entered, WAIT), self.entered

    def wait_until_empty(self) -> None:
        """Wait until all went out."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._inside == 0, WAIT)


@contextmanager
def dispatching(gate: Gate, *, workers: int = 4, per_server: int = 4, servers: int = 1) -> Iterator[Dispatcher]:
    """Give a started dispatcher whose definitions are spread over `servers` servers."""
    dispatcher = Dispatcher(gate.work, lambda key: f"server{key % servers}", workers=workers, per_server=per_server)
    dispatcher.start()
    try:
        yield dispatcher
    finally:
        gate.open()
        dispatcher.stop()
        assert dispatcher.join(WAIT)


def test_a_hundred_requests_of_a_waiting_definition_are_one_run() -> None:
    """While a definition waits for a worker, asking again changes nothing."""
    gate = Gate()
    with dispatching(gate, workers=1) as dispatcher:
        dispatcher.request(1, Trigger.SCHEDULE)
        gate.wait_for(1)
        for _ in range(100):
            dispatcher.request(2, Trigger.SCHEDULE)
        assert dispatcher.waiting == 1
        gate.open()
        gate.wait_for(2)
        gate.wait_until_empty()
    assert gate.entered == [1, 2]


def test_a_request_during_a_run_means_one_more_run() -> None:
    """A definition never runs twice at once; what was asked meanwhile is done once, afterwards."""
    gate = Gate()
    with dispatching(gate) as dispatcher:
        dispatcher.request(1, Trigger.SCHEDULE)
        gate.wait_for(1)
        dispatcher.request(1, Trigger.MANUAL)
        dispatcher.request(1, Trigger.MANUAL)
        assert gate.entered == [1]
        gate.open()
        gate.wait_for(2)
        gate.wait_until_empty()
    assert gate.entered == [1, 1]
    assert gate.most_at_once == 1


def test_no_request_is_dropped_when_all_workers_are_busy() -> None:
    """A busy pool makes runs late, never lost."""
    gate = Gate()
    with dispatching(gate, workers=2) as dispatcher:
        for definition_id in range(50):
            dispatcher.request(definition_id, Trigger.SCHEDULE)
        gate.wait_for(2)
        gate.open()
        gate.wait_for(50)
    assert sorted(gate.entered) == list(range(50))
    assert gate.most_at_once <= 2


def test_a_busy_server_holds_up_only_its_own() -> None:
    """With one slot for each server, definitions of a second server pass those that wait for the first."""
    gate = Gate()
    with dispatching(gate, workers=4, per_server=1, servers=2) as dispatcher:
        for definition_id in (0, 2, 4, 6, 1):
            dispatcher.request(definition_id, Trigger.SCHEDULE)
        gate.wait_for(2)
        assert sorted(gate.entered) == [0, 1]
        gate.open()
        gate.wait_for(5)


def test_what_somebody_waits_for_passes_a_round() -> None:
    """A folder that was asked for or edited is not put behind ten thousand; nor are those kept waiting by it."""
    gate = Gate()
    with dispatching(gate, workers=1) as dispatcher:
        dispatcher.request(0, Trigger.MANUAL)
        gate.wait_for(1)
        for definition_id in range(1, 10_000):
            dispatcher.request(definition_id, Trigger.MANUAL)
        for definition_id in (9_000, 20_000, 9_001):
            dispatcher.request(definition_id, Trigger.EDIT, individual=True)
        dispatcher.request(9_001, Trigger.SCHEDULE)
        gate.open()
        gate.wait_for(8)
    assert gate.entered[:8] == [0, 9_000, 1, 20_000, 2, 9_001, 3, 4]


def test_what_somebody_waits_for_passes_the_rounds_of_other_servers() -> None:
    """Hundreds of servers have their turns, and the one that somebody waits for does not come last."""
    gate = Gate()
    with dispatching(gate, workers=1, servers=500) as dispatcher:
        for definition_id in range(2_000):
            dispatcher.request(definition_id, Trigger.SCHEDULE)
        gate.wait_for(1)
        dispatcher.request(1_999, Trigger.MANUAL, individual=True)
        gate.open()
        gate.wait_for(2_000)
    assert gate.entered.index(1_999) <= 2
    assert sorted(gate.entered) == list(range(2_000))


def test_a_second_server_is_served_while_ten_thousand_wait_for_the_first() -> None:
    """Each server has its turn, however long the line for another one is."""
    gate = Gate()
    with dispatching(gate, workers=1, servers=2) as dispatcher:
        for definition_id in range(0, 20_000, 2):
            dispatcher.request(definition_id, Trigger.SCHEDULE)
        gate.wait_for(1)
        dispatcher.request(1, Trigger.SCHEDULE)
        gate.open()
        gate.wait_for(4)
    assert 1 in gate.entered[:4]


def test_a_forgotten_request_does_not_run() -> None:
    """A definition that was removed while it waited is not run any more."""
    gate = Gate()
    with dispatching(gate, workers=1) as dispatcher:
        dispatcher.request(1, Trigger.SCHEDULE)
        gate.wait_for(1)
        for definition_id in (2, 3, 4):
            dispatcher.request(definition_id, Trigger.SCHEDULE, individual=definition_id == 4)
        dispatcher.forget(2)
        dispatcher.forget(4)
        gate.open()
        gate.wait_for(2)
        gate.wait_until_empty()
    assert gate.entered == [1, 3]


def test_stop_drops_what_waits_and_waits_for_what_runs() -> None:
    """Joining is false while something runs, and nothing starts after stop."""
    gate = Gate()
    with dispatching(gate, workers=1) as dispatcher:
        dispatcher.request(1, Trigger.SCHEDULE)
        gate.wait_for(1)
        dispatcher.request(2, Trigger.SCHEDULE)
        dispatcher.stop()
        assert not dispatcher.join(0)
        gate.open()
        assert dispatcher.join(WAIT)
        dispatcher.request(3, Trigger.SCHEDULE)
    assert gate.entered == [1]


def test_all_who_ask_for_the_same_run_get_its_report() -> None:
    """A hundred requests share one answer, and it is about a run that began after they asked."""
    gate = Gate()
    with dispatching(gate) as dispatcher:
        first = dispatcher.request(1, Trigger.SCHEDULE)
        gate.wait_for(1)
        answers = {dispatcher.request(1, Trigger.REQUEST) for _ in range(100)}
        assert len(answers) == 1
        gate.open()
        (answer,) = answers
        assert answer.result(WAIT).run_id == 2
        assert first.result(WAIT).run_id == 1


def test_a_request_by_hand_makes_a_waiting_one_a_request_by_hand() -> None:
    """What somebody asks for is not done as if the schedule had asked."""
    gate = Gate()
    with dispatching(gate, workers=1) as dispatcher:
        dispatcher.request(1, Trigger.SCHEDULE)
        gate.wait_for(1)
        waiting = dispatcher.request(2, Trigger.SCHEDULE)
        dispatcher.request(2, Trigger.MANUAL)
        gate.open()
        assert waiting.result(WAIT).trigger is Trigger.MANUAL


def test_a_request_that_is_taken_back_is_answered_so() -> None:
    """Whoever waits for a removed definition, or for a stopped dispatcher, is told at once."""
    gate = Gate()
    with dispatching(gate, workers=1) as dispatcher:
        dispatcher.request(1, Trigger.SCHEDULE)
        gate.wait_for(1)
        forgotten, dropped = (dispatcher.request(key, Trigger.MANUAL) for key in (2, 3))
        dispatcher.forget(2)
        dispatcher.stop()
        for answer in (forgotten, dropped, dispatcher.request(4, Trigger.MANUAL)):
            with pytest.raises(CancelledError):
                answer.result(WAIT)


def test_a_failure_goes_to_those_who_wait_and_ends_no_worker() -> None:
    """The worker that met it takes the next request."""

    def work(request: RunRequest) -> RunReport:
        raise LookupError(request.definition_id)

    dispatcher = Dispatcher(work, str, workers=1, per_server=1)
    dispatcher.start()
    for definition_id in (1, 2):
        with pytest.raises(LookupError, match=str(definition_id)):
            dispatcher.request(definition_id, Trigger.MANUAL).result(WAIT)
    dispatcher.stop()
