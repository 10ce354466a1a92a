"""One call of the command line: its global options, settings, consoles and database."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from contactsync.errors import ControlForbidden

if TYPE_CHECKING:
    import typer
    from psycopg import Connection
    from rich.console import Console

    from contactsync.cli.api import Api
    from contactsync.model import Actor
    from contactsync.settings.schema import Settings
    from contactsync.store.pool import Pool

_USUAL_THRESHOLDS = (700, 10, 10)
"""See gc.set_threshold."""

POOL_SIZE = 2
"""Connections of a command: one for a run, and one that can record the outcome if the first breaks."""

_LEVELS: tuple[Literal["warning", "info", "debug"], ...] = ("warning", "info", "debug")


@dataclass
class Invocation:
    """One call of the command line."""

    settings_file: Path | None = None
    verbosity: int = 0

    @cached_property
    def out(self) -> Console:
        """Standard output. The help needs none, and rich takes a while to load."""
        from contactsync.cli.output.console import console

        return console()

    @cached_property
    def err(self) -> Console:
        """Standard error."""
        from contactsync.cli.output.console import console

        return console(stderr=True)

    @cached_property
    def settings(self) -> Settings:
        """The settings, loaded at the first access. Raises SettingsError."""
        from contactsync.settings.loader import load_settings

        return load_settings(self.settings_file, os.environ)

    @cached_property
    def control_socket(self) -> Path:
        """The path of the control socket, without loading the other settings. Raises SettingsError."""
        from contactsync.settings.file import find_control_socket

        return find_control_socket(self.settings_file, os.environ) or self.settings.control.socket

    @contextmanager
    def api(self, *, create: bool = False) -> Iterator[Api]:
        """The API, by the daemon if one listens and the user may connect, else by this process over the database.

        Both give the same documents. The database is opened at the first request, and made if it does not exist and
        `create` is true. Raises ControlForbidden if the user
        may use neither the socket nor the database, and SettingsError, DatabaseError.
        """
        from contactsync.serving.client import live_daemon

        refused = None
        try:
            daemon = live_daemon(self.control_socket)
        except ControlForbidden as error:
            daemon, refused = None, error
        if daemon:
            from contactsync.cli.output.waiting import reason_of_daemon, waits_shown

            with waits_shown(lambda: self.err, reason_of_daemon(daemon)):
                yield daemon
            return
        from contactsync.cli.local import LocalApi

        with LocalApi(self, refused, create=create) as local:
            yield local

    @cached_property
    def actor(self) -> Actor:
        """The user of this command."""
        from contactsync.model import Actor
        from contactsync.serving.client import user_name

        return Actor("unix", user_name(), "cli")

    def reload_settings(self) -> Settings:
        """Load the settings again and set the log level accordingly. Raises SettingsError."""
        from contactsync.log.config import set_level
        from contactsync.settings.loader import load_settings

        settings = load_settings(self.settings_file, os.environ)
        set_level(self._level(settings))
        return settings

    @contextmanager
    def pool(self) -> Iterator[Pool]:
        """Connections to the database, whose schema must be the newest. Raises SettingsError, DatabaseError."""
        from contactsync.bootstrap import database_of
        from contactsync.cli.output.waiting import reason_of_database, waits_shown

        self.log_quietly()
        with (
            database_of(self.settings).ready_pool(max_size=POOL_SIZE) as (conninfo, pool),
            waits_shown(lambda: self.err, reason_of_database(conninfo)),
        ):
            yield pool

    @contextmanager
    def connection(self, *, create: bool = False) -> Iterator[Connection[Any]]:
        """One connection to the database, for a command that makes no run. Raises as `pool` does.

        With `create` the command makes the database and its schema, or updates the schema.
        """
        from contactsync.bootstrap import database_of
        from contactsync.cli.output.waiting import reason_of_database, waits_shown

        self.log_quietly()
        with (
            database_of(self.settings).ready_connection(create=create) as (conninfo, connection),
            waits_shown(lambda: self.err, reason_of_database(conninfo)),
        ):
            yield connection

    def become_service(self) -> None:
        """Log in the format and at the level of settings.toml; -v raises the level. Collect garbage as Python does.

        What a command sets is for a process that soon ends.
        """
        gc.set_threshold(*_USUAL_THRESHOLDS)
        from contactsync.log.config import configure_logging

        log = self.settings.log
        stream = sys.stdout if log.stream == "stdout" else sys.stderr
        configure_logging(log.format, self._level(self.settings), stream, os.environ)

    def _level(self, settings: Settings) -> Literal["debug", "info", "warning", "error"]:
        return _LEVELS[min(self.verbosity, 2)] if self.verbosity else settings.log.level

    def log_quietly(self) -> None:
        """Log only warnings to stderr, because the command prints its results itself; -v raises the level."""
        from contactsync.log.config import configure_logging

        configure_logging("console", _LEVELS[min(self.verbosity, 2)], sys.stderr, os.environ)
        if not self.verbosity:
            logging.getLogger("contactsync.sync.log_line").addFilter(_is_not_shown)
            if self.err.is_terminal:
                logging.getLogger("contactsync.sync.retry").addFilter(_is_not_shown)


def invocation_of(context: typer.Context) -> Invocation:
    """The invocation that a command belongs to."""
    return cast("Invocation", context.obj)


def _is_not_shown(record: logging.LogRecord) -> bool:
    """Whether a record is none of those that repeat the output of `sync` and the progress in a terminal."""
    return not (isinstance(record.msg, dict) and record.msg.get("event") in {"run.finished", "run.attempt_failed"})
