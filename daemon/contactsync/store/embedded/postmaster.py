"""The running server of a data directory, as its file `postmaster.pid` describes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_PID, _SOCKET_DIR, _STATUS = 0, 4, 7
"""Line numbers in postmaster.pid (PostgreSQL's src/include/utils/pidfile.h)."""


@dataclass(frozen=True, slots=True)
class Postmaster:
    """A running server."""

    pid: int
    socket_dir: Path
    status: str
    """`starting`, `ready` or `stopping`; empty until the server has written it."""


def running_postmaster(data: Path) -> Postmaster | None:
    """The server of the data directory `data`; None if no live process is one (postmaster.pid may be stale)."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    if not lines or not _serves(int(lines[_PID]), data):
        return None
    lines += [""] * (_STATUS + 1 - len(lines))
    return Postmaster(int(lines[_PID]), Path(lines[_SOCKET_DIR]), lines[_STATUS].strip())


def remove_misleading_lock(lock_file: Path) -> None:
    """Remove a dead server's lock file if another process has its process id now; PostgreSQL would refuse to start.

    The caller has made sure that no server runs.
    """
    try:
        pid = int(lock_file.read_text(encoding="utf-8").splitlines()[_PID])
    except FileNotFoundError:
        return
    if Path(f"/proc/{pid}").exists():
        lock_file.unlink()


def _serves(pid: int, data: Path) -> bool:
    """Whether process `pid` is a server of `data`, and not another process with the id of a dead server."""
    try:
        program, *arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    if Path(program).name != "postgres" or "-D" not in arguments:
        return False
    served = Path(arguments[arguments.index("-D") + 1])
    # A path that is not visible here may be this directory under another name. Never start a second server.
    return not served.exists() or served.samefile(data)
