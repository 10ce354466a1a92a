"""Jobs that no worker makes any more: their runs are requested again."""

from __future__ import annotations

from dataclasses import replace

from procrastinate import App
from procrastinate.jobs import Job, Status

from contactsync.fleet.jobs.job import RunJob
from contactsync.fleet.jobs.outbox import Outbox


class Abandoned:
    """Requests again the runs of jobs whose workers are gone. Each method raises ConnectorException."""

    def __init__(self, app: App, outbox: Outbox) -> None:
        self._manager = app.job_manager
        self._outbox = outbox

    async def restart_of(self, worker_id: int | None) -> list[int]:
        """Request again the runs of a worker that is gone; returns the ids of its jobs."""
        if worker_id is None:
            return []
        jobs = await self.made_by(worker_id)
        for job in jobs:
            await self.restart(job)
        await self._manager.unregister_worker(worker_id)
        return [job.id for job in jobs if job.id]

    async def restart_orphans(self, living: set[int], running: set[int], seconds: float) -> list[int]:
        """The same for jobs that no worker of `living` makes any more, as after an outage of PostgreSQL."""
        stalled = await self._manager.get_stalled_jobs(seconds_since_heartbeat=seconds)
        orphans = [job for job in stalled if job.worker_id not in living and job.id not in running]
        for job in orphans:
            await self.restart(job)
        return [job.id for job in orphans if job.id]

    async def made_by(self, worker_id: int) -> list[Job]:
        """The jobs that PostgreSQL has given to a worker, and that are not ended."""
        return list(await self._manager.list_jobs_async(worker_id=worker_id, status="doing"))

    async def restart(self, job: Job) -> None:
        """Finish an abandoned job and request its run again. A retry fails beside a waiting job of the same key."""
        again = RunJob.of(job.task_kwargs)
        await self._outbox.defer(await self._outbox.job(replace(again, restarts=again.restarts + 1), job.lock))
        await self._manager.finish_job(job, Status.ABORTED, delete_job=True)
