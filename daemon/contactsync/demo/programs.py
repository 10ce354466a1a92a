"""The daemon and the commands, started as processes, as users start them."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from contactsync.demo.workspace import Workspace
from contactsync.errors import ContactsyncError

_COMMAND_SECONDS = 60
_DRAIN_SECONDS = 40
"""More than the daemon's own drain time."""
_LAST_LINES = 5
_POLL_SECONDS = 0.1


class Programs:
    """Starts contactsync with the settings of one demo."""

    def __init__(self, place: Workspace, cwd: Path) -> None:
        self._place = place
        self._cwd = cwd
        script = Path(sys.executable).with_name("contactsync")
        self._program = [str(script)] if script.exists() else [sys.executable, "-m", "contactsync"]
        self._daemon: subprocess.Popen[bytes] | None = None
        self._console: subprocess.Popen[bytes] | None = None

    def shown(self, *arguments: str, stdin: Path | None = None) -> list[str]:
        """The command line for these arguments, to copy into a shell here, in pieces: each option with its value."""
        program = [self.short(Path(self._program[0])), *self._program[1:]]
        pieces = [shlex.join([*program, "--settings", self.short(self._place.settings)])]
        for argument in arguments:
            quoted = shlex.quote(argument)
            if argument.startswith("--") or not pieces[1:]:
                pieces.append(quoted)
            else:
                pieces[-1] += f" {quoted}"
        return [*pieces, f"< {shlex.quote(self.short(stdin))}"] if stdin else pieces

    def short(self, path: Path) -> str:
        """A path, relative to the current directory if it is below it."""
        return str(path.relative_to(self._cwd)) if path.is_relative_to(self._cwd) else str(path)

    def run(self, *arguments: str, stdin: Path | None = None) -> str:
        """Run a command, and give its output. Raises ContactsyncError if it fails."""
        with (stdin or Path(os.devnull)).open("rb") as source:
            process = self._start(arguments, source, subprocess.PIPE)
        output = process.communicate(timeout=_COMMAND_SECONDS)[0].decode(errors="replace")
        if process.returncode:
            code = f"exit code {process.returncode}"
            raise ContactsyncError(f"`contactsync {arguments[0]}` ended with {code}: {' '.join(output.split())}")
        return output

    def start_daemon(self) -> int:
        """Start the daemon, which logs into a file; its process id."""
        with Path(os.devnull).open("rb") as nothing, self._place.log.open("ab") as log:
            self._daemon = self._start(["daemon"], nothing, log)
        return self._daemon.pid

    def start_console(self) -> None:
        """Start the web console, which logs into a file, and wait until it listens. Raises ContactsyncError."""
        with Path(os.devnull).open("rb") as nothing, self._place.console_log.open("ab") as log:
            self._console = self._start(["web"], nothing, log)
        end = time.monotonic() + _COMMAND_SECONDS
        while '"web.listening"' not in self._place.console_log.read_text(encoding="utf-8", errors="replace"):
            if self._console.poll() is not None or time.monotonic() > end:
                raise ContactsyncError("The web console does not start.", hint=f"Its log: {self._place.console_log}.")
            time.sleep(_POLL_SECONDS)

    def stop_console(self) -> None:
        """End the web console with SIGTERM, or SIGKILL if that takes too long."""
        if self._console is not None:
            _end(self._console)
            self._console = None

    def check_daemon(self) -> None:
        """Raise ContactsyncError if the daemon has ended."""
        if self._daemon is not None and self._daemon.poll() is not None:
            code, self._daemon = self._daemon.returncode, None
            lines = self._place.log.read_text(encoding="utf-8", errors="replace").splitlines()
            raise ContactsyncError(
                f"The daemon ended with exit code {code}.",
                hint=f"The end of its log: {' | '.join(lines[-_LAST_LINES:]) or 'it is empty'}",
            )

    def stop_daemon(self) -> int | None:
        """End the daemon with SIGTERM, or SIGKILL if that takes too long; its exit code, None if none was running."""
        if self._daemon is None:
            return None
        daemon, self._daemon = self._daemon, None
        return _end(daemon)

    def _start(self, arguments: Sequence[str], stdin: IO[bytes], output: IO[bytes] | int) -> subprocess.Popen[bytes]:
        # In a session of its own: Ctrl-C in the terminal is for the demo, which then ends the program in order.
        return subprocess.Popen(
            # The absolute path, by which the next demo finds what a killed one left running.
            [*self._program, "--settings", str(self._place.settings), *arguments],
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=self._cwd,
            # Settings of this shell must not override the demo's.
            env={name: value for name, value in os.environ.items() if not name.startswith("CONTACTSYNC_")},
            start_new_session=True,
        )


def _end(process: subprocess.Popen[bytes]) -> int:
    process.terminate()
    try:
        process.wait(_DRAIN_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return process.returncode
