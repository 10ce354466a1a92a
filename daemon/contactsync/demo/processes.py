"""The programs of contactsync as people start them: the daemon and the commands, as processes of their own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from contactsync.demo.workspace import Workspace
from contactsync.errors import ContactsyncError

_COMMAND_SECONDS = 60
_DRAIN_SECONDS = 40
"""More than the daemon's own drain time."""
_LAST_LINES = 5


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without settings of contactsync: the demo's must not be overridden by those of this shell."""
    return {name: value for name, value in environ.items() if not name.startswith("CONTACTSYNC_")}


class Programs:
    """Starts the console script with the settings of one demo; `shown` is how people would call it."""

    def __init__(self, place: Workspace, cwd: Path) -> None:
        self._place = place
        self._cwd = cwd
        script = Path(sys.executable).with_name("contactsync")
        self._program = [str(script)] if script.exists() else [sys.executable, "-m", "contactsync"]
        self._daemon: subprocess.Popen[bytes] | None = None

    def shown(self, *arguments: str, stdin: Path | None = None) -> list[str]:
        """The command line for these arguments, for a shell in the directory that the demo was started in.

        In pieces that belong together: an option with its value.
        """
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
        """A path as it is called from the directory that the demo was started in."""
        return str(path.relative_to(self._cwd)) if path.is_relative_to(self._cwd) else str(path)

    def run(self, *arguments: str, stdin: Path | None = None) -> str:
        """Carry out a command and give what it said. Raises ContactsyncError when it fails."""
        with (stdin or Path(os.devnull)).open("rb") as source:
            process = self._start(arguments, source, subprocess.PIPE)
        said = process.communicate(timeout=_COMMAND_SECONDS)[0].decode(errors="replace")
        if process.returncode:
            code = f"exit code {process.returncode}"
            raise ContactsyncError(f"`contactsync {arguments[0]}` ended with {code}: {' '.join(said.split())}")
        return said

    def start_daemon(self) -> int:
        """Start the daemon, with its log in a file; gives its process id."""
        with Path(os.devnull).open("rb") as nothing, self._place.log.open("ab") as log:
            self._daemon = self._start(["daemon"], nothing, log)
        return self._daemon.pid

    def check_daemon(self) -> None:
        """Raise ContactsyncError when the daemon is not there any more."""
        if self._daemon is not None and self._daemon.poll() is not None:
            code, self._daemon = self._daemon.returncode, None
            raise ContactsyncError(
                f"The daemon ended by itself, with exit code {code}.",
                hint=f"The end of its log: {self._end_of_log()}",
            )

    def stop_daemon(self) -> int | None:
        """Ask the daemon to end (SIGTERM), and wait; gives its exit code, or None when there was none to stop."""
        if self._daemon is None:
            return None
        daemon, self._daemon = self._daemon, None
        daemon.terminate()
        try:
            daemon.wait(_DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
        return daemon.returncode

    def _start(self, arguments: Sequence[str], stdin: IO[bytes], output: IO[bytes] | int) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C in the terminal is for the demo, which then ends this in good order.
        return subprocess.Popen(
            # The whole path, by which the next demo knows what a killed one has left.
            [*self._program, "--settings", str(self._place.settings), *arguments],
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=self._cwd,
            env=clean_environment(os.environ),
            start_new_session=True,
        )

    def _end_of_log(self) -> str:
        lines = self._place.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return " | ".join(lines[-_LAST_LINES:]) or "it is empty"
