"""Procrastinate: jobs in PostgreSQL, and a worker that takes them, in one thread with an event loop."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from itertools import count
from typing import Any, TypeVar

import psycopg
import structlog
from procrastinate import App, JobContext
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import DeleteJobCondition, Job, Status
from procrastinate.worker import Worker
from psycopg.conninfo import conninfo_to_dict

from contactsync.errors import DatabaseError, DatabaseUnavailable
from contactsync.fleet.connector import QueueConnector
from contactsync.fleet.identity import NodeIdentity, queue_of
from contactsync.fleet.schema import QUEUE_OPTIONS
from contactsync.model import Trigger
from contactsync.store.pool import RECONNECT_SECONDS
from contactsync.store.record.fleet import BegunJob
from contactsync.store.statements import statement

Value = TypeVar("Value")

log = structlog.get_logger()

_TASK = "run"
_BATCH = 500
_RESULT_SECONDS = 30.0
_POLL_SECONDS = 5.0
"""How often a worker looks for jobs that no notification announced, such as those that a stopped node left."""
_PULSE_SECONDS = 5.0
_FLUSH_SECONDS = 2.0
"""How long the end of the thread waits until the requests of its last jobs are stored."""
_NEVER = 10 * 365 * 86_400.0
"""Workers are not pruned: a draining worker sends no heartbeats, and its jobs would look abandoned."""


@dataclass(frozen=True, slots=True)
class RunJob:
    """A requested run. `asked` is when a user asked for it, by PostgreSQL's clock; `restarts` counts ended nodes.

    `busy` counts attempts in which another process made a run of the definition. `only_by_hand`: no schedule, edit or
    change in the directory needs the run. `to` is the node that another one, which could not make the run, left it to.
    """

    definition_id: int
    trigger: Trigger
    asked: float | None = None
    restarts: int = 0
    busy: int = 0
    only_by_hand: bool = False
    to: str = ""

    def merged(self, earlier: RunJob) -> RunJob:
        """One run for both requests."""
        return replace(
            earlier,
            trigger=self.trigger.merged(earlier.trigger),
            asked=max((each for each in (earlier.asked, self.asked) if each is not None), default=None),
            only_by_hand=earlier.only_by_hand and self.only_by_hand,
        )

    @classmethod
    def of(cls, arguments: dict[str, Any]) -> RunJob:
        """The request, out of a job's arguments; a node of a newer release may have added some."""
        known = {each.name: arguments[each.name] for each in fields(cls) if each.name in arguments}
        return cls(**known | {"trigger": Trigger(arguments["trigger"])})


