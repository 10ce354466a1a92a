"""APScheduler's thread, which runs the jobs of definitions when they are due."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC
from threading import Event
from typing import TYPE_CHECKING

import structlog
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from contactsync.dispatch.jobs import DefinitionJobs

if TYPE_CHECKING:
    from apscheduler.events import JobEvent

    from contactsync.schedule import Timetable

log = structlog.get_logger()

_DUE_JOBS_SECONDS = 5


class JobThread:
    """APScheduler with one thread for jobs. `jobs` has those of the definitions; parameters: see DefinitionJobs."""

    def __init__(self, timetable_of: Callable[[int], Timetable | None], fire: Callable[[int], None]) -> None:
        self.jobs = DefinitionJobs(timetable_of, fire)
        self._pinged_at: float | None = None
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(1)},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 10},
        )
        self._scheduler.add_jobstore(self.jobs, "definitions")
        self._scheduler.add_listener(_on_trouble, EVENT_JOB_ERROR | EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)

    def start(self) -> None:
        """Start APScheduler's thread."""
        self._scheduler.start()

    def stop(self) -> None:
        """Start no more jobs."""
        self._scheduler.shutdown(wait=False)

    @property
    def alive(self) -> bool:
        """Whether APScheduler's thread is there."""
        return bool(self._scheduler.running)

    def ping(self) -> float:
        """Have APScheduler's threads run a job; returns the seconds since the oldest ping without an answer.

        The job has the present date each time, so that a clock that is set back does not put it into the future.
        """
        pinged_at = self._pinged_at
        if pinged_at is None:
            pinged_at = self._pinged_at = time.monotonic()
        self._scheduler.add_job(self._answer_ping, id="ping", replace_existing=True)
        return time.monotonic() - pinged_at

    def wake(self) -> None:
        """Let APScheduler look at the jobs again."""
        if self.alive:
            self._scheduler.wakeup()

    def run_due_jobs(self) -> None:
        """Wait until APScheduler has started the due jobs, pings of the watchdog among them."""
        started = Event()
        if self.alive:
            self._scheduler.add_job(started.set, id="due", replace_existing=True)
            started.wait(_DUE_JOBS_SECONDS)

    def _answer_ping(self) -> None:
        self._pinged_at = None


def _on_trouble(event: JobEvent) -> None:
    """Log an event of APScheduler, which only logs it as text, so that an alert can match it."""
    log.error("schedule.trouble", definition=event.job_id, event_code=event.code)
