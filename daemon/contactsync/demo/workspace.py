"""The directory that a demo lives in: `.demo` where it was started, clean each time, and one demo's at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from contactsync.errors import UsageError
from contactsync.store.embedded import embedded_server

_LOCK = "lock"
_STOP_SECONDS = 40
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where everything of one demo lies. `temporary`: the starting directory could not be written to."""

    root: Path
    temporary: bool = False
    reused: bool = False

    @property
    def settings(self) -> Path:
        """The settings.toml of the daemon and of every command."""
        return self.root / "settings.toml"

    @property
    def state(self) -> Path:
        """The state directory: the key of sealed passwords and the embedded PostgreSQL."""
        return self.root / "state"

    @property
    def database_runs(self) -> bool:
        """Whether the embedded PostgreSQL runs, or was killed."""
        return (self.state / "postgresql" / "data" / "postmaster.pid").exists()

    @property
    def slapd(self) -> Path:
        """The directory server's own."""
        return self.root / "slapd"

    @property
    def people(self) -> Path:
        """The people as LDIF."""
        return self.root / "people.ldif"

    @property
    def reader_password(self) -> Path:
        """A file with the password that the folder's definition refers to."""
        return self.root / "reader-password"

    @property
    def sales_mapping(self) -> Path:
        """The mapping of anna's folder."""
        return self.root / "sales-mapping.json"

    @property
    def log(self) -> Path:
        """What the daemon writes."""
        return self.root / "daemon.log"


@contextmanager
def open_workspace(beside: Path) -> Iterator[Workspace]:
    """Give `.demo` in the directory `beside`, emptied and locked; or a temporary directory where that cannot be.

    Raises UsageError when another demo uses it, or when it holds something that no demo has put there.
    """
    root = beside / ".demo"
    if not _is_ours_to_write(root):
        with tempfile.TemporaryDirectory(prefix="contactsync-demo-", ignore_cleanup_errors=True) as temporary:
            Path(temporary).chmod(_mode())
            yield Workspace(Path(temporary).resolve(), temporary=True)
        return
    with _locked(root):
        reused = _clean(root)
        yield Workspace(root, reused=reused)


def _is_ours_to_write(root: Path) -> bool:
    if not root.exists():
        return os.access(root.parent, os.W_OK | os.X_OK)
    return root.is_dir() and os.access(root, os.R_OK | os.W_OK | os.X_OK) and os.geteuid() in {0, root.stat().st_uid}


def _mode() -> int:
    # Root's PostgreSQL runs as another account, which must be able to pass.
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
    """Remove everything but the lock; whether there was anything. A demo that was killed may have left servers."""
    place = Workspace(root)
    _end_leftovers(place)
    if place.database_runs:
        with embedded_server(place.state):
            pass  # who leaves last stops it
    left = [path for path in root.iterdir() if path.name != _LOCK]
    for path in left:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return bool(left)


def _end_leftovers(place: Workspace) -> None:
    """End the daemon, commands and slapd that were started for this place, and wait until they are gone."""
    deadline = time.monotonic() + _STOP_SECONDS
    while left := [pid for pid in _processes() if _is_of(place, pid)]:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)
        time.sleep(_POLL_SECONDS)


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]


def _is_of(place: Workspace, pid: int) -> bool:
    """Whether a process was started with this place's configuration: of contactsync or of slapd."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:  # it has ended meanwhile, or is not ours to look at
        return False
    wanted = {("--settings", place.settings), ("-f", place.slapd / "slapd.conf")}
    return any((option.encode(), os.fsencode(file)) in pairwise(arguments) for option, file in wanted)
