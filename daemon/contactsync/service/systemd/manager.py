"""Notifies the service manager of every change of state, and feeds its watchdog while all parts of the daemon work.

The protocol is sd_notify(3). The package cysystemd is not used: it sends one assignment a datagram, but RELOADING=1 and
MONOTONIC_USEC belong into one. It lacks EXTEND_TIMEOUT_USEC, and its wheels contain a libsystemd of their own.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

log = structlog.get_logger()

PULSE_SECONDS = 2.0
"""The maximum age of the status."""

EXTENSION_SECONDS = 60
"""Each request for more time asks for this; it is repeated after a sixth of it."""

SEND_SECONDS = 5
"""How long a service manager that does not read may block the sending thread."""


@dataclass(frozen=True, slots=True)
class Part:
    """A thread of the daemon, or several of one kind."""

    name: str
    alive: bool
    """Whether all its threads are alive."""
    silent_seconds: float = 0
    """Seconds since progress was due; 0 if none is due, however long the work takes."""
    allowed_seconds: float = 0
    """The most that `silent_seconds` may be."""


def troubles(parts: Iterable[Part]) -> list[str]:
    """A clause for each part that ended or is stuck."""
    return [clause for part in parts if (clause := _trouble(part))]


def _trouble(part: Part) -> str | None:
    if not part.alive:
        return f"{part.name} ended"
    if part.silent_seconds > part.allowed_seconds:
        return f"{part.name} has been stuck for {part.silent_seconds:.0f} seconds"
    return None


class _Notifier:
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


class ServiceManager:
    """The notifications of a service of Type=notify (sd_notify(3)); without systemd nothing is sent."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._notifier = _Notifier(environ)
        self._watchdog_seconds = _watchdog_seconds(environ) if self._notifier.enabled else None
        self._fed_at = 0.0
        self._status = ""
        self._troubles: list[str] = []

    @property
    def pulse_seconds(self) -> float:
        """The most seconds between two calls of `pulse`: half the watchdog's time at most."""
        return min(PULSE_SECONDS, self._watchdog_seconds / 2) if self._watchdog_seconds else PULSE_SECONDS

    def ready(self, status: str) -> None:
        """Report that the daemon can do its work."""
        self._status = status
        self._notifier.send("READY=1", f"STATUS={status}")

    def pulse(self, parts: Iterable[Part], status: str) -> None:
        """Report the status if it has changed, and feed the watchdog unless a part has ended or is stuck."""
        found = troubles(parts)
        if found:
            status = f"Something is wrong: {', '.join(found)}"
        elif self._watchdog_seconds and time.monotonic() >= self._fed_at + self._watchdog_seconds / 2 - 0.01:
            self._fed_at = time.monotonic()
            self._notifier.send("WATCHDOG=1")
        if found and not self._troubles:
            log.error("daemon.stuck", troubles=found, watchdog_seconds=self._watchdog_seconds)
        self._troubles = found
        self._report(status)

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Report a reload at the start and its end, also after an error; from any thread."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._notifier.send("RELOADING=1", f"MONOTONIC_USEC={now}", "STATUS=Reading the settings again")
        try:
            yield
        finally:
            self._notifier.send("READY=1", f"STATUS={self._status}")

    @contextmanager
    def stopping(self, at_most: float) -> Iterator[None]:
        """Report the stop, and request more time for `at_most` seconds; after that TimeoutStopSec= applies."""
        self._notifier.send("STOPPING=1")
        with self.taking_time("Stopping", at_most=at_most):
            yield

    @contextmanager
    def taking_time(self, status: str, *, at_most: float | None = None) -> Iterator[None]:
        """Request more time until the block ends, for `at_most` seconds."""
        if not self._notifier.enabled:
            yield
            return
        self._report(status)
        over = threading.Event()
        thread = threading.Thread(target=self._extend, args=[over, at_most], name="extension", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _extend(self, over: threading.Event, at_most: float | None) -> None:
        end = None if at_most is None else time.monotonic() + at_most
        step = min(EXTENSION_SECONDS / 6, self.pulse_seconds if self._watchdog_seconds else EXTENSION_SECONDS)
        while end is None or time.monotonic() < end:
            # The watchdog also runs while a service stops, when the main thread does not call `pulse`.
            watchdog = ["WATCHDOG=1"] if self._watchdog_seconds else []
            self._notifier.send(f"EXTEND_TIMEOUT_USEC={EXTENSION_SECONDS * 1_000_000}", *watchdog)
            if over.wait(step):
                return

    def _report(self, status: str) -> None:
        if status != self._status:
            self._status = status
            self._notifier.send(f"STATUS={status}")


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """WATCHDOG_USEC in seconds; None without a watchdog, or if it watches another process."""
    microseconds, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or int(microseconds) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(microseconds) / 1_000_000
