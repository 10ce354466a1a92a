"""Exit codes, and the message on stderr when a command fails."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

import typer

from contactsync.errors import ContactsyncError

if TYPE_CHECKING:
    from rich.console import Console

GLOBAL_OPTIONS = ("--settings", "--verbose", "-v")


class ExitCode(IntEnum):
    """The exit codes of all commands; 64, 69, 77 and 78 are those of sysexits.h."""

    DONE = 0
    FAILED = 1
    CHANGES = 2
    HELD = 3
    USAGE = 64
    DATABASE = 69
    FORBIDDEN = 77
    SETTINGS = 78
    INTERRUPTED = 130
    PIPE_CLOSED = 141


class Interrupted(Exception):
    """The user interrupted a command with Ctrl-C; the message says what goes on without it."""


EXIT_CODES = (
    "Exit codes: 0 done; 1 failed; 2 a preview found changes; 3 held, needs a decision; 64 wrong usage, or a "
    "definition that is not valid; 69 the database cannot be reached; 77 no permission on the control socket; 78 "
    "settings that are not valid; 130 interrupted by Ctrl-C; 141 the output's reader closed the pipe."
)

_CLICK_USAGE = 2


def show_error(error: ContactsyncError, console: Console) -> int:
    """Print what happened and, on the next line, what to do; returns the exit code."""
    _show(console, error.message, error.hint)
    return error.exit_code


def show_interruption(text: str, console: Console) -> int:
    """Print what goes on after Ctrl-C; returns the exit code."""
    from contactsync.cli.output.text import show_text

    show_text(console, text)
    return ExitCode.INTERRUPTED


def show_usage_error(error: typer.TyperException, console: Console) -> int:
    """Print an error of typer: an unknown option, a missing argument, a number out of range."""
    context: Any = getattr(error, "ctx", None)
    message = error.format_message()
    if not message:  # typer has shown the help
        return ExitCode.USAGE
    hint = f"Try `{context.command_path} --help`." if context else ""
    option = getattr(error, "option_name", None)
    if option in GLOBAL_OPTIONS:
        hint = f"{option} goes before the command: contactsync {option} ... COMMAND."
    _show(console, message if message.endswith((".", "?")) else f"{message}.", hint)
    return ExitCode.USAGE if error.exit_code == _CLICK_USAGE else error.exit_code


def _show(console: Console, message: str, hint: str) -> None:
    from contactsync.cli.output.text import show_text

    for line in f"Error: {message}".splitlines():
        show_text(console, line, style="red")
    if hint:
        show_text(console, hint)
