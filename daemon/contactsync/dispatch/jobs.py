"""A job store of APScheduler that keeps no job: of each definition only when it runs next."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from heapq import heapify, heappop, heappush
from threading import Lock

from apscheduler.job import Job
from apscheduler.jobstores.base import BaseJobStore, JobLookupError

from contactsync.schedule import Timetable

_MOST_AT_ONCE = 1000
"""Jobs that are made at once when more are due."""
_TOGETHER = timedelta(milliseconds=250)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class DefinitionJobs(BaseJobStore):  # type: ignore[misc]  # APScheduler publishes no types
    """The jobs of definitions; the id of a job is the definition's as a text.

    APScheduler's own store takes 1 kB for each job. This one makes a job when it is due, and keeps the time of the next
    one. `timetable_of` returns when a definition runs; None if its schedule does not run it. `fire` is the job.
    """

    def __init__(self, timetable_of: Callable[[int], Timetable | None], fire: Callable[[int], None]) -> None:
        super().__init__()
        self._timetable_of = timetable_of
        self._fire = fire
        self._lock = Lock()
        self._times: dict[int, datetime] = {}
        self._heap: list[tuple[datetime, int]] = []
        """The `_times` of all, and former ones, which do not count."""

    def put(self, definition_id: int) -> None:
        """Run a definition from now on by its timetable."""
        timetable = self._timetable_of(definition_id)
        at = timetable.get_next_fire_time(None, datetime.now(UTC)) if timetable else None
        with self._lock:
            self._set(definition_id, at)

    def drop(self, definition_id: int) -> None:
        """Run a definition by no schedule any more."""
        with self._lock:
            self._set(definition_id, None)

    def next_run(self, definition_id: int) -> datetime | None:
        """When a definition runs next; None if no schedule runs it."""
        with self._lock:
            return self._times.get(definition_id)

    def first(self) -> tuple[datetime, int] | None:
        """When a definition runs next, and which; None if no schedule runs any."""
        with self._lock:
            return self._first()

    def get_due_jobs(self, now: datetime) -> list[Job]:
        """See BaseJobStore. If very many are due, it returns the others at the next look.

        It notes the next run of each: APScheduler would tell it after the job was given to its thread.
        """
        jobs: list[Job] = []
        with self._lock:
            while len(jobs) < _MOST_AT_ONCE and (first := self._first()) and first[0] <= now:
                at, definition_id = heappop(self._heap)
                job = self._job(definition_id, at)
                self._set(definition_id, job.trigger.get_next_fire_time(now, now) if job else None)
                if job:
                    jobs.append(job)
        return jobs

    def get_next_run_time(self) -> datetime | None:
        """See BaseJobStore. At the end of the quarter second, so that what is due in it is requested together."""
        first = self.first()
        return _EPOCH - (_EPOCH - first[0]) // _TOGETHER * _TOGETHER if first else None

    def lookup_job(self, job_id: str) -> Job | None:
        """See BaseJobStore."""
        at = self.next_run(int(job_id)) if job_id.isdecimal() else None
        return self._job(int(job_id), at) if at else None

    def get_all_jobs(self) -> list[Job]:
        """See BaseJobStore."""
        with self._lock:
            times = sorted((at, definition_id) for definition_id, at in self._times.items())
        return [job for at, definition_id in times if (job := self._job(definition_id, at))]

    def add_job(self, job: Job) -> None:
        """See BaseJobStore; jobs come by `put`."""
        raise NotImplementedError

    def update_job(self, job: Job) -> None:
        """See BaseJobStore; the next run of a job that was due is noted already."""

    def remove_job(self, job_id: str) -> None:
        """See BaseJobStore; a job that was due for the last time is gone already."""
        if not job_id.isdecimal():
            raise JobLookupError(job_id)

    def remove_all_jobs(self) -> None:
        """See BaseJobStore."""
        with self._lock:
            self._times, self._heap = {}, []

    def _first(self) -> tuple[datetime, int] | None:
        while self._heap and self._times.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0] if self._heap else None

    def _set(self, definition_id: int, at: datetime | None) -> None:
        if at is None:
            self._times.pop(definition_id, None)
            return
        self._times[definition_id] = at
        heappush(self._heap, (at, definition_id))
        if len(self._heap) > 2 * len(self._times) + _MOST_AT_ONCE:
            self._heap = [(at, definition_id) for definition_id, at in self._times.items()]
            heapify(self._heap)

    def _job(self, definition_id: int, at: datetime) -> Job | None:
        timetable = self._timetable_of(definition_id)
        if timetable is None:
            return None
        job = Job(
            self._scheduler,
            id=str(definition_id),
            name=str(definition_id),
            trigger=timetable,
            func=self._fire,
            args=(definition_id,),
            kwargs={},
            executor="default",
            misfire_grace_time=None,
            coalesce=True,
            max_instances=10,
            next_run_time=at,
        )
        job._jobstore_alias = self._alias  # noqa: SLF001 -- as APScheduler's stores do
        return job
