"""The Unix socket itself: handed over by systemd, or made here in place of one that nobody serves any more."""

from __future__ import annotations

import fcntl
import grp
import os
import socket
import stat
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from contactsync.control.peer import peer_of
from contactsync.errors import ControlSocketTaken, SettingsError

log = structlog.get_logger()

MOST_PATH_BYTES = 107
"""What sun_path holds besides its closing zero (unix(7))."""
FIRST_FD = 3
"""SD_LISTEN_FDS_START of sd_listen_fds(3)."""
BACKLOG = 64
LOCK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where the socket's file is, and who may connect: `mode` is its permissions, `group` a name or empty."""

    path: Path
    mode: int = 0o660
    group: str = ""


@contextmanager
def control_socket(place: Place, environ: MutableMapping[str, str]) -> Iterator[socket.socket]:
    """A listening socket; the file of one that was made here is removed at the end.

    Raises ControlSocketTaken when another process serves it, SettingsError when it cannot be made.
    """
    given = _given(environ)
    if given is not None:
        with given:
            log.info("control.listening", socket=_name(given), given_by_systemd=True)
            yield given
        return
    listening, made = _make(place)
    try:
        with listening:
            log.info("control.listening", socket=str(place.path), given_by_systemd=False)
            yield listening
    finally:
        _remove(place.path, made)


def check_place(place: Place, environ: MutableMapping[str, str]) -> None:
    """Find out early what would keep the socket from being made; raises as `control_socket` does."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        _check_length(place.path)
        _check_nobody_serves(place.path)


def _given(environ: MutableMapping[str, str]) -> socket.socket | None:
    """The first socket that was handed over by the protocol of sd_listen_fds(3), if any was."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    number = environ.get("LISTEN_FDS", "")
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        environ.pop(name, None)
    if not number.isdecimal() or int(number) < 1:
        return None
    if int(number) > 1:
        log.warning("control.sockets_unused", number=int(number) - 1)
    try:
        os.set_inheritable(FIRST_FD, False)  # noqa: FBT003  (it takes no keyword)
        given = socket.socket(fileno=FIRST_FD)
        listens = given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise SettingsError(
            f"The file descriptor that the service manager handed over is no socket: {error.strerror}.",
            hint="Check the socket unit (ListenStream=).",
        ) from None
    if given.family != socket.AF_UNIX or given.type != socket.SOCK_STREAM or not listens:
        raise SettingsError(
            "The socket that the service manager handed over is not a listening Unix stream socket.",
            hint="Give the socket unit ListenStream= with an absolute path.",
        )
    return given


def _make(place: Place) -> tuple[socket.socket, tuple[int, int]]:
    """Bind and listen; also gives device and inode of the socket's file."""
    _check_length(place.path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        place.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone_in(place.path.parent):
            _check_nobody_serves(place.path)
            place.path.unlink(missing_ok=True)
            # Linux takes the mode of the new file from the socket's, so nobody ever sees it wider than it will be.
            os.fchmod(listening.fileno(), 0o600)
            listening.bind(os.fspath(place.path))
            _open_up(place)
            listening.listen(BACKLOG)
            found = place.path.stat()
    except OSError as error:
        listening.close()
        raise SettingsError(
            f"The control socket {place.path} cannot be made: {error.strerror}.",
            hint="Check its directory, or choose another place in settings.toml: [control] socket.",
        ) from None
    except BaseException:
        listening.close()
        raise
    return listening, (found.st_dev, found.st_ino)


def _open_up(place: Place) -> None:
    """Let in whom the settings say; nobody can connect yet, for nobody listens."""
    if place.group:
        try:
            group = grp.getgrnam(place.group).gr_gid
        except KeyError:
            place.path.unlink()
            raise SettingsError(
                f'There is no group "{place.group}", which [control] group in settings.toml names.',
                hint=f"Make it (groupadd --system {place.group}) or name another.",
            ) from None
        os.chown(place.path, -1, group)
    place.path.chmod(place.mode)


def _check_length(path: Path) -> None:
    length = len(os.fsencode(path))
    if length > MOST_PATH_BYTES:
        raise SettingsError(
            f"The path of the control socket has {length} bytes; a Unix socket's may have {MOST_PATH_BYTES}: {path}",
            hint="Choose a shorter one in settings.toml: [control] socket.",
        )


def _check_nobody_serves(path: Path) -> None:
    """Return when there is no file, or the socket of a process that is gone."""
    try:
        kind = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if not stat.S_ISSOCK(kind):
        raise SettingsError(
            f"{path} is there and is no socket, so it is left alone.",
            hint="Move it away, or choose another place in settings.toml: [control] socket.",
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(LOCK_SECONDS)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return
        except (BlockingIOError, TimeoutError):  # it is there, and has its hands full
            who = "Another process"
        except OSError as error:
            raise SettingsError(
                f"Whether somebody serves the control socket {path} cannot be found out: {error.strerror}.",
                hint="Run this as the user that the daemon runs as.",
            ) from None
        else:
            who = f"Process {peer_of(probe).pid}"
    raise ControlSocketTaken(
        f"{who} serves the control socket {path} already.",
        hint="Stop that daemon first, or give this one a state directory of its own.",
    )


@contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """Take turns with other daemons that start at this moment: none may take for stale what another just made."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        end = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        yield
    finally:
        os.close(handle)


def _remove(path: Path, made: tuple[int, int]) -> None:
    """Remove the file that was made, and no other that somebody put in its place."""
    with suppress(OSError):
        found = path.lstat()
        if (found.st_dev, found.st_ino) == made:
            path.unlink()


def _name(given: socket.socket) -> str:
    name = given.getsockname()
    return name if isinstance(name, str) else os.fsdecode(name)
