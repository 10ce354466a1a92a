"""Datagrams to the service manager, by the protocol of sd_notify(3).

The package cysystemd is not used: it sends one assignment a datagram, but RELOADING=1 and MONOTONIC_USEC belong into
one. It lacks EXTEND_TIMEOUT_USEC, and its wheels contain a libsystemd of their own.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

import structlog

log = structlog.get_logger()

SEND_SECONDS = 5
"""How long a service manager that does not read may block the sending thread."""


class Notifier:
    """Sends to the socket in $NOTIFY_SOCKET; without one it sends nothing. It can be shared by threads."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._failing = False

    @property
    def enabled(self) -> bool:
        """Whether there is a service manager."""
        return self._address is not None

    def send(self, *assignments: str) -> None:
        """Send assignments such as `READY=1` in one datagram. The first of several failures is logged."""
        if self._address is None:
            return
        # One assignment is one line: a name that is part of one must not add another.
        lines = [assignment.replace("\n", " ") for assignment in assignments]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(SEND_SECONDS)
                sender.sendto("\n".join(lines).encode(errors="backslashreplace"), self._address)
            self._failing = False
        except OSError as error:
            if not self._failing:
                log.warning("service.unreachable", error=os.strerror(error.errno or 0))
            self._failing = True


def _address(text: str) -> bytes | None:
    """A path, or @ and a name in the abstract namespace (unix(7)); other forms are for virtual machines."""
    if text.startswith("@"):
        return b"\0" + os.fsencode(text[1:])
    return os.fsencode(text) if text.startswith("/") else None
