"""A private PgBouncer before a PostgreSQL of the tests."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from contactsync.testing.ports import ReservedPort

_CONFIG = """\
[databases]
{database} = host={host} port={port} dbname={database} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = 20
logfile = {folder}/pgbouncer.log
pidfile = {folder}/pgbouncer.pid
"""


@contextmanager
def pgbouncer(conninfo: str, folder: Path, *, mode: str) -> Iterator[str]:
    """Run one in this pool mode, and yield the conninfo that leads through it."""
    target = conninfo_to_dict(conninfo)
    reserved = ReservedPort()
    listen = reserved.number
    config = folder / "pgbouncer.ini"
    names = {"host": target["host"], "port": target.get("port") or 5432, "database": target["dbname"]}
    config.write_text(_CONFIG.format(**names, user=target["user"], listen=listen, mode=mode, folder=folder))
    # It refuses to run as root; the embedded PostgreSQL accepts its own account.
    account = "contactsync" if os.geteuid() == 0 else None
    folder.chmod(0o777)
    for parent in (run := Path(str(target["host"])), *list(run.parents)[:2]):
        parent.chmod(parent.stat().st_mode | 0o011)
    through = make_conninfo(f"host=127.0.0.1 port={listen}", dbname=target["dbname"], user=target["user"])
    with subprocess.Popen(["pgbouncer", "-q", config], user=account, env={"PATH": os.environ["PATH"]}) as process:
        try:
            _wait(through, process)
            yield through
        finally:
            process.terminate()
            reserved.release()


def _wait(conninfo: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until it serves."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(psycopg.OperationalError), psycopg.connect(conninfo, connect_timeout=2):
            return
        time.sleep(0.05)
    message = f"PgBouncer does not serve {conninfo}"
    raise AssertionError(message)
