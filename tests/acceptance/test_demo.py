"""`contactsync demo` as a process, with and without a terminal, and every way to end it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

CONTACTSYNC = Path(sys.executable).with_name("contactsync")
PATIENCE = 150.0
"""Seconds after which a test gives up; the whole demo takes about 20."""

STORY = (
    "1. A directory",
    "with 1,200 people",
    "2. The daemon",
    "3. Two folders",
    "4. The first load",
    "佐藤 ミドリ",
    '"run.finished"',
    "The web console shows all of this in a browser.",
    "/sign-in/",
    "5. A contact of anna's own",
    "+ anna/Sales",
    "work_phones   +1 514 555-6377 -> +49 30 5550 4711",
    "display_name  Amelia Taylor-Smith -> Amelia Brontë",
    "source_dn   uid=u000010,ou=Sales,... -> uid=u000010,ou=Finance,...",
    "- anna/Sales",
    "11. Two come back",
    "none had to be decoded",
    "is still the row that she wrote",
    "The daemon, PostgreSQL and slapd have ended.",
)
"""Texts of the output, in their order."""


class Demo:
    """One `contactsync demo` in a directory, with or without a terminal of 80 columns."""

    def __init__(self, directory: Path, *, in_terminal: bool = False, **environ: str) -> None:
        self.shown = ""
        self._ours, theirs = pty.openpty() if in_terminal else os.pipe()
        if in_terminal:
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            # As in a shell: in a session of its own, whose terminal sends Ctrl-C to all its processes.
            ["setsid", *(["--ctty"] if in_terminal else []), CONTACTSYNC, "demo"],
            cwd=directory,
            env={**os.environ, "TERM": "dumb", **environ},
            stdin=theirs if in_terminal else subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)

    def read_until(self, text: str) -> None:
        """Wait until the demo has printed this."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.shown:
            assert time.monotonic() < deadline, f"no {text!r} in:\n{self.shown}"
            assert self._read(), f"the demo ended without {text!r}:\n{self.shown}"

    def wait(self) -> int:
        """Wait for its end, and give the exit code."""
        while self._read():
            pass
        return self.process.wait(PATIENCE)

    def press_ctrl_c(self) -> None:
        """Press Ctrl-C in the demo's terminal."""
        os.write(self._ours, b"\x03")

    def send(self, number: int) -> None:
        """Send a signal to the demo alone."""
        self.process.send_signal(number)

    def close(self) -> None:
        """End it after a failed test."""
        if self.process.poll() is None:
            self.process.terminate()
            self.wait()
        os.close(self._ours)

    def _read(self) -> bool:
        """Read what there is; False at the end."""
        if not select.select([self._ours], [], [], 1)[0]:
            return True
        try:
            octets = os.read(self._ours, 65_536)
        except OSError:  # the other side of the terminal is closed
            return False
        self.shown += octets.decode(errors="replace").replace("\r\n", "\n")
        return bool(octets)


@pytest.fixture
def start_demo(short_path: Path) -> Iterator[Callable[..., Demo]]:
    """Start demos in the test's own directory."""
    with ExitStack() as stack:

        def start(*, in_terminal: bool = False, **environ: str) -> Demo:
            demo = Demo(short_path, in_terminal=in_terminal, **environ)
            stack.callback(demo.close)
            return demo

        yield start


def processes_of(directory: Path) -> list[str]:
    """The command lines of all processes with a path below this directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes()
        except OSError:
            continue
        if os.fsencode(directory) in command:
            found.append(command.replace(b"\0", b" ").decode())
    return found


def test_without_a_terminal_the_demo_tells_its_story_and_ends(
    start_demo: Callable[..., Demo], short_path: Path
) -> None:
    """It prints everything in order, in 80 columns, ends with exit code 0 and leaves no process."""
    # FORCE_COLOR makes no terminal; the demo does not use the settings of the environment.
    demo = start_demo(COLUMNS="80", CONTACTSYNC_DATABASE__URL="postgresql://nobody.invalid/", FORCE_COLOR="")
    assert demo.wait() == 0, demo.shown
    position = 0
    for text in STORY:
        assert text in demo.shown[position:], f"no {text!r} after:\n{demo.shown[:position]}"
        position = demo.shown.index(text, position)
    prose = [line for line in demo.shown.splitlines() if not line.lstrip().startswith(("$", "--"))]
    assert max(map(len, prose)) <= 80
    assert processes_of(short_path) == []


def test_in_a_terminal_it_goes_on_until_ctrl_c(start_demo: Callable[..., Demo], short_path: Path) -> None:
    """Its commands work; a second demo is refused; Ctrl-C ends it with exit code 0."""
    demo = start_demo(in_terminal=True)
    demo.read_until("Ctrl-C ends the demo")
    demo.read_until("~ ")
    psql = re.search(r"\$ (\S*psql '[^']*')", demo.shown.replace("\n", ""))
    assert psql
    counted = subprocess.run(
        [*shlex.split(psql[1]), "-Atc", "SELECT count(*) >= 1200 FROM contactsync.contacts"],
        cwd=short_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert counted.stdout == "t\n"
    listed = subprocess.run(
        [CONTACTSYNC, "--settings", ".demo/settings.toml", "folders", "list"],
        cwd=short_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "anna/Sales" in listed.stdout
    link = re.search(r"http://127\.0\.0\.1:\d+/sign-in/\S+", demo.shown)
    assert link
    with httpx.Client(headers={"Sec-Fetch-Site": "same-origin"}, follow_redirects=True) as client:
        assert "Staff" in client.post(link[0], timeout=PATIENCE).text
    second = start_demo()
    assert second.wait() == 64
    assert f"Another demo is running in {short_path}/.demo (process {demo.process.pid})." in second.shown.replace(
        "\n", " "
    )
    demo.press_ctrl_c()
    assert demo.wait() == 0, demo.shown
    assert "Traceback" not in demo.shown
    assert processes_of(short_path) == []


@pytest.mark.parametrize("moment", ["1. A directory", "2. The daemon", "4. The first load"])
def test_a_signal_in_the_middle_ends_it_cleanly(start_demo: Callable[..., Demo], short_path: Path, moment: str) -> None:
    """SIGINT, also twice, ends all its processes, with the exit code of the signal."""
    demo = start_demo()
    demo.read_until(moment)
    demo.send(signal.SIGINT)
    demo.send(signal.SIGINT)
    assert demo.wait() == 128 + signal.SIGINT
    assert "Traceback" not in demo.shown
    assert processes_of(short_path) == []


def test_what_a_killed_demo_left_running_is_ended_by_the_next(
    start_demo: Callable[..., Demo], short_path: Path
) -> None:
    """After SIGKILL of the demo alone, the next demo ends the daemon, slapd and PostgreSQL of the first."""
    killed = start_demo()
    killed.read_until("3. Two folders")
    left = processes_of(short_path)
    killed.send(signal.SIGKILL)
    killed.process.wait()
    demo = start_demo()
    demo.read_until("What an earlier demo had left there is removed.")
    assert not set(left) & set(processes_of(short_path))
    demo.read_until("2. The daemon")
    demo.send(signal.SIGTERM)
    assert demo.wait() == 128 + signal.SIGTERM
    assert len(left) >= 3
    assert processes_of(short_path) == []


def test_it_deletes_nothing_that_is_not_its_own(start_demo: Callable[..., Demo], short_path: Path) -> None:
    """It refuses a directory .demo that contains something else."""
    precious = short_path / ".demo" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("years of work")
    demo = start_demo()
    assert demo.wait() == 64
    assert "holds something that is not a demo's" in demo.shown
    assert precious.read_text() == "years of work"
