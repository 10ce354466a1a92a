"""The demo's directory: `.demo` where it was started, emptied each time and used by one demo at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

from contactsync.errors import UsageError
from contactsync.store.embedded import embedded_server

_LOCK = "lock"
_STOP_SECONDS = 40
_POLL_SECONDS = 0.1


class Workspace:
    """The files of one demo; `temporary` if the current directory is not writable, `reused` after an earlier demo."""

    def __init__(self, root: Path, *, temporary: bool = False, reused: bool = False) -> None:
        self.root = root
        self.temporary = temporary
        self.reused = reused
        self.settings = root / "settings.toml"
        self.state = root / "state"
        self.slapd = root / "slapd"
        self.people = root / "people.ldif"
        self.reader_password = root / "reader-password"
        self.sales_mapping = root / "sales-mapping.json"
        self.log = root / "daemon.log"
        self.console_log = root / "web.log"

    @property
    def database_runs(self) -> bool:
        """Whether the embedded PostgreSQL runs, or was killed."""
        return (self.state / "postgresql" / "data" / "postmaster.pid").exists()


@contextmanager
def open_workspace(parent: Path) -> Iterator[Workspace]:
    """Empty and lock `.demo` in the directory `parent`; make a temporary directory if that is not writable.

    Raises UsageError if another demo uses it, or if it holds something that is not a demo's.
    """
    root = parent / ".demo"
    if not _is_writable(root):
        with tempfile.TemporaryDirectory(prefix="contactsync-demo-", ignore_cleanup_errors=True) as temporary:
            Path(temporary).chmod(_mode())
            yield Workspace(Path(temporary).resolve(), temporary=True)
        return
    with _locked(root):
        reused = _clean(root)
        yield Workspace(root, reused=reused)


def _is_writable(root: Path) -> bool:
    if not root.exists():
        return os.access(root.parent, os.W_OK | os.X_OK)
    return root.is_dir() and os.access(root, os.R_OK | os.W_OK | os.X_OK) and os.geteuid() in {0, root.stat().st_uid}


def _mode() -> int:
    # Root's PostgreSQL runs as another account, which must be able to traverse the directory.
    return 0o711 if os.geteuid() == 0 else 0o700


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    if root.exists() and any(root.iterdir()) and not (root / _LOCK).exists():
        raise UsageError(
            f"{root} holds something that is not a demo's, and the demo would delete it.",
            hint="Move it away, or start the demo in another directory.",
        )
    root.mkdir(mode=_mode(), exist_ok=True)
    with (root / _LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise UsageError(
                f"Another demo is running in {root} (process {lock.read().strip() or 'unknown'}).",
                hint="End it with Ctrl-C first, or start this one in another directory.",
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def _clean(root: Path) -> bool:
    """Remove everything but the lock, and end what a killed demo left running; whether there was anything."""
    place = Workspace(root)
    _end_leftovers(place)
    if place.database_runs:
        with embedded_server(place.state):
            pass  # its last user stops it
    left = [path for path in root.iterdir() if path.name != _LOCK]
    for path in left:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return bool(left)


def _end_leftovers(place: Workspace) -> None:
    deadline = time.monotonic() + _STOP_SECONDS
    while left := [pid for pid in _processes() if _belongs_to(place, pid)]:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)
        time.sleep(_POLL_SECONDS)


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]


def _belongs_to(place: Workspace, pid: int) -> bool:
    """Whether a process of contactsync or slapd was started with this workspace's configuration."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:  # it has ended, or belongs to another user
        return False
    ours = {("--settings", place.settings), ("-f", place.slapd / "slapd.conf")}
    return any((option.encode(), os.fsencode(file)) in pairwise(arguments) for option, file in ours)
