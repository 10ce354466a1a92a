"""What the service manager is told, over a real socket."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from contactsync.service.systemd import Part, ServiceManager
from tests.support.notify_socket import NotifySocket

SOUND = Part(name="a worker", alive=True)
DEAD = Part(name="a worker", alive=False)
FAST = {"WATCHDOG_USEC": "1"}


@pytest.fixture
def told(short_path: Path) -> Iterator[NotifySocket]:
    """Listen as the service manager does."""
    with NotifySocket(short_path) as told:
        yield told


def manager_of(told: NotifySocket, **environ: str) -> ServiceManager:
    """Make one that was started by this service manager."""
    return ServiceManager({"NOTIFY_SOCKET": told.name, **environ})


def test_a_name_in_the_abstract_namespace_is_reached(short_path: Path) -> None:
    """It begins with an @ in the variable and with a NUL in the address."""
    with NotifySocket(short_path, abstract=True) as told:
        manager_of(told).ready("1 folder in step")
        assert told.messages() == [["READY=1", "STATUS=1 folder in step"]]


def test_without_a_service_manager_nothing_is_sent_and_nothing_fails() -> None:
    """In a terminal the same calls are made."""
    manager = ServiceManager({"WATCHDOG_USEC": "1000"})
    with manager.taking_time("Opening the database"):
        manager.ready("")
    with manager.reloading():
        manager.pulse([SOUND], "well")
    assert manager.pulse_seconds > 1


def test_a_service_manager_that_went_away_costs_nothing(told: NotifySocket) -> None:
    """Its socket is gone; the calls return."""
    manager = manager_of(told)
    Path(told.name).unlink()
    manager.ready("")
    manager.pulse([SOUND], "well")


def test_the_watchdog_is_fed_while_all_parts_get_on(told: NotifySocket) -> None:
    """Each pulse that is due feeds it, and a status that is no news is not repeated."""
    manager = manager_of(told, **FAST)
    manager.pulse([SOUND], "well")
    manager.pulse([SOUND], "well")
    assert told.lines() == ["WATCHDOG=1", "STATUS=well", "WATCHDOG=1"]


def test_the_watchdog_is_fed_at_half_its_time(told: NotifySocket) -> None:
    """More often would only wake the service manager."""
    manager = manager_of(told, WATCHDOG_USEC="600000000")
    for _ in range(3):
        manager.pulse([SOUND], "well")
    assert told.count("WATCHDOG=1") == 1
    assert manager_of(told, WATCHDOG_USEC="1000000").pulse_seconds == pytest.approx(0.5)


def test_the_watchdog_starves_while_a_part_is_in_trouble(told: NotifySocket) -> None:
    """The status says which, and food comes again when the part does."""
    manager = manager_of(told, **FAST)
    manager.pulse([SOUND, DEAD], "well")
    assert told.lines() == ["STATUS=Something is wrong: a worker ended"]
    manager.pulse([SOUND, SOUND], "well")
    assert told.lines()[1:] == ["WATCHDOG=1", "STATUS=well"]


def test_a_watchdog_over_another_process_is_not_fed(told: NotifySocket) -> None:
    """WATCHDOG_PID names the process that is meant."""
    manager_of(told, WATCHDOG_PID=str(os.getpid() + 1), **FAST).pulse([SOUND], "well")
    assert told.lines() == ["STATUS=well"]
    manager_of(told, WATCHDOG_PID=str(os.getpid()), **FAST).pulse([SOUND], "well")
    assert told.count("WATCHDOG=1") == 1


def test_a_reload_is_announced_with_its_time_and_ends_ready_even_when_it_fails(told: NotifySocket) -> None:
    """The manager matches RELOADING to its own request by the monotonic clock."""
    manager = manager_of(told)
    manager.ready("well")
    before = time.monotonic_ns() // 1000
    with pytest.raises(ZeroDivisionError), manager.reloading():
        _ = 1 / 0
    _, begin, end = told.messages()
    assert begin[0] == "RELOADING=1"
    name, _, moment = begin[1].partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(moment) <= time.monotonic_ns() // 1000
    assert end == ["READY=1", "STATUS=well"]


def test_a_long_start_asks_for_time_until_it_is_over(told: NotifySocket) -> None:
    """As often as the watchdog wants to be fed, and no more afterwards."""
    manager = manager_of(told, WATCHDOG_USEC="20000")
    with manager.taking_time("Opening the database"):
        while told.count("EXTEND_TIMEOUT_USEC=60000000") < 3:
            time.sleep(0.005)
    assert told.status() == "Opening the database"
    asked = len(told.messages())
    manager.ready("well")
    assert told.messages()[asked:] == [["READY=1", "STATUS=well"]]


def test_a_stop_asks_for_no_more_time_than_it_may_take(told: NotifySocket) -> None:
    """After that the service manager ends what hangs."""
    manager = manager_of(told, WATCHDOG_USEC="20000")
    with manager.stopping(at_most=0):
        assert told.lines() == ["STOPPING=1", "STATUS=Stopping"]


def test_what_people_named_adds_no_assignment(told: NotifySocket) -> None:
    """A line end in a status stays inside of it."""
    manager_of(told).ready("Staff\nMAINPID=1")
    assert told.lines() == ["READY=1", "STATUS=Staff MAINPID=1"]
