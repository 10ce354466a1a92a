"""Datagrams to the service manager, by the protocol of sd_notify(3).

Our own lines and not cysystemd: its public call sends one assignment in a datagram, while RELOADING=1 has to travel
with MONOTONIC_USEC; it lacks EXTEND_TIMEOUT_USEC; and its wheels bring a libsystemd of their own for one sendto.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

import structlog

log = structlog.get_logger()

SEND_SECONDS = 5
"""How long a service manager that does not read may hold up the thread that tells it something."""


class Notifier:
    """Sends to the socket that $NOTIFY_SOCKET names; without one it is silent. Threads may share it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._failing = False

    @property
    def listens(self) -> bool:
        """Whether somebody asked to be told."""
        return self._address is not None

    def send(self, *assignments: str) -> None:
        """Send these assignments (`READY=1`) in one datagram. A failure is logged once and costs nothing else."""
        if self._address is None:
            return
        # One assignment is one line: what people named must not add another.
        lines = [assignment.replace("\n", " ") for assignment in assignments]
        message = "\n".join(lines).encode(errors="backslashreplace")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(SEND_SECONDS)
                sender.sendto(
                    message,
                    self._address,
                )
            self._failing = False
        except OSError as error:
            if not self._failing:
                log.warning("service.unreachable", error=os.strerror(error.errno or 0))
            self._failing = True


def _address(given: str) -> bytes | None:
    """A path, or @ and a name in the abstract namespace (unix(7)); the other forms are for virtual machines."""
    if given.startswith("@"):
        return b"\0" + os.fsencode(given[1:])
    return os.fsencode(given) if given.startswith("/") else None
