"""Which run the dispatcher starts next. It has threads but no I/O: the work of these tests waits for events."""

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


class Gate(Dispatcher):
    """A dispatcher whose runs wait at a gate; it notes their order and how many were inside at once."""

    def __init__(self, *, workers: int, per_server: int, servers: int) -> None:
        super().__init__(self._run, lambda key: f"server{key % servers}", workers=workers, per_server=per_server)
        self.entered: list[int] = []
        self.most_inside = 0
        self._inside = 0
        self._open = threading.Event()
        self._moved = threading.Condition()

    def _run(self, request: RunRequest) -> RunReport:
        with self._moved:
            self.entered.append(request.definition_id)
            number = len(self.entered)
            self._inside += 1
            self.most_inside = max(self.most_inside, self._inside)
            self._moved.notify_all()
        assert self._open.wait(WAIT)
        with self._moved:
            self._inside -= 1
            self._moved.notify_all()
        definition = Definition(folder_id=1, definition_id=request.definition_id, folder="Staff")
        return RunReport(number, definition, request.trigger, datetime.now(UTC))

    def open(self, until_entered: int = 0) -> None:
        """Let all runs through, and wait until so many have entered and all have left."""
        self._open.set()
        self.wait_for(until_entered)
        with self._moved:
            assert self._moved.wait_for(lambda: self._inside == 0, WAIT)

    def wait_for(self, entered: int) -> None:
        """Wait until so many runs have entered."""
        with self._moved:
            assert self._moved.wait_for(lambda: len(self.entered) >= entered, WAIT), self.entered


@contextmanager
def dispatching(*busy: int, workers: int = 1, per_server: int = 4, servers: int = 1) -> Iterator[Gate]:
    """A dispatcher with these definitions at the gate; definitions are spread over `servers` servers."""
    gate = Gate(workers=workers, per_server=per_server, servers=servers)
    gate.start()
    try:
        for number, definition_id in enumerate(busy, start=1):
            gate.request(definition_id, Trigger.SCHEDULE)
            gate.wait_for(number)
        yield gate
    finally:
        gate.open()
        gate.stop()
        assert gate.join(WAIT)


def test_requests_of_a_waiting_definition_are_one_run() -> None:
    """Another request changes nothing while the definition waits for a worker."""
    with dispatching(1) as gate:
        for _ in range(100):
            gate.request(2, Trigger.SCHEDULE)
        assert gate.waiting == 1
        gate.open(until_entered=2)
    assert gate.entered == [1, 2]


def test_requests_during_a_run_lead_to_one_more_run() -> None:
    """A definition never runs twice at the same time."""
    with dispatching(1, workers=4) as gate:
        gate.request(1, Trigger.MANUAL)
        gate.request(1, Trigger.MANUAL)
        assert gate.entered == [1]
        gate.open(until_entered=2)
    assert gate.entered == [1, 1]
    assert gate.most_inside == 1


def test_no_request_is_lost_when_all_workers_are_busy() -> None:
    """They wait."""
    with dispatching(workers=2) as gate:
        for definition_id in range(50):
            gate.request(definition_id, Trigger.SCHEDULE)
        gate.wait_for(2)
        gate.open(until_entered=50)
    assert sorted(gate.entered) == list(range(50))
    assert gate.most_inside <= 2


def test_a_busy_server_delays_only_its_own_definitions() -> None:
    """With one run for each server, a definition of another server starts before those that came earlier."""
    with dispatching(workers=4, per_server=1, servers=2) as gate:
        for definition_id in (0, 2, 4, 6, 1):
            gate.request(definition_id, Trigger.SCHEDULE)
        gate.wait_for(2)
        assert sorted(gate.entered) == [0, 1]
        gate.open(until_entered=5)


def test_individual_requests_take_every_second_turn() -> None:
    """Ten thousand other requests do not delay them, nor they the others."""
    with dispatching(0) as gate:
        for definition_id in range(1, 10_000):
            gate.request(definition_id, Trigger.MANUAL)
        for definition_id in (9_000, 20_000, 9_001):
            gate.request(definition_id, Trigger.EDIT, asked_at=1.0)
        gate.request(9_001, Trigger.SCHEDULE)
        gate.open(until_entered=8)
    assert gate.entered[:8] == [0, 9_000, 1, 20_000, 2, 9_001, 3, 4]


