"""The service manager as the daemon sees it: told of every step, asked for time, reassured while all is well."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import structlog

from contactsync.service.systemd.notify import Notifier
from contactsync.service.systemd.watchdog import Part, troubles

log = structlog.get_logger()

PULSE_SECONDS = 2.0
"""How old the status may be."""

EXTENSION_SECONDS = 60
"""What is asked for each time more time is needed; asked for again after a sixth of it."""


class ServiceManager:
    """What systemd wants to hear of a service of Type=notify (sd_notify(3)); without systemd nothing is sent."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._notifier = Notifier(environ)
        self._watchdog_seconds = _watchdog_seconds(environ) if self._notifier.listens else None
        self._fed_at = 0.0
        self._status = ""
        self._troubles: list[str] = []

    @property
    def pulse_seconds(self) -> float:
        """How long the main thread may wait before it calls `pulse` again: half the watchdog's time at most."""
        return min(PULSE_SECONDS, self._watchdog_seconds / 2) if self._watchdog_seconds else PULSE_SECONDS

    def ready(self, status: str) -> None:
        """The daemon can do its work."""
        self._status = status
        self._notifier.send("READY=1", f"STATUS={status}")

    def pulse(self, parts: Iterable[Part], status: str) -> None:
        """Tell the status when it is news, and feed the watchdog while every part lives and gets on."""
        found = troubles(parts)
        if found:
            status = f"Something is wrong: {', '.join(found)}"
        elif self._watchdog_seconds and time.monotonic() >= self._fed_at + self._watchdog_seconds / 2 - 0.01:
            self._fed_at = time.monotonic()
            self._notifier.send("WATCHDOG=1")
        if found and not self._troubles:
            log.error("daemon.stuck", troubles=found, watchdog_seconds=self._watchdog_seconds)
        self._troubles = found
        self._tell(status)

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Around reading the settings and definitions again, whether it succeeds or not; from any thread."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._notifier.send("RELOADING=1", f"MONOTONIC_USEC={now}", "STATUS=Reading the settings again")
        try:
            yield
        finally:
            self._notifier.send("READY=1", f"STATUS={self._status}")

    @contextmanager
    def stopping(self, at_most: float) -> Iterator[None]:
        """Around the stop; more time is asked for, up to `at_most` seconds, after which TimeoutStopSec= decides."""
        self._notifier.send("STOPPING=1")
        with self.taking_time("Stopping", at_most=at_most):
            yield

    @contextmanager
    def taking_time(self, status: str, *, at_most: float | None = None) -> Iterator[None]:
        """Around what takes a time that nobody knows: ask for more until it is over, or for `at_most` seconds."""
        if not self._notifier.listens:
            yield
            return
        self._tell(status)
        over = threading.Event()
        thread = threading.Thread(target=self._ask_for_time, args=[over, at_most], name="patience", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _ask_for_time(self, over: threading.Event, at_most: float | None) -> None:
        end = None if at_most is None else time.monotonic() + at_most
        step = min(EXTENSION_SECONDS / 6, self.pulse_seconds if self._watchdog_seconds else EXTENSION_SECONDS)
        while end is None or time.monotonic() < end:
            # The watchdog runs on while a service stops, when the main thread is busy with stopping.
            food = ["WATCHDOG=1"] if self._watchdog_seconds else []
            self._notifier.send(f"EXTEND_TIMEOUT_USEC={EXTENSION_SECONDS * 1_000_000}", *food)
            if over.wait(step):
                return

    def _tell(self, status: str) -> None:
        if status != self._status:
            self._status = status
            self._notifier.send(f"STATUS={status}")


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """WATCHDOG_USEC in seconds; None when nobody watches, or when it is another process that is watched."""
    microseconds, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or int(microseconds) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(microseconds) / 1_000_000
