"""The notifications of the service manager, over a real socket."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from contactsync.service.systemd import Part, ServiceManager
from tests.support.notify_socket import NotifySocket

HEALTHY = Part(name="a worker", alive=True)
DEAD = Part(name="a worker", alive=False)
FAST = {"WATCHDOG_USEC": "1"}


@pytest.fixture
def manager_socket(short_path: Path) -> Iterator[NotifySocket]:
    """Give a socket that the service manager would listen on."""
    with NotifySocket(short_path) as manager_socket:
        yield manager_socket


def manager_of(manager_socket: NotifySocket, **environ: str) -> ServiceManager:
    """The manager of a process with this socket and environment."""
    return ServiceManager({"NOTIFY_SOCKET": manager_socket.name, **environ})


def test_a_name_in_the_abstract_namespace_is_reached(short_path: Path) -> None:
    """An @ in the variable is a NUL in the address."""
    with NotifySocket(short_path, abstract=True) as manager_socket:
        manager_of(manager_socket).ready("1 folder ok")
        assert manager_socket.messages() == [["READY=1", "STATUS=1 folder ok"]]


def test_without_a_service_manager_nothing_is_sent() -> None:
    """The same calls in a terminal do nothing."""
    manager = ServiceManager({"WATCHDOG_USEC": "1000"})
    with manager.taking_time("Opening the database"):
        manager.ready("")
    with manager.reloading():
        manager.pulse([HEALTHY], "well")
    assert manager.pulse_seconds > 1


def test_calls_return_when_the_socket_is_gone(manager_socket: NotifySocket) -> None:
    """A failure is only logged."""
    manager = manager_of(manager_socket)
    Path(manager_socket.name).unlink()
    manager.ready("")
    manager.pulse([HEALTHY], "well")


def test_the_watchdog_is_fed_while_all_parts_work(manager_socket: NotifySocket) -> None:
    """Each pulse that is due feeds it; an unchanged status is not repeated."""
    manager = manager_of(manager_socket, **FAST)
    manager.pulse([HEALTHY], "well")
    manager.pulse([HEALTHY], "well")
    assert manager_socket.lines() == ["WATCHDOG=1", "STATUS=well", "WATCHDOG=1"]


def test_the_watchdog_is_fed_at_half_its_time(manager_socket: NotifySocket) -> None:
    """Not at each pulse."""
    manager = manager_of(manager_socket, WATCHDOG_USEC="600000000")
    for _ in range(3):
        manager.pulse([HEALTHY], "well")
    assert manager_socket.count("WATCHDOG=1") == 1
    assert manager_of(manager_socket, WATCHDOG_USEC="1000000").pulse_seconds == pytest.approx(0.5)


def test_the_watchdog_is_not_fed_while_a_part_is_in_trouble(manager_socket: NotifySocket) -> None:
    """The status names the part, until it works again."""
    manager = manager_of(manager_socket, **FAST)
    manager.pulse([HEALTHY, DEAD], "well")
    assert manager_socket.lines() == ["STATUS=Something is wrong: a worker ended"]
    manager.pulse([HEALTHY, HEALTHY], "well")
    assert manager_socket.lines()[1:] == ["WATCHDOG=1", "STATUS=well"]


def test_a_watchdog_over_another_process_is_not_fed(manager_socket: NotifySocket) -> None:
    """WATCHDOG_PID names the process that is watched."""
    manager_of(manager_socket, WATCHDOG_PID=str(os.getpid() + 1), **FAST).pulse([HEALTHY], "well")
    assert manager_socket.lines() == ["STATUS=well"]
    manager_of(manager_socket, WATCHDOG_PID=str(os.getpid()), **FAST).pulse([HEALTHY], "well")
    assert manager_socket.count("WATCHDOG=1") == 1


def test_a_reload_is_announced_with_its_time_and_ends_ready_after_an_error(manager_socket: NotifySocket) -> None:
    """Systemd compares the monotonic time with that of its request."""
    manager = manager_of(manager_socket)
    manager.ready("well")
    before = time.monotonic_ns() // 1000
    with pytest.raises(ZeroDivisionError), manager.reloading():
        _ = 1 / 0
    _, begin, end = manager_socket.messages()
    assert begin[0] == "RELOADING=1"
    name, _, moment = begin[1].partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(moment) <= time.monotonic_ns() // 1000
    assert end == ["READY=1", "STATUS=well"]


def test_a_long_start_requests_time_until_its_end(manager_socket: NotifySocket) -> None:
    """As often as the watchdog has to be fed, and not afterwards."""
    manager = manager_of(manager_socket, WATCHDOG_USEC="20000")
    with manager.taking_time("Opening the database"):
        while manager_socket.count("EXTEND_TIMEOUT_USEC=60000000") < 3:
            time.sleep(0.005)
    assert manager_socket.status() == "Opening the database"
    sent = len(manager_socket.messages())
    manager.ready("well")
    assert manager_socket.messages()[sent:] == [["READY=1", "STATUS=well"]]


def test_a_stop_requests_time_up_to_its_limit(manager_socket: NotifySocket) -> None:
    """Afterwards systemd kills the service."""
    manager = manager_of(manager_socket, WATCHDOG_USEC="20000")
    with manager.stopping(at_most=0):
        assert manager_socket.lines() == ["STOPPING=1", "STATUS=Stopping"]


def test_a_name_adds_no_assignment(manager_socket: NotifySocket) -> None:
    """A line break in a status becomes a space."""
    manager_of(manager_socket).ready("Staff\nMAINPID=1")
    assert manager_socket.lines() == ["READY=1", "STATUS=Staff MAINPID=1"]
