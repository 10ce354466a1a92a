"""The embedded PostgreSQL's files below the state directory, and the owner of each.

`<state>/postgresql`, with configuration and locks, belongs to the owner of the state directory. `data`, `run` (the
socket) and `log` in it belong to the server's account. The two accounts differ only if root starts the server.
"""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from contactsync.errors import EmbeddedServerError
from contactsync.store.embedded.account import Account, owner_of, require_name, server_account

SOCKET_NAME = ".s.PGSQL.5432"

SOCKET_PATH_LIMIT = 107
"""Most bytes of a Unix socket's path, without the final NUL (unix(7))."""

_PRIVATE = 0o700
_PASSABLE = 0o711


@dataclass(frozen=True, slots=True)
class Layout:
    """The directories, as absolute paths without symbolic links, and the accounts that own them."""

    home: Path
    owner: Account
    account: Account

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.home / "data"

    @property
    def log(self) -> Path:
        """The directory of the logs."""
        return self.home / "log"

    def make_private(self, path: Path) -> None:
        """Create a directory that only the server's account can use."""
        _make_directory(path, self.account, _PRIVATE)

    def write(self, name: str, text: str) -> None:
        """Write a file of the owner in `home` atomically."""
        handle, unfinished = tempfile.mkstemp(dir=self.home, prefix=f".{name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(handle, 0o644)
            if os.geteuid() == 0:
                os.fchown(handle, self.owner.uid, self.owner.gid)
        Path(unfinished).replace(self.home / name)

    def open_lock(self, name: str) -> int:
        """A descriptor of a lock file of the owner in `home`, which child processes do not inherit."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(self.home / name, flags, 0o600)
        if os.geteuid() == 0:
            os.fchown(handle, self.owner.uid, self.owner.gid)
        return handle

    def socket_dir(self) -> Path:
        """The directory of the socket: `run`, or if its path is too long, a private temporary directory."""
        near = self.home / "run"
        if len(os.fsencode(near / SOCKET_NAME)) <= SOCKET_PATH_LIMIT:
            self.make_private(near)
            return near
        if (stored := self._far_socket_dir()) is not None:
            return stored
        far = Path(tempfile.mkdtemp(prefix="contactsync-"))
        if os.geteuid() == 0:
            os.chown(far, self.account.uid, self.account.gid)
        self.write("socket-directory", str(far))
        return far

    def remove_far_socket_dir(self) -> None:
        """Remove the temporary directory of the socket, if there is one."""
        far = self._far_socket_dir()
        if far is not None:
            far.rmdir()
            (self.home / "socket-directory").unlink()

    def _far_socket_dir(self) -> Path | None:
        try:
            path = Path((self.home / "socket-directory").read_text(encoding="utf-8"))
            status = path.lstat()
        except FileNotFoundError:
            return None
        private = stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == _PRIVATE
        return path if private and status.st_uid == self.account.uid else None


def layout_of(state_dir: Path) -> Layout:
    """The layout below `state_dir`, which is created if it does not exist. Raises EmbeddedServerError, OSError."""
    require_name()  # before anything is made that no account could use later
    state_dir.mkdir(mode=_PASSABLE if os.geteuid() == 0 else _PRIVATE, parents=True, exist_ok=True)
    state_dir = state_dir.resolve()
    home = state_dir / "postgresql"
    layout = Layout(home, owner_of(state_dir), server_account(state_dir, home / "data"))
    # The server's account may pass through, but not list the owner's locks and configuration.
    _make_directory(layout.home, layout.owner, _PRIVATE if layout.owner == layout.account else _PASSABLE)
    return layout


def _make_directory(path: Path, owner: Account, mode: int) -> None:
    try:
        path.mkdir()
    except FileExistsError:
        if path.is_symlink() or not path.is_dir():
            raise EmbeddedServerError(f"{path} is not a directory.", hint="Move it away and try again.") from None
    path.chmod(mode)
    if os.geteuid() == 0:
        os.chown(path, owner.uid, owner.gid, follow_symlinks=False)
