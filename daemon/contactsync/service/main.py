"""The daemon's process: waits for the database, reports when it is ready, handles signals, and ends in order."""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import structlog

from contactsync import __version__
from contactsync.bootstrap import database_of
from contactsync.control.socket import check_sockets, listening_sockets
from contactsync.errors import ContactsyncError, DatabaseUnavailable
from contactsync.fleet.setup import node_identity, prepare_fleet
from contactsync.service.daemon import Daemon
from contactsync.service.signals import Signals
from contactsync.service.systemd import ServiceManager, troubles
from contactsync.store.pool import Pool

if TYPE_CHECKING:
    from contactsync.fleet.identity import NodeIdentity
    from contactsync.settings.schema import Settings

log = structlog.get_logger()

SPARE_CONNECTIONS = 8
"""Connections in addition to those of the workers: for the watch, for recording, and for the control socket."""

STOP_SECONDS = 150
"""The time for a stop after the drain: two attempts to stop the embedded PostgreSQL, of a minute each."""

READY_POLL_SECONDS = 0.05

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_LARGE_BYTES = 128 * 1024
"""mallopt(3): numbers of parameters, and glibc's initial threshold, which it would raise."""


def run_daemon(settings: Settings, reread: Callable[[], Settings]) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code. `reread` loads the settings again for SIGHUP.

    Raises ContactsyncError if it cannot start.
    """
    _use_one_heap()
    faulthandler.enable()  # the watchdog ends a stuck process by SIGABRT; this prints its stacks
    signals = Signals()
    signals.install()
    check_sockets(settings, os.environ)
    identity = node_identity(settings)
    manager = ServiceManager(os.environ)
    log.info("daemon.starting", version=__version__)
    # The inner stack stops the embedded PostgreSQL; systemd gets messages until then.
    with ExitStack() as stopping, ExitStack() as stack:
        with manager.taking_time("Opening the database"):
            opened = _open_database(stack, settings, signals, identity)
        if opened is not None:
            prepare_fleet(settings, opened[0])
            listening = stack.enter_context(listening_sockets(settings, os.environ))
            daemon = Daemon(settings, *opened, listening=listening, reread=reread, manager=manager, identity=identity)
            with manager.taking_time("Reading the definitions"):
                stack.enter_context(daemon.metrics.server.serving(settings.metrics))
                daemon.start()
                _wait_until_ready(daemon, signals)
            if daemon.vitals.ready:
                # The objects that exist now stay. Collecting them again took a fifth of the CPU of an unchanged run.
                gc.collect()
                gc.freeze()
                log.info("daemon.started", workers=settings.scheduler.workers)
                _serve(daemon, manager, signals)
            log.info("daemon.stopping")
            stopping.enter_context(manager.stopping(settings.scheduler.drain_seconds + STOP_SECONDS))
            daemon.stop()
    log.info("daemon.stopped")
    return 0


def _wait_until_ready(daemon: Daemon, signals: Signals) -> None:
    while not (daemon.vitals.ready or signals.wait_for_stop(READY_POLL_SECONDS)):
        if reasons := troubles(daemon.vitals.parts()):
            raise ContactsyncError(f"The daemon cannot work: {', '.join(reasons)}.", hint="The log above says why.")


def _serve(daemon: Daemon, manager: ServiceManager, signals: Signals) -> None:
    manager.ready(daemon.vitals.status)
    while not signals.stopping:
        manager.pulse(daemon.vitals.parts(), daemon.vitals.status)
        daemon.close_idle_connections()
        daemon.vitals.log_silence()
        received = signals.next(manager.pulse_seconds)
        if received is not None:
            daemon.handle_signal(received)


def _open_database(
    stack: ExitStack, settings: Settings, signals: Signals, identity: NodeIdentity | None
) -> tuple[str, Pool] | None:
    """Wait for the database; None if a signal stops the daemon before it is available."""
    # A run holds one connection from its lock to its record.
    size = settings.scheduler.workers + SPARE_CONNECTIONS
    wait = 1.0
    while not signals.stopping:
        try:
            name = identity.application_name if identity else "contactsync"
            return stack.enter_context(
                database_of(settings).ready_pool(max_size=size, create=True, application_name=name)
            )
        except DatabaseUnavailable as error:
            log.warning("database.unavailable", error=str(error), retry_in_seconds=wait)
            signals.wait_for_stop(wait)
            wait = min(wait * 2, 30)
    return None


def _use_one_heap() -> None:
    """Share one heap between all threads; glibc would give each its own, and freed memory would not be reused.

    Python holds its lock while it allocates, so threads do not wait longer. To be called before any thread starts.
    """
    with suppress(AttributeError):  # another C library than glibc
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, 1)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
