"""The listening Unix socket: passed by systemd, or created here in place of a stale one."""

from __future__ import annotations

import fcntl
import grp
import os
import socket
import stat
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

from contactsync.control.peer import peer_of
from contactsync.errors import ControlSocketTaken, SettingsError
from contactsync.settings.schema import Control

log = structlog.get_logger()

MOST_PATH_BYTES = 107
"""The size of sun_path without its terminating null byte (unix(7))."""
FIRST_FD = 3
"""SD_LISTEN_FDS_START of sd_listen_fds(3)."""
BACKLOG = 64
LOCK_SECONDS = 5.0


@contextmanager
def control_socket(settings: Control, environ: MutableMapping[str, str]) -> Iterator[socket.socket]:
    """A listening socket; the file of one that is created here is removed at the end.

    Raises ControlSocketTaken if another process serves it, SettingsError if it cannot be created.
    """
    inherited = _inherited(environ)
    if inherited is not None:
        with inherited:
            log.info("control.listening", socket=_name(inherited), given_by_systemd=True)
            yield inherited
        return
    listening, file_id = _create(settings)
    try:
        with listening:
            log.info("control.listening", socket=str(settings.socket), given_by_systemd=False)
            yield listening
    finally:
        _remove(settings.socket, file_id)


def check_socket(path: Path, environ: MutableMapping[str, str]) -> None:
    """Raise what `control_socket` would raise for this path, before anything else is started."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        _check_length(path)
        _check_free(path)


def _inherited(environ: MutableMapping[str, str]) -> socket.socket | None:
    """The first socket that the service manager passed (sd_listen_fds(3)), if any."""
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
        inherited = socket.socket(fileno=FIRST_FD)
        listens = inherited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise SettingsError(
            f"The file descriptor that the service manager passed is no socket: {error.strerror}.",
            hint="Check the socket unit (ListenStream=).",
        ) from None
    if inherited.family != socket.AF_UNIX or inherited.type != socket.SOCK_STREAM or not listens:
        raise SettingsError(
            "The socket that the service manager passed is not a listening Unix stream socket.",
            hint="Set ListenStream= in the socket unit to an absolute path.",
        )
    return inherited


def _create(settings: Control) -> tuple[socket.socket, tuple[int, int]]:
    """Bind and listen; also returns device and inode of the socket's file."""
    path = settings.socket
    _check_length(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(path.parent):
            _check_free(path)
            path.unlink(missing_ok=True)
            # Linux gives the new file the mode of the socket, so its permissions are never wider than the final ones.
            os.fchmod(listening.fileno(), 0o600)
            listening.bind(os.fspath(path))
            _set_permissions(settings)
            listening.listen(BACKLOG)
            status = path.stat()
    except OSError as error:
        listening.close()
        raise SettingsError(
            f"The control socket {path} cannot be created: {error.strerror}.",
            hint="Check its directory, or choose another path in settings.toml: [control] socket.",
        ) from None
    except BaseException:
        listening.close()
        raise
    return listening, (status.st_dev, status.st_ino)


def _set_permissions(settings: Control) -> None:
    if settings.group:
        try:
            group = grp.getgrnam(settings.group).gr_gid
        except KeyError:
            settings.socket.unlink()
            raise SettingsError(
                f'There is no group "{settings.group}", which [control] group in settings.toml names.',
                hint=f"Create it (groupadd --system {settings.group}) or name another.",
            ) from None
        os.chown(settings.socket, -1, group)
    settings.socket.chmod(int(settings.mode, 8))


def _check_length(path: Path) -> None:
    length = len(os.fsencode(path))
    if length > MOST_PATH_BYTES:
        raise SettingsError(
            f"The path of the control socket has {length} bytes; a Unix socket's may have {MOST_PATH_BYTES}: {path}",
            hint="Choose a shorter path in settings.toml: [control] socket.",
        )


def _check_free(path: Path) -> None:
    """Raise unless there is no file, or a socket that no process serves."""
    try:
        kind = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if not stat.S_ISSOCK(kind):
        raise SettingsError(
            f"{path} exists and is no socket, so it is not replaced.",
            hint="Move it away, or choose another path in settings.toml: [control] socket.",
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(LOCK_SECONDS)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return
        except (BlockingIOError, TimeoutError):  # it is busy
            process = "Another process"
        except OSError as error:
            raise SettingsError(
                f"The control socket {path} cannot be tested: {error.strerror}.",
                hint="Run this as the daemon's user.",
            ) from None
        else:
            process = f"Process {peer_of(probe).pid}"
    raise ControlSocketTaken(
        f"{process} serves the control socket {path} already.",
        hint="Stop that daemon first, or use another state directory for this one.",
    )


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Exclude other daemons that start now: one must not remove the socket that another has just created."""
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


def _remove(path: Path, file_id: tuple[int, int]) -> None:
    """Remove the socket's file, unless another file has replaced it."""
    with suppress(OSError):
        status = path.lstat()
        if (status.st_dev, status.st_ino) == file_id:
            path.unlink()


def _name(listening: socket.socket) -> str:
    name = listening.getsockname()
    return name if isinstance(name, str) else os.fsdecode(name)
