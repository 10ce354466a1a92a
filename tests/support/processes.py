"""The programs of contactsync as processes: the daemon, and commands in a pipe or in a terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from rich.cells import cell_len

from tests.support.forked import Forked, fork
from tests.support.waiting import PATIENCE, wait_until

CONTACTSYNC = Path(sys.executable).with_name("contactsync")
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class DaemonProcess:
    """`contactsync daemon` with its log in a file of JSON lines."""

    def __init__(self, database: str, directory: Path, **settings: str) -> None:
        self.environ = _environ(database, directory, CONTACTSYNC_LOG__FORMAT="json") | settings
        self.state = str(directory / "state")
        self._log = directory / "daemon.log"
        self._log.touch()
        self._lines: list[dict[str, Any]] = []
        self._position = 0
        self._starts = 0
        self._process: Forked | subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    def start(self, *command: str) -> None:
        """Start it, with another command if one is given, and wait until it has started."""
        self.launch(*command)
        self.wait_for_start()

    def launch(self, *command: str, pass_fds: Sequence[int] = ()) -> None:
        """Start it, with another command if one is given, without waiting."""
        self._starts = len(self.events("daemon.started"))
        with self._log.open("ab") as log, Path(os.devnull).open("rb") as nothing:
            streams = [stream.fileno() for stream in (nothing, log, log)]
            command = command or (str(CONTACTSYNC), "daemon")
            is_forked = command[0] == str(CONTACTSYNC) and not pass_fds
            self._process = (fork(command[1:], self.environ, streams) if is_forked else None) or subprocess.Popen(
                command, env=self.environ, stdout=log, stderr=log, pass_fds=pass_fds
            )

    def wait_for_start(self) -> None:
        """Wait until its log says that it has started."""
        wait_until(lambda: len(self.events("daemon.started")) > self._starts, lambda: f"the start: {self.text()}")

    def wait(self) -> int:
        """Wait for its end, and give the exit code."""
        assert self._process is not None
        return self._process.wait(PATIENCE)

    def text(self) -> str:
        """All its output, without line breaks."""
        return self._log.read_text().replace("\n", " ")

    def send(self, number: int) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, and give the exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(PATIENCE)

    def end(self) -> None:
        """Leave nothing running after a test."""
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def lines(self) -> list[dict[str, Any]]:
        """All its log lines."""
        with self._log.open("rb") as log:
            log.seek(self._position)
            whole, end, _ = log.read().rpartition(b"\n")  # a line that is being written has no end yet
        self._position += len(whole) + len(end)
        # A daemon that refuses to start says so in plain text.
        self._lines += [json.loads(line) for line in whole.splitlines() if line.startswith(b"{")]
        return self._lines.copy()

    def events(self, name: str, **fields: Any) -> list[dict[str, Any]]:
        """Its log lines with this event and these fields."""
        return [line for line in self.lines() if line.get("event") == name and fields.items() <= line.items()]

    def wait_for_event(self, name: str, **fields: Any) -> list[dict[str, Any]]:
        """Its log lines with this event and these fields: at least one. The log may follow what the database shows."""
        wait_until(lambda: self.events(name, **fields), f"the event {name} with {fields} in the log")
        return self.events(name, **fields)


class CommandLine:
    """The commands of contactsync on one database, in a pipe or in a terminal of 80 columns."""

    def __init__(self, database: str, directory: Path) -> None:
        self.environ = _environ(database, directory, TERM="xterm-256color")
        self.prefix: list[str] = []
        """A program that starts the commands, for example as another user."""
        self._started: list[subprocess.Popen[str]] = []

    def __call__(self, *arguments: str, typed: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command without a terminal; `typed` is its standard input."""
        return run_command(*arguments, environ=self.environ | environ, typed=typed, prefix=self.prefix)

    def ok(self, *arguments: str, typed: str = "") -> str:
        """Run a command that succeeds without a warning, and give its output."""
        done = self(*arguments, typed=typed)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """Run a command that succeeds with `--json`, and give its document."""
        done = self(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def start(self, *arguments: str, **streams: Any) -> subprocess.Popen[str]:
        """Start a command, without waiting."""
        process = subprocess.Popen([CONTACTSYNC, *arguments], env=self.environ, text=True, **streams)
        self._started.append(process)
        return process

    def end(self) -> None:
        """Leave nothing running after a test."""
        for process in self._started:
            process.kill()
            with process:  # waits, and closes its pipes
                pass

    def in_terminal(
        self, *arguments: str, answers: Mapping[str, str] | None = None, columns: int = 80
    ) -> tuple[int, str]:
        """Run a command in a terminal, answer prompts by their ends, and give the exit code and the output."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
        process = self.start(*arguments, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
        os.close(theirs)
        try:
            shown = _converse(ours, dict(answers or {}))
        finally:
            os.close(ours)
        return process.wait(PATIENCE), shown


def run_command(
    *arguments: str, environ: Mapping[str, str], typed: str = "", prefix: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a command without a terminal; `typed` is its standard input. With `prefix` it is a new program."""
    with TemporaryFile("w+") as stdin, TemporaryFile("w+") as stdout, TemporaryFile("w+") as stderr:
        stdin.write(typed)
        stdin.seek(0)
        streams = stdin.fileno(), stdout.fileno(), stderr.fileno()
        if not prefix and (process := fork(arguments, environ, streams)):
            try:
                exit_code = process.wait(PATIENCE)
            finally:
                process.kill()
            stdout.seek(0)
            stderr.seek(0)
            return subprocess.CompletedProcess(arguments, exit_code, stdout.read(), stderr.read())
    return subprocess.run(
        [*prefix, CONTACTSYNC, *arguments],
        input=typed,
        env=environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def _environ(database: str, directory: Path, **more: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "CONTACTSYNC_DATABASE__URL": database,
        "CONTACTSYNC_STATE__DIRECTORY": str(directory / "state"),
        "CONTACTSYNC_SETTINGS": os.devnull,
        "CONTACTSYNC_SECRETS__REFERENCES": "env:* file:*",
        **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE")},
        **more,
    }


def assert_refused(done: subprocess.CompletedProcess[str], exit_code: int, *words: str) -> None:
    """Check that a command failed with this code and a message with these words, and printed nothing else."""
    assert (done.returncode, done.stdout) == (exit_code, ""), done
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def visible_lines(shown: str) -> list[str]:
    """The lines that a terminal shows in the end: without escape sequences and what was overwritten."""
    return [line.rpartition("\r")[2] for line in _ESCAPE.sub("", shown).splitlines()]


def width(shown: str) -> int:
    """The number of cells of the widest visible line."""
    return max(map(cell_len, visible_lines(shown)))


def _converse(terminal: int, answers: dict[str, str]) -> str:
    shown = ""
    while octets := _read(terminal):
        shown += octets.decode()
        for prompt in [prompt for prompt in answers if shown.rstrip().endswith(prompt)]:
            os.write(terminal, f"{answers.pop(prompt)}\n".encode())
    return shown.replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # how Linux says that the other side is gone
        return b""
