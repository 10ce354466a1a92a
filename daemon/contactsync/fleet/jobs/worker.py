"""The worker of a node: procrastinate's, whose threads take further jobs themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import structlog
from procrastinate import App, JobContext
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import DeleteJobCondition
from procrastinate.worker import Worker

from contactsync.fleet.identity import queue_of
from contactsync.fleet.jobs.abandoned import Abandoned
from contactsync.fleet.jobs.connector import QueueConnector
from contactsync.fleet.jobs.job import RunJob
from contactsync.fleet.jobs.outbox import TASK
from contactsync.store.record.fleet import BegunJob

log = structlog.get_logger()

_POLL_SECONDS = 5.0
"""How often a worker looks for jobs that no notification announced, such as those that a stopped node left."""
_NEVER = 10 * 365 * 86_400.0
"""Workers are not pruned: a draining worker sends no heartbeats, and its jobs would look abandoned."""


class _Worker(Worker):
    """A worker that calls `on_stop` when it takes no more jobs, whoever stops it."""

    def __init__(self, *arguments: Any, on_stop: Callable[[], None], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._on_stop = on_stop

    def stop(self) -> None:
        """Take no more jobs; running ones go on."""
        super().stop()  # type: ignore[no-untyped-call]
        self._on_stop()


class JobWorker:
    """Takes jobs and calls `run` for each on one of `workers` threads; `name` is that of the node."""

    def __init__(
        self,
        app: App,
        connector: QueueConnector,
        abandoned: Abandoned,
        run: Callable[[int, RunJob, BegunJob], None],
        *,
        name: str,
        workers: int,
    ) -> None:
        self._app = app
        self._connector = connector
        self._abandoned = abandoned
        self._run = run
        self._name = name
        self._workers = workers
        self._worker: _Worker | None = None
        self._former: int | None = None
        self._held: set[int] = set()
        """The jobs whose runs are made here now."""
        app.task(name=TASK, queue=queue_of(), pass_context=True)(self._carry_out)

    @property
    def id(self) -> int | None:
        """The number of the worker in the queue; None while there is none."""
        return self._worker.worker_id if self._worker else None

    def stop(self) -> None:
        """Take no more jobs; running ones go on."""
        if self._worker:
            self._worker.stop()

    async def fetch(self) -> bool:
        """Take jobs until `stop`, or until PostgreSQL is unavailable. False if it is before the first one."""
        try:
            await self._clear_up()
        except (ConnectorException, psycopg.Error):
            await asyncio.sleep(0.5)
            return False
        self._worker = _Worker(
            self._app,
            queues=[queue_of(), queue_of(self._name)],
            concurrency=self._workers,
            fetch_job_polling_interval=_POLL_SECONDS,
            abort_job_polling_interval=60.0,
            delete_jobs=DeleteJobCondition.ALWAYS,
            install_signal_handlers=False,
            update_heartbeat_interval=10.0,
            stalled_worker_timeout=_NEVER,
            on_stop=self._connector.stop_taking,
        )
        running = asyncio.ensure_future(self._worker.run())  # type: ignore[no-untyped-call]
        try:
            while not running.done():
                await asyncio.wait([running], timeout=None if self._worker.worker_id else 1)
                self._former = self._worker.worker_id or self._former
            running.result()
        except (ConnectorException, psycopg.Error):
            pass
        finally:
            self._worker = None
            self._connector.stop_taking()
        return True

    async def _clear_up(self) -> None:
        """Request again what the former worker of this process could not finish, since PostgreSQL was unavailable."""
        if self._former is not None:
            await self._abandoned.restart_of(self._former)
            self._former = None

    async def restart_lost(self, before: set[int]) -> set[int]:
        """Request again the jobs that PostgreSQL has given to this worker, and whose answer was lost on the way.

        Returns the ids of jobs that may be such; those that were so `before`, too, are.
        """
        worker_id = self.id
        if worker_id is None:
            return set()
        held = self._held | before
        jobs = {job.id: job for job in await self._abandoned.made_by(worker_id)}
        for job_id in before & jobs.keys() - self._held:
            await self._abandoned.restart(jobs[job_id])
            log.warning("fleet.runs_restarted", runs=1)
        return {job_id for job_id in jobs if job_id is not None and job_id not in held}

    def _carry_out(self, context: JobContext, /, **_: Any) -> None:
        """Make the runs of this job and of others, as long as there are some for this thread."""
        first, job = context.job.id or 0, context.job
        while job.id:
            self._held.add(job.id)
            try:
                self._run(job.id, RunJob.of(job.task_kwargs), self._connector.begin(job.id))
            finally:
                self._held.discard(job.id)
            following = self._connector.take_next(first, job)
            if following is None:
                break
            job = following
