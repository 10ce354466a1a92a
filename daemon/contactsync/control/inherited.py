"""The listening sockets that systemd passes to the daemon (sd_listen_fds(3)), by name."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping

import structlog

from contactsync.errors import SettingsError

log = structlog.get_logger()

FIRST_FD = 3
"""SD_LISTEN_FDS_START of sd_listen_fds(3)."""
CONTROL, WEB = "control", "web"
"""FileDescriptorName= of the socket units. The first socket without the second name is the control socket."""


def is_activated(environ: MutableMapping[str, str]) -> bool:
    """Whether the service manager passed sockets to this process."""
    return environ.get("LISTEN_PID") == str(os.getpid())


def inherited_sockets(environ: MutableMapping[str, str], *, web: bool) -> dict[str, socket.socket]:
    """The sockets that the service manager passed, by CONTROL and WEB. Raises SettingsError.

    Without `web` the socket of that name is not used.
    """
    if not is_activated(environ):
        return {}
    number, names = environ.get("LISTEN_FDS", ""), environ.get("LISTEN_FDNAMES", "").split(":")
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        environ.pop(name, None)
    used: dict[str, socket.socket] = {}
    unused = 0
    for offset in range(int(number) if number.isdecimal() else 0):
        name = WEB if names[offset : offset + 1] == [WEB] else CONTROL
        if name in used or (name == WEB and not web):
            os.close(FIRST_FD + offset)
            unused += 1
        else:
            used[name] = _listening(FIRST_FD + offset)
    if unused:
        log.warning("control.sockets_unused", number=unused)
    return used


def _listening(number: int) -> socket.socket:
    try:
        os.set_inheritable(number, False)  # noqa: FBT003  (it takes no keyword)
        inherited = socket.socket(fileno=number)
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
