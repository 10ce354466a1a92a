"""The progress of real threads, which the watchdog checks."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import psycopg
import pytest

from contactsync.dispatch.dispatcher import Dispatcher, RunRequest
from contactsync.dispatch.scheduler import Schedule
from contactsync.model import RunReport
from contactsync.store.notifications import Callbacks, DefinitionWatch
from contactsync.store.pool import Pool
from tests.support.waiting import wait_until


@pytest.fixture
def schedule(pool: Pool) -> Iterator[Schedule]:
    """Give a schedule that is not started; its workers are never used."""

    def work(_request: RunRequest) -> RunReport:
        raise AssertionError

    schedule = Schedule(pool, Dispatcher(work, lambda _key: "", workers=1, per_server=1))
    yield schedule
    if schedule.alive:
        schedule.stop()


def test_a_running_scheduler_answers_pings(schedule: Schedule) -> None:
    """The next ping counts from zero again."""
    schedule.start()
    first = schedule.ping()
    begun = time.monotonic()
    wait_until(lambda: schedule.ping() < first + time.monotonic() - begun)


def test_the_silence_of_a_stopped_scheduler_grows(schedule: Schedule) -> None:
    """The oldest ping counts, however often it is repeated."""
    schedule.ping()
    begun = time.monotonic()
    wait_until(lambda: schedule.ping() > 0.2)
    assert schedule.ping() >= time.monotonic() - begun - 0.05


def test_a_watch_whose_database_froze_falls_silent_and_recovers(database: str) -> None:
    """A frozen backend (SIGSTOP) is detected; the silence ends when it goes on."""
    callbacks = Callbacks(
        on_edit=lambda _ids: None,
        on_request=lambda _names: None,
        on_rescan=lambda: None,
        on_tick=lambda: None,
        on_lost=lambda: None,
    )
    watch = DefinitionWatch(database, callbacks, rescan_seconds=0.2)
    watch.start()
    try:
        wait_until(lambda: watch.caught_up)
        backend = _backend_of_the_watch(database)
        os.kill(backend, signal.SIGSTOP)
        try:
            wait_until(lambda: watch.silent_seconds > 2)
            assert watch.alive
        finally:
            os.kill(backend, signal.SIGCONT)
        wait_until(lambda: watch.silent_seconds < 1)
    finally:
        watch.stop()


def _backend_of_the_watch(database: str) -> int:
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "SELECT pid FROM pg_stat_activity "
            "WHERE application_name = 'contactsync-watch' AND datname = current_database()"
        ).fetchone()
    return int(row[0]) if row else 0
