"""The job store of the definitions, with APScheduler's real scheduler."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.background import BackgroundScheduler

from contactsync.dispatch.jobs import DefinitionJobs
from contactsync.schedule import Timetable, parse_schedule
from tests.support.waiting import wait_until

MANY = 2500
SOON, LATER = "every 1s", "every 300d"


class Scheduled:
    """Definitions by their schedules, and how often each has fired."""

    def __init__(self, schedules: dict[int, str], jitter: int = 0) -> None:
        self.schedules = schedules
        self._jitter = jitter
        self.fired: Counter[int] = Counter()
        self.scheduler = BackgroundScheduler(timezone=UTC)
        self.jobs = DefinitionJobs(self._timetable, self._fire)
        self.jobs.start(self.scheduler, "definitions")
        for definition_id in schedules:
            self.jobs.put(definition_id)

    def _timetable(self, definition_id: int) -> Timetable | None:
        schedule = self.schedules.get(definition_id)
        return parse_schedule(schedule, "UTC", self._jitter, seed=str(definition_id)) if schedule else None

    def _fire(self, definition_id: int) -> None:
        self.fired[definition_id] += 1

    @contextmanager
    def running(self) -> Iterator[None]:
        """APScheduler runs them."""
        self.scheduler.add_jobstore(self.jobs, "definitions")
        self.scheduler.start()
        try:
            yield
        finally:
            self.scheduler.shutdown()

    def due(self) -> list[int]:
        """The definitions that are due within ten seconds; APScheduler has got their jobs then."""
        return [int(job.id) for job in self.jobs.get_due_jobs(datetime.now(UTC) + timedelta(seconds=10))]


def test_all_that_are_due_at_once_run_again_and_again() -> None:
    """Also those above the number of jobs that are made at once; no other definition runs."""
    scheduled = Scheduled(dict.fromkeys(range(MANY), SOON) | {MANY: LATER})
    with scheduled.running():
        wait_until(lambda: len(scheduled.fired) == MANY and min(scheduled.fired.values()) > 1)
    assert MANY not in scheduled.fired


def test_what_is_due_in_a_quarter_of_a_second_is_requested_together() -> None:
    """So that a hundred runs a second are stored in a few transactions; what is due at a whole second is due then."""
    scheduled = Scheduled(dict.fromkeys(range(MANY), "every 60s"), jitter=60)
    looks: set[datetime] = set()
    while len(looks) < 9:
        now = scheduled.jobs.get_next_run_time()
        assert now is not None
        looks.add(now)
        scheduled.jobs.get_due_jobs(now)
    assert max(looks) - min(looks) == timedelta(seconds=2)
    assert {look.microsecond % 250_000 for look in looks} == {0}


def test_a_definition_that_is_scheduled_again_runs_once_at_its_time() -> None:
    """The same time comes back after another one."""
    scheduled = Scheduled({1: SOON})
    for schedule in (LATER, SOON, SOON):
        scheduled.schedules[1] = schedule
        scheduled.jobs.put(1)
    assert scheduled.due() == [1]
    assert scheduled.due() == []


def test_the_next_run_is_known_before_a_definition_fires() -> None:
    """Else the daemon could store the time that has just come as that of the next run."""
    scheduled = Scheduled({1: SOON, 2: LATER})
    now = datetime.now(UTC) + timedelta(seconds=10)
    (job,) = scheduled.jobs.get_due_jobs(now)
    following = scheduled.jobs.next_run(1)
    assert following is not None
    assert job.next_run_time <= now < following <= now + timedelta(seconds=1)


def test_an_edit_while_a_definition_fires_decides_about_its_next_run() -> None:
    """APScheduler returns the job with the next time of the former schedule; or the definition is gone."""
    scheduled = Scheduled({1: SOON, 2: SOON})
    edited, removed = scheduled.jobs.get_due_jobs(datetime.now(UTC) + timedelta(seconds=10))
    scheduled.schedules = {1: LATER}
    scheduled.jobs.put(1)
    scheduled.jobs.drop(2)
    later = scheduled.jobs.next_run(1)
    for job in (edited, removed):
        job.next_run_time += timedelta(seconds=1)
        scheduled.jobs.update_job(job)
    scheduled.jobs.remove_job("2")
    assert scheduled.jobs.first() == (later, 1)
    assert scheduled.jobs.next_run(2) is None


def test_a_definition_that_was_edited_very_often_is_due_once() -> None:
    """And one that was removed is not due."""
    scheduled = Scheduled({1: SOON, 2: SOON})
    for _ in range(MANY):
        scheduled.jobs.put(1)
        scheduled.jobs.put(2)
    scheduled.jobs.drop(1)
    assert scheduled.due() == [2]
    assert scheduled.due() == []
