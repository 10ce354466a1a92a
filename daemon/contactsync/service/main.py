"""The daemon as a process: waits for the database, says when it is ready, obeys signals, and ends in order."""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import os
from contextlib import ExitStack, suppress
from importlib.metadata import version
from typing import TYPE_CHECKING

import structlog

from contactsync.bootstrap import ready_pool
from contactsync.control.socket import Place, check_place, control_socket
from contactsync.errors import ContactsyncError, DatabaseUnavailable
from contactsync.service.daemon import Daemon, Reread
from contactsync.service.signals import Signals
from contactsync.service.systemd import ServiceManager, troubles
from contactsync.store.pool import Pool

if TYPE_CHECKING:
    from contactsync.settings import Settings

log = structlog.get_logger()

SPARE_CONNECTIONS = 8
"""Connections beside those of the workers: for the watch's callbacks, for recording, and for the control socket."""

STOP_SECONDS = 150
"""What a stop may take beside the drain: the embedded PostgreSQL is asked to stop twice, a minute each."""

READY_POLL_SECONDS = 0.05


_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_LARGE_BYTES = 128 * 1024
"""mallopt(3): the numbers of its parameters in glibc, and its own first threshold, which it would raise."""


def run_daemon(settings: Settings, reread: Reread) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code. `reread` loads the settings anew, for SIGHUP.

    Raises ContactsyncError when it cannot even begin.
    """
    _use_one_heap()
    faulthandler.enable()  # the watchdog ends a stuck process by SIGABRT: let it say where every thread was
    signals = Signals()
    signals.install()
    control = settings.control
    place = Place(control.socket, int(control.mode, 8), control.group)
    check_place(place, os.environ)
    manager = ServiceManager(os.environ)
    log.info("daemon.starting", version=version("contactsync"))
    # Told until the very end: the embedded PostgreSQL is stopped by the inner stack.
    with ExitStack() as telling, ExitStack() as stack:
        with manager.taking_time("Opening the database"):
            opened = _open_patiently(stack, settings, signals)
        if opened is not None:
            listening = stack.enter_context(control_socket(place, os.environ))
            daemon = Daemon(settings, *opened, listening=listening, reread=reread, manager=manager)
            with manager.taking_time("Reading the definitions"):
                stack.enter_context(daemon.metrics.served(settings.metrics.listen))
                daemon.start()
                _wait_until_ready(daemon, signals)
            if daemon.ready:
                # What is loaded by now stays for good; looking at it again and again took a fifth of a quiet run's CPU.
                gc.collect()
                gc.freeze()
                log.info("daemon.started", workers=settings.scheduler.workers)
                _serve(daemon, manager, signals)
            log.info("daemon.stopping")
            telling.enter_context(manager.stopping(settings.scheduler.drain_seconds + STOP_SECONDS))
            daemon.stop()
    log.info("daemon.stopped")
    return 0


def _wait_until_ready(daemon: Daemon, signals: Signals) -> None:
    while not (daemon.ready or signals.wait_for_stop(READY_POLL_SECONDS)):
        if found := troubles(daemon.vitals()):
            raise ContactsyncError(f"The daemon cannot work: {', '.join(found)}.", hint="The log above says why.")


def _serve(daemon: Daemon, manager: ServiceManager, signals: Signals) -> None:
    manager.ready(daemon.status)
    while not signals.stopping:
        manager.pulse(daemon.vitals(), daemon.status)
        daemon.tidy()
        asked = signals.next(manager.pulse_seconds)
        if asked is not None:
            daemon.handle_signal(asked)


def _open_patiently(stack: ExitStack, settings: Settings, signals: Signals) -> tuple[str, Pool] | None:
    """The database, however long it takes to come up; None when the daemon is told to stop before it did."""
    # One connection for each worker, which a run holds from its lock to its record, and some for everything else.
    size = settings.scheduler.workers + SPARE_CONNECTIONS
    wait = 1.0
    while not signals.stopping:
        try:
            return stack.enter_context(ready_pool(settings, max_size=size))
        except DatabaseUnavailable as error:
            log.warning("database.unavailable", error=str(error), retry_in_seconds=wait)
            signals.wait_for_stop(wait)
            wait = min(wait * 2, 30)
    return None


def _use_one_heap() -> None:
    """Let what one run's threads have freed serve the next run's; each thread would get a heap of its own from glibc.

    Python holds its lock while it allocates, so the threads would not wait less. To be called before there are any.
    """
    with suppress(AttributeError):  # another C library than glibc
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, 1)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
