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
from contactsync.store.pool import Pool, open_pool
from tests.support.waiting import wait_until

_MANY = 2500
_DEFINE_MANY = """
WITH added AS (
    INSERT INTO contactsync.folders (name) SELECT 'many ' || n FROM generate_series(1, %s) AS n RETURNING folder_id
)
INSERT INTO contactsync.sync_definitions (folder_id, query, schedule)
SELECT folder_id, 'ldaps://ldap.example.com/dc=example,dc=com', '@yearly' FROM added
"""


def _never(_request: RunRequest) -> RunReport:
    raise AssertionError


@pytest.fixture
def schedule(pool: Pool) -> Iterator[Schedule]:
    """Give a schedule that is not started; its workers are never used."""
    schedule = Schedule(pool, Dispatcher(_never, lambda _key: "", workers=1, per_server=1))
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


def test_the_scheduler_answers_while_very_many_definitions_are_scheduled(database: str) -> None:
    """They come in batches, so that neither pings nor the first runs wait for the last definition."""
    pings: list[tuple[float, float]] = []

    def server_of(_definition_id: int) -> str:
        """Called in the thread that schedules, for each definition that never ran."""
        pings.append((time.monotonic(), many.ping()))
        return ""

    with open_pool(database, max_size=2, timeout=30) as pool, psycopg.connect(database, autocommit=True) as person:
        person.execute(_DEFINE_MANY, [_MANY])
        many = Schedule(pool, Dispatcher(_never, server_of, workers=1, per_server=1))
        many.start()
        try:
            many.rescan()
        finally:
            many.stop()
    assert len(many.followed) == len(pings) == _MANY
    (first_at, _), (last_at, silent_seconds) = pings[0], pings[-1]
    assert silent_seconds < last_at - first_at


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
