"""What every command gets: the global options, the settings when it asks for them, and where to write."""

# ruff: noqa: PLC0415 -- a command loads what it needs when it runs, so that help and completion come at once

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn, cast

from rich.console import Console

from contactsync.cli.errors import ExitCode

if TYPE_CHECKING:
    import typer

    from contactsync.settings import Settings
    from contactsync.store.pool import Pool

POOL_SIZE = 2
"""Connections of a command: one for a run, one in case that one breaks and the outcome is to be recorded."""

_LEVELS: tuple[Literal["warning", "info", "debug"], ...] = ("warning", "info", "debug")


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        """The reader has had enough (`| head`): end without a word, as programs do that SIGPIPE ends."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(ExitCode.PIPE_CLOSED)


def _console(*, stderr: bool = False) -> Console:
    # What people named or a directory sent is shown as it is: no markup, no emoji, no colours of rich's own choice.
    return _Console(stderr=stderr, markup=False, emoji=False, highlight=False)


@dataclass
class Invocation:
    """One call of the command line."""

    settings_file: Path | None = None
    verbosity: int = 0
    out: Console = field(default_factory=_console)
    err: Console = field(default_factory=lambda: _console(stderr=True))

    @cached_property
    def settings(self) -> Settings:
        """The settings, read when they are first needed. Raises SettingsError."""
        from contactsync.settings import load_settings

        return load_settings(self.settings_file, os.environ)

    def reread(self) -> Settings:
        """The settings as they are in the file now; the log's level follows them. Raises SettingsError."""
        from contactsync.log.config import set_level
        from contactsync.settings import load_settings

        settings = load_settings(self.settings_file, os.environ)
        set_level(self._level(settings))
        return settings

    @contextmanager
    def pool(self) -> Iterator[Pool]:
        """The database, brought to the newest schema. Raises SettingsError, DatabaseError."""
        from contactsync.bootstrap import ready_pool

        self.log_quietly()
        with ready_pool(self.settings, max_size=POOL_SIZE) as (_conninfo, pool):
            yield pool

    def log_as_set(self) -> None:
        """Log as settings.toml says, as a service does; -v only ever adds to that. Raises SettingsError."""
        from contactsync.log.config import configure_logging

        configure_logging(self.settings.log.format, self._level(self.settings), sys.stderr, os.environ)

    def _level(self, settings: Settings) -> Literal["debug", "info", "warning", "error"]:
        return _LEVELS[min(self.verbosity, 2)] if self.verbosity else settings.log.level

    def log_quietly(self) -> None:
        """Log warnings to stderr, or more with -v, for a person who reads the command's own words."""
        from contactsync.log.config import configure_logging

        configure_logging("console", _LEVELS[min(self.verbosity, 2)], sys.stderr, os.environ)
        if not self.verbosity:
            logging.getLogger("contactsync.sync.log_line").addFilter(_is_not_a_summary)


def invocation_of(context: typer.Context) -> Invocation:
    """The call that a command belongs to."""
    return cast("Invocation", context.obj)


def _is_not_a_summary(record: logging.LogRecord) -> bool:
    """The line about a finished run repeats what `sync` says in its own words."""
    return not (isinstance(record.msg, dict) and record.msg.get("event") == "run.finished")
