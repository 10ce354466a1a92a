"""The listening Unix sockets: passed by systemd, or created here in place of stale ones."""

from __future__ import annotations

import fcntl
import grp
import os
import socket
import stat
import time
from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import structlog

from contactsync.control.inherited import CONTROL, WEB, inherited_sockets, is_activated
from contactsync.errors import ControlSocketTaken, SettingsError
from contactsync.serving.peer import peer_of
from contactsync.settings.schema import Settings

log = structlog.get_logger()

MOST_PATH_BYTES = 107
"""The size of sun_path without its terminating null byte (unix(7))."""
BACKLOG = 64
LOCK_SECONDS = 5.0


class Listening(NamedTuple):
    """The sockets of the API: for commands, and for the web console if it is enabled."""

    control: socket.socket
    web: socket.socket | None


@contextmanager
def listening_sockets(settings: Settings, environ: MutableMapping[str, str]) -> Iterator[Listening]:
    """The listening sockets; the files of those that are created here are removed at the end.

    Raises ControlSocketTaken if another process serves one, SettingsError if it cannot be created.
    """
    with ExitStack() as stack:
        inherited = inherited_sockets(environ, web=settings.web.enabled)
        for each in inherited.values():
            stack.enter_context(each)

        def listening(name: str, place: _Place) -> socket.socket:
            given = inherited.get(name)
            path = str(place.path) if given is None else _name(given)
            opened = stack.enter_context(_created(place)) if given is None else given
            log.info("control.listening", name=name, socket=path, given_by_systemd=given is not None)
            return opened

        control = listening(CONTROL, _control_place(settings))
        yield Listening(control, listening(WEB, _web_place(settings)) if settings.web.enabled else None)


def check_sockets(settings: Settings, environ: MutableMapping[str, str]) -> None:
    """Raise what `listening_sockets` would raise for the paths, before anything else is started."""
    if not is_activated(environ):
        for place in [_control_place(settings), *([_web_place(settings)] if settings.web.enabled else [])]:
            _check_length(place)
            _check_free(place)


class _Place(NamedTuple):
    """Where a socket is created; `section` of settings.toml says so."""

    section: str
    path: Path
    mode: int
    group: str


def _control_place(settings: Settings) -> _Place:
    control = settings.control
    return _Place("control", control.socket, int(control.mode, 8), control.group)


def _web_place(settings: Settings) -> _Place:
    return _Place("web", settings.web.socket, 0o660, settings.web.group)


@contextmanager
def _created(place: _Place) -> Iterator[socket.socket]:
    listening, file_id = _create(place)
    try:
        with listening:
            yield listening
    finally:
        _remove(place.path, file_id)


def _create(place: _Place) -> tuple[socket.socket, tuple[int, int]]:
    """Bind and listen; also returns device and inode of the socket's file."""
    path = place.path
    _check_length(place)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(path.parent):
            _check_free(place)
            path.unlink(missing_ok=True)
            # Linux gives the new file the mode of the socket, so its permissions are never wider than the final ones.
            os.fchmod(listening.fileno(), 0o600)
            listening.bind(os.fspath(path))
            _set_permissions(place)
            listening.listen(BACKLOG)
            status = path.stat()
    except OSError as error:
        listening.close()
        raise SettingsError(
            f"The socket {path} cannot be created: {error.strerror}.",
            hint=f"Check its directory, or choose another path in settings.toml: [{place.section}] socket.",
        ) from None
    except BaseException:
        listening.close()
        raise
    return listening, (status.st_dev, status.st_ino)


def _set_permissions(place: _Place) -> None:
    if place.group:
        try:
            group = grp.getgrnam(place.group).gr_gid
        except KeyError:
            place.path.unlink()
            raise SettingsError(
                f'There is no group "{place.group}", which [{place.section}] group in settings.toml names.',
                hint=f"Create it (groupadd --system {place.group}) or name another.",
            ) from None
        try:
            os.chown(place.path, -1, group)
        except PermissionError:
            place.path.unlink()
            raise SettingsError(
                f"The socket {place.path} cannot be given to the group {place.group}: this process is no member.",
                hint="Start systemd's socket unit before the daemon, such as contactsync-web-daemon.socket."
                f" Without systemd, add the daemon's user to the group, or set [{place.section}] group.",
            ) from None
    place.path.chmod(place.mode)


def _check_length(place: _Place) -> None:
    length = len(os.fsencode(place.path))
    if length > MOST_PATH_BYTES:
        raise SettingsError(
            f"The path of a socket has {length} bytes; a Unix socket's may have {MOST_PATH_BYTES}: {place.path}",
            hint=f"Choose a shorter path in settings.toml: [{place.section}] socket.",
        )


def _check_free(place: _Place) -> None:
    """Raise unless there is no file, or a socket that no process serves."""
    path = place.path
    try:
        kind = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if not stat.S_ISSOCK(kind):
        raise SettingsError(
            f"{path} exists and is no socket, so it is not replaced.",
            hint=f"Move it away, or choose another path in settings.toml: [{place.section}] socket.",
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
                f"The socket {path} cannot be tested: {error.strerror}.",
                hint="Run this as the daemon's user.",
            ) from None
        else:
            process = f"Process {peer_of(probe).pid}"
    raise ControlSocketTaken(
        f"{process} serves the socket {path} already.",
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
