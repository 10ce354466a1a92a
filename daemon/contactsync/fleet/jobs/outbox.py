"""The requests of a node, kept in memory until they are stored as jobs."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable

import psycopg
import structlog
from procrastinate import App
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import Job

from contactsync.errors import DatabaseError
from contactsync.fleet.identity import queue_of
from contactsync.fleet.jobs.connector import QueueConnector
from contactsync.fleet.jobs.job import RunJob
from contactsync.fleet.jobs.slots import ServerSlots
from contactsync.store.statements import statement

log = structlog.get_logger()

TASK = "run"
_BATCH = 500


class Outbox:
    """Stores requests as jobs; requests of one definition are one job. `on_request` is called after each request."""

    def __init__(
        self,
        app: App,
        connector: QueueConnector,
        slots: ServerSlots,
        on_request: Callable[[], None],
    ) -> None:
        self._app = app
        self._connector = connector
        self._slots = slots
        self._on_request = on_request
        self._guard = threading.Lock()
        self._unstored: dict[int, RunJob] = {}
        self.wake = asyncio.Event()

    def request(self, job: RunJob) -> None:
        """Store a request; does not block. While PostgreSQL is unavailable, it is kept in memory."""
        with self._guard:
            earlier = self._unstored.get(job.definition_id)
            self._unstored[job.definition_id] = job.merged(earlier) if earlier else job
        self._on_request()

    def forget(self, definition_id: int, *, only_by_hand: bool) -> bool:
        """Withdraw a request that is not stored, with `only_by_hand` if only users need it; whether there was one."""
        with self._guard:
            kept = self._unstored.get(definition_id)
            unstored = kept is not None and (kept.only_by_hand or not only_by_hand)
            if unstored:
                del self._unstored[definition_id]
        return unstored

    def unstored(self, definition_ids: Iterable[int]) -> list[int]:
        """Those of these definitions whose requests are not stored yet."""
        with self._guard:
            return [each for each in definition_ids if each in self._unstored]

    def flush(self, timeout: float) -> bool:
        """Wait until every request is stored."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            with self._guard:
                if not self._unstored:
                    return True
            time.sleep(0.01)
        return False

    async def pump(self) -> None:
        """Store the requests as they come, many at a time."""
        while True:
            await self.wake.wait()
            self.wake.clear()
            with self._guard:
                batch = list(self._unstored.values())[:_BATCH]
            if not batch:
                continue
            try:
                await self._store(batch)
            except (ConnectorException, psycopg.Error, DatabaseError):
                await asyncio.sleep(0.5)
            except Exception:
                log.exception("fleet.queue_crashed")
                await asyncio.sleep(5)
            else:
                self._forget_stored(batch)
            self.wake.set()

    def _forget_stored(self, batch: list[RunJob]) -> None:
        with self._guard:
            for job in batch:
                if self._unstored.get(job.definition_id) is job:
                    del self._unstored[job.definition_id]

    async def _store(self, batch: list[RunJob]) -> None:
        waiting = await self._waiting(job.definition_id for job in batch)
        new = [await self.job(job) for job in batch if job.definition_id not in waiting]
        try:
            if new:
                await self._app.job_manager.batch_defer_jobs_async(new)
        except AlreadyEnqueued:
            # One duplicate fails the whole batch.
            for each in new:
                await self.defer(each)
        for job in batch:
            if job.definition_id in waiting:
                await self._strengthen(*waiting[job.definition_id], job)

    async def _waiting(self, definition_ids: Iterable[int]) -> dict[int, tuple[int, str, RunJob]]:
        locks = [str(definition_id) for definition_id in definition_ids]
        async with self._connector.pool.connection() as connection:
            cursor = await connection.execute(statement("jobs_of"), {"locks": locks})
            rows = await cursor.fetchall()
        return {
            int(key): (job_id, lock, RunJob.of(args)) for job_id, key, status, args, lock in rows if status == "todo"
        }

    async def _strengthen(self, job_id: int, lock: str, earlier: RunJob, job: RunJob) -> None:
        """Let a waiting job take the place of the new request, if it is better, and the lock of an edited server."""
        merged = job.merged(earlier)
        manager, better = self._app.job_manager, await self.job(merged, lock)
        if merged == earlier and better.lock == lock:
            return
        try:
            async with self._connector.pool.connection() as connection, connection.transaction():
                cancelled = await manager.cancel_job_by_id_async(job_id, delete_job=True, connection=connection)
                if cancelled:
                    await manager.defer_job_async(better, connection=connection)
        except AlreadyEnqueued:  # another node did the same
            return
        if not cancelled:  # it has started meanwhile
            await self.defer(await self.job(job, lock))

    async def defer(self, job: Job) -> None:
        """Store a job, unless the definition has another one that waits. Raises ConnectorException."""
        try:
            await self._app.job_manager.defer_job_async(job)
        except AlreadyEnqueued:
            return

    async def withdraw(self, definition_id: int, *, only_by_hand: bool) -> bool:
        """Remove the waiting job of a definition, with `only_by_hand` if only users need it; whether there was one."""
        waiting = await self._waiting([definition_id])
        for job_id, _, job in waiting.values():
            if job.only_by_hand or not only_by_hand:
                return await self._app.job_manager.cancel_job_by_id_async(job_id, delete_job=True)
        return False

    async def job(self, job: RunJob, former: str | None = None) -> Job:
        """A job, with the lock of a `former` one if this node has not read the definition yet."""
        definition_id = job.definition_id
        lock = (
            self._slots.lock_of(definition_id)
            or former
            or await asyncio.to_thread(self._slots.find_lock, definition_id)
        )
        return Job(
            queue=queue_of(job.to),
            task_name=TASK,
            priority=1 if job.asked is not None else 0,
            lock=lock,
            queueing_lock=str(definition_id),
            task_kwargs=job.arguments(),
        )
