"""The file of the control socket: its permissions, what it replaces, and the socket of systemd."""

from __future__ import annotations

import grp
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support.processes import CONTACTSYNC, DaemonProcess
from tests.support.waiting import PATIENCE

MakeDaemon = Callable[..., DaemonProcess]

HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.argv[2], sys.argv[2:])
"""
"""What a service manager does between fork and exec (sd_listen_fds(3))."""


@pytest.fixture
def place(short_path: Path) -> Path:
    """Give the path of a socket that does not exist yet."""
    return short_path / "control.sock"


def pid_of(path: Path) -> int:
    """The process id of the daemon that serves a socket."""
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), timeout=PATIENCE) as http:
        return int(http.get("http://daemon/v1/status").json()["pid"])


def refusal(daemon: DaemonProcess, code: int) -> str:
    """The output of a daemon that must end at once with this exit code."""
    daemon.launch()
    assert daemon.wait() == code
    return daemon.text()


def hand_over(daemon: DaemonProcess, number: int) -> None:
    """Start a daemon as a service manager that passes this file descriptor."""
    daemon.launch(sys.executable, "-c", HAND_OVER, str(number), str(CONTACTSYNC), "daemon", pass_fds=[number])


def test_the_file_has_the_mode_and_group_that_are_set_and_goes_at_the_end(
    database: str, make_daemon: MakeDaemon, place: Path
) -> None:
    """A daemon that stops removes it."""
    group = grp.getgrgid(os.getgid()).gr_name
    settings = {"CONTACTSYNC_CONTROL__MODE": "0620", "CONTACTSYNC_CONTROL__GROUP": group}
    daemon = make_daemon(database, CONTACTSYNC_CONTROL__SOCKET=str(place), **settings)
    daemon.start()
    found = place.stat()
    assert stat.S_ISSOCK(found.st_mode)
    assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o620, os.getgid())
    assert daemon.stop() == 0
    assert not place.exists()


def test_a_live_socket_is_never_stolen(database: str, make_daemon: MakeDaemon, place: Path) -> None:
    """The second daemon names the process that serves it, and ends."""
    first, second = (make_daemon(database, CONTACTSYNC_CONTROL__SOCKET=str(place)) for _ in range(2))
    first.start()
    assert f"Process {first.pid} serves the socket" in refusal(second, 1)
    assert pid_of(place) == first.pid


def test_the_socket_of_a_killed_daemon_is_replaced(database: str, make_daemon: MakeDaemon, place: Path) -> None:
    """The user does not have to remove the file."""
    daemon = make_daemon(database, CONTACTSYNC_CONTROL__SOCKET=str(place))
    daemon.start()
    daemon.stop(signal.SIGKILL)
    assert place.exists()
    daemon.start()
    assert pid_of(place) == daemon.pid


def test_a_file_that_is_no_socket_is_left_alone(database: str, make_daemon: MakeDaemon, place: Path) -> None:
    """It may be a user's file."""
    place.write_text("mine")
    assert "is no socket" in refusal(make_daemon(database, CONTACTSYNC_CONTROL__SOCKET=str(place)), 78)
    assert place.read_text() == "mine"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"CONTACTSYNC_CONTROL__GROUP": "no-such-group"}, 'There is no group "no-such-group"'),
        ({"CONTACTSYNC_CONTROL__MODE": "rw"}, "must be a file mode in octal"),
        ({"CONTACTSYNC_CONTROL__SOCKET": f"/{'x' * 107}"}, "has 108 bytes; a Unix socket's may have 107"),
    ],
)
def test_settings_that_cannot_be_met_are_refused(
    database: str, make_daemon: MakeDaemon, place: Path, settings: dict[str, str], words: str
) -> None:
    """The exit code is 78, and no file is left behind."""
    daemon = make_daemon(database, **{"CONTACTSYNC_CONTROL__SOCKET": str(place), **settings})
    assert words in refusal(daemon, 78)
    assert not place.exists()


def test_a_group_of_others_is_refused_with_what_to_do(database: str, make_daemon: MakeDaemon, place: Path) -> None:
    """The daemon's user may give its socket to its own groups only. Root may, unless a sandbox takes that right."""
    other = next(group.gr_name for group in grp.getgrall() if group.gr_gid not in {os.getgid(), *os.getgroups()})
    settings = {"CONTACTSYNC_CONTROL__SOCKET": str(place), "CONTACTSYNC_CONTROL__GROUP": other}
    daemon = make_daemon(database, **settings)
    as_others = ["setpriv", "--bounding-set", "-chown"] if os.geteuid() == 0 else []
    daemon.launch(*as_others, str(CONTACTSYNC), "daemon")
    assert daemon.wait() == 78
    assert f"cannot be given to the group {other}" in daemon.text()
    assert "Start systemd's socket unit before the daemon" in daemon.text()
    assert not place.exists()


def test_a_socket_of_the_service_manager_is_served_and_not_removed(
    database: str, make_daemon: MakeDaemon, place: Path
) -> None:
    """The protocol is that of sd_listen_fds(3); the file belongs to systemd."""
    daemon = make_daemon(database)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(place))
        listening.listen()
        hand_over(daemon, listening.fileno())
        daemon.wait_for_start()
    assert pid_of(place) == daemon.pid
    assert daemon.events("control.listening", given_by_systemd=True)
    assert daemon.stop() == 0
    assert place.exists()


def test_a_file_descriptor_that_is_no_socket_is_refused(database: str, make_daemon: MakeDaemon) -> None:
    """The error names the mistake in the unit."""
    daemon = make_daemon(database)
    with Path(os.devnull).open() as nothing:
        hand_over(daemon, nothing.fileno())
    assert daemon.wait() == 78
    assert "is no socket" in daemon.text()


def test_somebody_without_rights_on_the_socket_is_told_what_to_do(
    database: str, make_daemon: MakeDaemon, place: Path
) -> None:
    """The exit code is 77, and the error says what to do."""
    daemon = make_daemon(database, CONTACTSYNC_CONTROL__SOCKET=str(place))
    daemon.start()
    place.chmod(0)
    # Root ignores file modes unless it drops that capability.
    powerless = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []
    done = subprocess.run(
        [*powerless, CONTACTSYNC, "sync", "Staff"], env=daemon.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 77, done.stderr
    assert "You may not use the daemon's control socket" in done.stderr
