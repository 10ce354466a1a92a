"""The servers, the daemon and the connections of one demo, started as they are needed and ended in reverse order."""

from __future__ import annotations

import json
import os
import signal
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

import psycopg

from contactsync.demo.database import Database
from contactsync.demo.errors import expect
from contactsync.demo.interrupt import Stopper
from contactsync.demo.programs import Programs
from contactsync.demo.workspace import Workspace
from contactsync.errors import DemoError
from contactsync.settings.extras import is_installed
from contactsync.store.embedded import embedded_server
from contactsync.testing.company import Company, administered
from contactsync.testing.people import people_ldif
from contactsync.testing.ports import LOOPBACK, ReservedPort
from contactsync.testing.slapd import PrivateSlapd

_LOG_POLLS = 50
_LOG_POLL_SECONDS = 0.1


class Environment:
    """Everything that runs for a demo; `stack` ends it."""

    def __init__(self, stack: ExitStack, place: Workspace, stopper: Stopper) -> None:
        self.place = place
        self.stopper = stopper
        self.programs = Programs(place, Path.cwd())
        self.slapd = PrivateSlapd(place.slapd, ldif=place.people)
        self.conninfo = ""
        self._stack = stack
        self._console_port = ReservedPort()

    def start_directory(self, count: int) -> None:
        """Start slapd with `count` people. Raises ContactsyncError if it is not installed."""
        self.place.people.write_text(people_ldif(count), encoding="utf-8")
        self._stack.enter_context(self.slapd)
        self.stopper.check()

    def start_database(self) -> None:
        """Write settings.toml and start the embedded PostgreSQL that it configures."""
        directory = json.dumps(str(self.place.state), ensure_ascii=False)
        text = f"# The settings of a demo; the next demo overwrites them.\n\n[state]\ndirectory = {directory}\n"
        text += f'\n[secrets]\nreferences = "file:*/{self.place.reader_password.name}"\n'
        listen = f"{LOOPBACK}:{self._console_port.number}"
        text += f'\n[web]\nenabled = true\nuser = "{os.geteuid()}"\ngroup = ""\nlisten = "{listen}"\n'
        self.place.settings.write_text(text, encoding="utf-8")
        self.conninfo = self._stack.enter_context(embedded_server(self.place.state))
        self.stopper.check()

    def start_daemon(self) -> int:
        """Start the daemon; its process id."""
        self._stack.callback(self._stop_daemon)
        return self.programs.start_daemon()

    def start_console(self) -> str | None:
        """Start the web console; a link that signs an administrator in, once. None if its packages are missing."""
        if not is_installed("web"):
            return None
        self._stack.callback(self.programs.stop_console)
        self.programs.start_console()
        self.stopper.check()
        return self.sign_in_link()

    def sign_in_link(self) -> str:
        """A new link."""
        return str(json.loads(self.programs.run("web", "sign-in", "--json"))["url"])

    @cached_property
    def company(self) -> Company:
        """The people of the directory."""
        return self._stack.enter_context(administered(self.slapd))

    @cached_property
    def database(self) -> Database:
        """The demo's own connection to the database."""
        connection = self._stack.enter_context(psycopg.connect(self.conninfo, autocommit=True))
        return Database(connection, self.stopper, self.programs.check_daemon)

    def log_line(self, run_id: int) -> str:
        """The line of the daemon's log about the end of a run."""
        for _ in range(_LOG_POLLS):
            for line in self._log().splitlines():
                if '"run.finished"' in line and json.loads(line).get("run") == run_id:
                    return line
            self.stopper.pause(_LOG_POLL_SECONDS)
        raise DemoError(f"a line about run {run_id} in {self.place.log}", "none")

    def _stop_daemon(self) -> None:
        code = self.programs.stop_daemon()
        # Before the daemon logs its start, Python itself is starting, and the signal ends that at once.
        allowed = (0, None) if '"daemon.starting"' in self._log() else (0, None, -signal.SIGTERM)
        expect(that=code in allowed, expected="the daemon to end with exit code 0", found=f"exit code {code}")

    def _log(self) -> str:
        return self.place.log.read_text(encoding="utf-8") if self.place.log.exists() else ""
