"""The consoles of a command. Values from users and directories are printed unchanged: no markup, no highlighting."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from rich.console import Console

from contactsync.cli.errors import ExitCode


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        """Exit without a message if the reader has closed the pipe (`| head`), as programs do that SIGPIPE ends."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(ExitCode.PIPE_CLOSED)


def console(*, stderr: bool = False) -> Console:
    """A console on standard output or standard error."""
    return _Console(stderr=stderr, markup=False, emoji=False, highlight=False)
