"""The listening socket of the console: given by systemd, or made here at an address or a path of the settings."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

from contactsync.errors import SettingsError
from contactsync.serving.address import bind
from contactsync.settings.web import Web

_FIRST_FD = 3
"""SD_LISTEN_FDS_START of sd_listen_fds(3)."""
_BACKLOG = 256
_MODE = 0o660


def listening_socket(settings: Web, environ: MutableMapping[str, str]) -> socket.socket:
    """A socket that listens. Raises SettingsError, also for an address that others reach without TLS."""
    listening = _inherited(environ) or _create(settings)
    if not (settings.tls_certificate or settings.plain or _is_local(listening)):
        name = f"{listening.getsockname()[0]}"
        listening.close()
        raise SettingsError(
            f"The console does not listen at {name} without TLS: passwords would cross the network in plain text.",
            hint="Set [web] tls_certificate and tls_key, or let it listen on loopback behind a web server with TLS.",
        )
    return listening


def _is_local(listening: socket.socket) -> bool:
    return listening.family == socket.AF_UNIX or ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback


def _inherited(environ: MutableMapping[str, str]) -> socket.socket | None:
    """The socket that the service manager passed (sd_listen_fds(3)), if any."""
    if environ.get("LISTEN_PID") != str(os.getpid()) or not environ.get("LISTEN_FDS", "").isdecimal():
        return None
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        environ.pop(name, None)
    try:
        os.set_inheritable(_FIRST_FD, False)  # noqa: FBT003  (it takes no keyword)
        inherited = socket.socket(fileno=_FIRST_FD)
        listens = inherited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise _not_listening(error.strerror or str(error)) from None
    if inherited.type != socket.SOCK_STREAM or not listens:
        raise _not_listening("it is no listening stream socket")
    return inherited


def _not_listening(reason: str) -> SettingsError:
    return SettingsError(
        f"The socket that the service manager passed cannot be used: {reason}.",
        hint="Check the socket unit (ListenStream=).",
    )


def _create(settings: Web) -> socket.socket:
    if not settings.listen.startswith("/"):
        return bind(settings.listen, "web")
    path = Path(settings.listen)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        # Linux gives the new file the mode of the socket, so its permissions are never wider than the final ones.
        os.fchmod(listening.fileno(), _MODE)
        listening.bind(os.fspath(path))
        path.chmod(_MODE)  # without what the umask takes away
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise SettingsError(
            f"The console cannot listen at {path}: {error.strerror or error}.", hint="Change [web] listen."
        ) from None
    return listening


def _remove_stale(path: Path) -> None:
    """Remove the file of a socket on which no process listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, suppress(FileNotFoundError):
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            if path.is_socket():
                path.unlink()