def test_an_individual_request_does_not_wait_for_the_turns_of_other_servers() -> None:
    """Hundreds of servers take turns."""
    with dispatching(0, servers=500) as gate:
        for definition_id in range(1, 2_000):
            gate.request(definition_id, Trigger.SCHEDULE)
        gate.request(1_999, Trigger.MANUAL, asked_at=1.0)
        gate.open(until_entered=2_000)
    assert gate.entered.index(1_999) <= 2
    assert sorted(gate.entered) == list(range(2_000))


def test_servers_take_turns() -> None:
    """Ten thousand definitions of one server do not delay another one."""
    with dispatching(0, servers=2) as gate:
        for definition_id in range(2, 20_000, 2):
            gate.request(definition_id, Trigger.SCHEDULE)
        gate.request(1, Trigger.SCHEDULE)
        gate.open(until_entered=4)
    assert 1 in gate.entered[:4]


def test_a_withdrawn_request_does_not_run() -> None:
    """Whether it is an individual one or not."""
    with dispatching(1) as gate:
        for definition_id in (2, 3, 4):
            gate.request(definition_id, Trigger.SCHEDULE, asked_at=1.0 if definition_id == 4 else None)
        gate.forget(2)
        gate.forget(4)
        gate.open(until_entered=2)
    assert gate.entered == [1, 3]


def test_a_stop_withdraws_requests_and_waits_for_runs() -> None:
    """Nothing starts after it."""
    with dispatching(1) as gate:
        gate.request(2, Trigger.SCHEDULE)
        gate.stop()
        assert not gate.join(0)
        gate.open()
        assert gate.join(WAIT)
        gate.request(3, Trigger.SCHEDULE)
    assert gate.entered == [1]


def test_requests_for_the_same_run_share_its_report() -> None:
    """It is the report of a run that started after the requests."""
    with dispatching(1) as gate:
        reports = {gate.request(1, Trigger.REQUEST, awaited=True) for _ in range(100)}
        assert len(reports) == 1
        gate.open(until_entered=2)
        assert reports.pop().result(WAIT).run_id == 2


def test_a_request_by_hand_changes_the_trigger_of_a_waiting_one() -> None:
    """The record says who asked."""
    with dispatching(1) as gate:
        waiting = gate.request(2, Trigger.SCHEDULE, awaited=True)
        gate.request(2, Trigger.MANUAL)
        gate.open()
        assert waiting.result(WAIT).trigger is Trigger.MANUAL


def test_a_withdrawn_request_has_a_cancelled_report() -> None:
    """After the definition was removed or the dispatcher was stopped."""
    with dispatching(1) as gate:
        forgotten, dropped = (gate.request(key, Trigger.MANUAL, awaited=True) for key in (2, 3))
        gate.forget(2)
        gate.stop()
        for report in (forgotten, dropped, gate.request(4, Trigger.MANUAL, awaited=True)):
            with pytest.raises(CancelledError):
                report.result(WAIT)


def test_an_exception_goes_to_the_future_and_ends_no_worker() -> None:
    """The worker takes the next request."""

    def work(request: RunRequest) -> RunReport:
        raise LookupError(request.definition_id)

    dispatcher = Dispatcher(work, str, workers=1, per_server=1)
    dispatcher.start()
    for definition_id in (1, 2):
        with pytest.raises(LookupError, match=str(definition_id)):
            dispatcher.request(definition_id, Trigger.MANUAL, awaited=True).result(WAIT)
    dispatcher.stop()


@pytest.mark.parametrize(
    ("earlier", "later", "merged"),
    [
        (Trigger.SCHEDULE, Trigger.EDIT, Trigger.EDIT),
        (Trigger.EDIT, Trigger.LIVE, Trigger.EDIT),
        (Trigger.CATCH_UP, Trigger.SCHEDULE, Trigger.CATCH_UP),
        (Trigger.EDIT, Trigger.REQUEST, Trigger.REQUEST),
        (Trigger.MANUAL, Trigger.EDIT, Trigger.MANUAL),
        (Trigger.MANUAL, Trigger.REQUEST, Trigger.MANUAL),
    ],
)
def test_the_reason_of_one_run_for_two_requests(earlier: Trigger, later: Trigger, merged: Trigger) -> None:
    """The first of a user's requests, else an edit, else the first."""
    assert later.merged(earlier) is merged
