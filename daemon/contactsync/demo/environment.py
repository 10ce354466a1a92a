"""Everything that runs for one demo, started in the order in which it is needed and ended in reverse."""

from __future__ import annotations

import json
import signal
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

import psycopg

from contactsync.demo.assertions import expect
from contactsync.demo.database import Watcher
from contactsync.demo.errors import DemoError
from contactsync.demo.interrupt import Stopper
from contactsync.demo.processes import Programs
from contactsync.demo.workspace import Workspace
from contactsync.store.embedded import embedded_server
from contactsync.testing.company import Company, administered
from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd

_LOG_LOOKS = 50
_LOG_LOOK_SECONDS = 0.1


class Environment:
    """The servers, the daemon and the connections to them; whatever was started is ended with `stack`."""

    def __init__(self, stack: ExitStack, place: Workspace, stopper: Stopper) -> None:
        self.place = place
        self.stopper = stopper
        self.programs = Programs(place, Path.cwd())
        self.conninfo = ""
        self._stack = stack

    def start_directory(self, count: int) -> None:
        """Start slapd with so many people. Raises ContactsyncError when it is not installed."""
        self.place.people.write_text(people_ldif(count), encoding="utf-8")
        self._stack.callback(self.slapd.stop)
        self.slapd.start()
        self.stopper.check()

    def start_database(self) -> None:
        """Write settings.toml and start the embedded PostgreSQL that it stands for."""
        directory = json.dumps(str(self.place.state), ensure_ascii=False)
        text = f"# The settings of a demo, which the next demo writes anew.\n\n[state]\ndirectory = {directory}\n"
        text += f'\n[secrets]\nreferences = "file:*/{self.place.reader_password.name}"\n'
        self.place.settings.write_text(text, encoding="utf-8")
        self.conninfo = self._stack.enter_context(embedded_server(self.place.state))
        self.stopper.check()

    def start_daemon(self) -> int:
        """Start the daemon; gives its process id."""
        self._stack.callback(self._stop_daemon)
        return self.programs.start_daemon()

    @cached_property
    def slapd(self) -> PrivateSlapd:
        """The directory server."""
        return PrivateSlapd(self.place.slapd, ldif=self.place.people)

    @cached_property
    def company(self) -> Company:
        """The people in it."""
        return self._stack.enter_context(administered(self.slapd))

    @cached_property
    def watcher(self) -> Watcher:
        """The demo's own eyes on the database."""
        connection = self._stack.enter_context(psycopg.connect(self.conninfo, autocommit=True))
        return Watcher(connection, self.stopper, self.programs.check_daemon)

    def write_reader_password(self) -> Path:
        """Put the password of the directory's reader into a file that only its owner can read."""
        file = self.place.reader_password
        file.touch(mode=0o600)  # before the password goes in
        file.write_text(f"{self.slapd.reader_password}\n", encoding="utf-8")
        return file

    def log_line(self, run_id: int) -> str:
        """The line of the daemon's log that says how a run ended."""
        for _ in range(_LOG_LOOKS):
            for line in self._log().splitlines():
                if '"run.finished"' in line and json.loads(line).get("run") == run_id:
                    return line
            self.stopper.pause(_LOG_LOOK_SECONDS)
        raise DemoError(f"a line about run {run_id} in {self.place.log}", "none")

    def _stop_daemon(self) -> None:
        code = self.programs.stop_daemon()
        # Until it says that it starts, it is Python that is starting, and any signal ends that at once.
        allowed = (0, None) if '"daemon.starting"' in self._log() else (0, None, -signal.SIGTERM)
        expect(that=code in allowed, expected="the daemon to end with exit code 0", saw=f"exit code {code}")

    def _log(self) -> str:
        return self.place.log.read_text(encoding="utf-8") if self.place.log.exists() else ""