class _Worker(Worker):
    """A worker that calls `on_stop` when it takes no more jobs, whoever stops it."""

    def __init__(self, *arguments: Any, on_stop: Callable[[], None], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._on_stop = on_stop

    def stop(self) -> None:
        """Take no more jobs; running ones go on."""
        super().stop()  # type: ignore[no-untyped-call]
        self._on_stop()


class Engine:
    """Stores requests as jobs, and calls `run` with the id of a job on one of `workers` threads.

    `lock_of` returns the lock of a definition's jobs: of all nodes together, one job of a lock runs at a time. It
    returns None if this node has not read the definition yet; `find_lock` reads it, on another thread.
    """

    def __init__(
        self,
        conninfo: str,
        identity: NodeIdentity,
        node_id: Callable[[], int],
        run: Callable[[int, RunJob, BegunJob], None],
        lock_of: Callable[[int], str | None],
        find_lock: Callable[[int], str],
        *,
        workers: int,
    ) -> None:
        # Its errors are restarts of the worker, which are logged here.
        logging.getLogger("procrastinate").setLevel(logging.CRITICAL)
        self._name = identity.name
        self._run = run
        self._lock_of = lock_of
        self._find_lock = find_lock
        self._workers = workers
        given = conninfo_to_dict(conninfo).get("options") or ""
        options = {
            "application_name": identity.application_name,
            "options": f"{given} {QUEUE_OPTIONS}".strip(),
        }
        self._connector = QueueConnector(
            node_id,
            conninfo=conninfo,
            min_size=1,
            max_size=4,
            timeout=10,
            reconnect_timeout=RECONNECT_SECONDS,
            kwargs=options,
        )
        self._app = App(connector=self._connector)
        self._app.task(name=_TASK, queue=queue_of(), pass_context=True)(self._carry_out)
        self._guard = threading.Lock()
        self._outbox: dict[int, RunJob] = {}
        self._loop = asyncio.new_event_loop()
        self._wake = asyncio.Event()
        self._fetching = asyncio.Event()
        self._worker: Worker | None = None
        self._former: int | None = None
        self._held: set[int] = set()
        """The jobs whose runs are made here now."""
        self._opened: Future[None] = Future()
        self._closing = False
        self._alive_at = time.monotonic()
        self._thread = threading.Thread(target=self._serve, name="queue", daemon=True)

    def start(self) -> None:
        """Connect; jobs are taken after `fetch_again`. Raises psycopg.Error."""
        self._thread.start()
        self._opened.result()

    def request(self, job: RunJob) -> None:
        """Store a request; does not block. While PostgreSQL is unavailable, it is kept in memory."""
        with self._guard:
            earlier = self._outbox.get(job.definition_id)
            self._outbox[job.definition_id] = job.merged(earlier) if earlier else job
        self._soon(self._wake.set)

    def request_awaited(
        self, job: RunJob, register: Callable[[], None], on_failure: Callable[[BaseException], None]
    ) -> None:
        """Store a request after `register`, which runs on another thread; `on_failure` gets its error."""
        self._call(self._request_awaited(job, register, on_failure))

    def withdraw(self, definition_id: int, *, only_by_hand: bool) -> bool:
        """Remove the waiting job of a definition, with `only_by_hand` if only users need it; returns whether it did.

        Raises DatabaseUnavailable.
        """
        with self._guard:
            kept = self._outbox.get(definition_id)
            unstored = kept is not None and (kept.only_by_hand or not only_by_hand)
            if unstored:
                del self._outbox[definition_id]
        return self._result(self._withdraw(definition_id, only_by_hand=only_by_hand)) or unstored

    def unstored(self, definition_ids: Iterable[int]) -> list[int]:
        """Those of these definitions whose requests are not stored yet."""
        with self._guard:
            return [each for each in definition_ids if each in self._outbox]

    def request_again(self, worker_id: int | None) -> list[int]:
        """Request again the runs of a worker that is gone; returns the ids of its jobs. Raises DatabaseUnavailable."""
        return self._result(self._request_again(worker_id))

    def restart_orphans(self, living: Iterable[int], running: Iterable[int], seconds: float) -> list[int]:
        """The same for jobs that no worker of `living` makes any more, as after an outage of PostgreSQL."""
        return self._result(self._restart_orphans(set(living), set(running), seconds))

    def stop_fetching(self) -> None:
        """Take no more jobs; running ones go on."""
        self._soon(self._stop_worker)

    def restart(self) -> None:
        """Begin anew with another worker, after the running jobs."""
        if worker := self._worker:
            self._soon(worker.stop)

    def fetch_again(self) -> None:
        """Take jobs, again."""
        self._soon(self._fetching.set)

    def flush(self, timeout: float) -> bool:
        """Wait until every request is stored."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            with self._guard:
                if not self._outbox:
                    return True
            time.sleep(0.01)
        return False

    def close(self, timeout: float) -> None:
        """End the thread after its running jobs."""
        self._closing = True
        self._soon(self._stop_worker)
        self._thread.join(timeout)

    @property
    def worker_id(self) -> int | None:
        """The worker of this process; None while there is none."""
        return self._worker.worker_id if self._worker else None

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def silent_seconds(self) -> float:
        """Seconds since the event loop last made progress."""
        return time.monotonic() - self._alive_at

    def _soon(self, callback: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop has ended; a sign of life or a request of a timer may come later
            self._loop.call_soon_threadsafe(callback)

    def _call(self, coroutine: Coroutine[Any, Any, Value]) -> Future[Value]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def _result(self, coroutine: Coroutine[Any, Any, Value]) -> Value:
        try:
            return self._call(coroutine).result(_RESULT_SECONDS)
        except (ConnectorException, psycopg.Error, TimeoutError):
            raise DatabaseUnavailable(
                "The queue of the fleet is not available.", hint="It works again with PostgreSQL."
            ) from None

    async def _request_awaited(
        self, job: RunJob, register: Callable[[], None], on_failure: Callable[[BaseException], None]
    ) -> None:
        try:
            await asyncio.to_thread(register)
        except Exception as error:  # noqa: BLE001 -- it is handed on
            on_failure(error)
        else:
            self.request(job)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(_log_unexpected)
        threads = ThreadPoolExecutor(self._workers + 1, thread_name_prefix="worker")
        self._loop.set_default_executor(threads)
        try:
            self._loop.run_until_complete(self._main())
        except Exception as error:
            if not self._opened.done():
                self._opened.set_exception(error)
            else:
                log.exception("fleet.queue_crashed")
        finally:
            threads.shutdown(wait=False)
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _main(self) -> None:
        async with self._app.open_async():
            self._opened.set_result(None)
            pump = asyncio.create_task(self._pump())
            pulse = asyncio.create_task(self._pulse())
            try:
                while not self._closing:
                    await self._fetching.wait()
                    if not self._closing:
                        await self._fetch()
                await asyncio.to_thread(self.flush, _FLUSH_SECONDS)
            finally:
                pulse.cancel()
                pump.cancel()

    async def _pulse(self) -> None:
        lost: set[int] = set()
        for beat in count():
            self._alive_at = time.monotonic()
            if beat % 2 == 0:
                with suppress(ConnectorException, psycopg.Error):
                    lost = await self._restart_lost(lost)
            await asyncio.sleep(_PULSE_SECONDS)

    async def _restart_lost(self, before: set[int]) -> set[int]:
        """Request again the jobs that PostgreSQL has given to this worker, and whose answer was lost on the way.

        Returns the ids of jobs that may be such; those that were so `before`, too, are.
        """
        worker_id = self.worker_id
        if worker_id is None:
            return set()
        held = self._held | before
        jobs = {job.id: job for job in await self._app.job_manager.list_jobs_async(worker_id=worker_id, status="doing")}
        for job_id in before & jobs.keys() - self._held:
            await self._restart(jobs[job_id])
            log.warning("fleet.runs_restarted", runs=1)
        return {job_id for job_id in jobs if job_id is not None and job_id not in held}

    async def _fetch(self) -> None:
        """Take jobs until the worker stops: on request, or since PostgreSQL is unavailable."""
        try:
            await self._clear_up()
        except (ConnectorException, psycopg.Error):
            await asyncio.sleep(0.5)
            return
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
        if self._fetching.is_set() and not self._closing:
            log.warning("fleet.worker_restarted")
            await asyncio.sleep(0.5)

    async def _clear_up(self) -> None:
        """Request again what the former worker of this process could not finish, since PostgreSQL was unavailable."""
        if self._former is not None:
            await self._request_again(self._former)
            self._former = None

    def _stop_worker(self) -> None:
        if self._closing:
            self._fetching.set()
        else:
            self._fetching.clear()
        if self._worker:
            self._worker.stop()  # type: ignore[no-untyped-call]

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

    async def _pump(self) -> None:
        """Store the requests as they come, many at a time."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            with self._guard:
                batch = list(self._outbox.values())[:_BATCH]
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
            self._wake.set()

    def _forget_stored(self, batch: list[RunJob]) -> None:
        with self._guard:
            for job in batch:
                if self._outbox.get(job.definition_id) is job:
                    del self._outbox[job.definition_id]

    async def _store(self, batch: list[RunJob]) -> None:
        waiting = await self._waiting(job.definition_id for job in batch)
        new = [await self._job(job) for job in batch if job.definition_id not in waiting]
        try:
            if new:
                await self._app.job_manager.batch_defer_jobs_async(new)
        except AlreadyEnqueued:
            # One duplicate fails the whole batch.
            for each in new:
                await self._defer(each)
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
        manager, better = self._app.job_manager, await self._job(merged, lock)
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
            await self._defer(await self._job(job, lock))

    async def _defer(self, job: Job) -> None:
        try:
            await self._app.job_manager.defer_job_async(job)
        except AlreadyEnqueued:
            return

    async def _withdraw(self, definition_id: int, *, only_by_hand: bool) -> bool:
        waiting = await self._waiting([definition_id])
        for job_id, _, job in waiting.values():
            if job.only_by_hand or not only_by_hand:
                return await self._app.job_manager.cancel_job_by_id_async(job_id, delete_job=True)
        return False

    async def _request_again(self, worker_id: int | None) -> list[int]:
        if worker_id is None:
            return []
        jobs = list(await self._app.job_manager.list_jobs_async(worker_id=worker_id, status="doing"))
        for job in jobs:
            await self._restart(job)
        await self._app.job_manager.unregister_worker(worker_id)
        return [job.id for job in jobs if job.id]

    async def _restart_orphans(self, living: set[int], running: set[int], seconds: float) -> list[int]:
        stalled = await self._app.job_manager.get_stalled_jobs(seconds_since_heartbeat=seconds)
        orphans = [job for job in stalled if job.worker_id not in living and job.id not in running]
        for job in orphans:
            await self._restart(job)
        return [job.id for job in orphans if job.id]

    async def _restart(self, job: Job) -> None:
        """Finish an abandoned job and request its run again. A retry fails beside a waiting job of the same key."""
        again = RunJob.of(job.task_kwargs)
        await self._defer(await self._job(replace(again, restarts=again.restarts + 1), job.lock))
        await self._app.job_manager.finish_job(job, Status.ABORTED, delete_job=True)

    async def _job(self, job: RunJob, former: str | None = None) -> Job:
        """A job, with the lock of a `former` one if this node has not read the definition yet."""
        definition_id = job.definition_id
        lock = self._lock_of(definition_id) or former or await asyncio.to_thread(self._find_lock, definition_id)
        return Job(
            queue=queue_of(job.to),
            task_name=_TASK,
            priority=1 if job.asked is not None else 0,
            lock=lock,
            queueing_lock=str(definition_id),
            task_kwargs={
                "definition_id": definition_id,
                "trigger": job.trigger.value,
                "asked": job.asked,
                "restarts": job.restarts,
                "busy": job.busy,
                "only_by_hand": job.only_by_hand,
                **({"to": job.to} if job.to else {}),
            },
        )


def _log_unexpected(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an error of a task of procrastinate that nothing awaits, unless PostgreSQL was not available for it."""
    if not isinstance(context.get("exception"), ConnectorException | psycopg.Error):
        loop.default_exception_handler(context)
