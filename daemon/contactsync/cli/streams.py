"""The standard streams: replaced if they are closed, and a sentence if the output cannot be written."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress

from contactsync.errors import OutputError

_PRINTERS = frozenset({"rich", "typer", "click"})
"""Libraries that write to the standard streams, and to nothing else."""


def open_missing_streams() -> None:
    """Connect closed standard streams to /dev/null.

    Otherwise the next file or socket would get their descriptors, and what a library prints would be written to it.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # The lowest free descriptor is the stream's own, because the streams before it are open.
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 -- for the process


def flush_output() -> None:
    """Write buffered output. Raises OutputError or BrokenPipeError."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        raise
    except OSError as error:
        raise _unwritable(error) from None


def check_output(error: OSError) -> None:
    """Raise OutputError if the error was one of the output."""
    innermost = [frame for frame, _ in traceback.walk_tb(error.__traceback__)][-1]
    if innermost.f_globals["__name__"].partition(".")[0] in _PRINTERS:
        raise _unwritable(error) from None


def _unwritable(error: OSError) -> OutputError:
    _discard_output()
    return OutputError(
        f"The output cannot be written: {error.strerror}.",
        hint="Check the file or device that the output is redirected to. What the command did is not undone.",
    )


def _discard_output() -> None:
    """Let what is still buffered go to /dev/null, because Python flushes once more when it ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
