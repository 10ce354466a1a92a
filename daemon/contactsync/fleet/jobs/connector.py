"""The statements by which a node takes jobs and notes their ends, in place of two of procrastinate's."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg
from procrastinate import PsycopgConnector, sql
from procrastinate.connector import LISTEN_TIMEOUT
from procrastinate.exceptions import ConnectorException, UniqueViolation
from procrastinate.jobs import Job, Status
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout

from contactsync.fleet.identity import queue_of
from contactsync.store.pool import is_fresh
from contactsync.store.record.fleet import BegunJob
from contactsync.store.statements import statement

if TYPE_CHECKING:
    from procrastinate.connector import Notify

_WAIT_SECONDS = 60.0
_RELISTEN_SECONDS = 0.2
_THREAD_CONNECTIONS = 4
"""For all threads that make runs: each needs one for a millisecond."""


class _Connection(psycopg.AsyncConnection[Any]):
    """A connection that does not wake up ten times a second while it waits, which only an interrupt would need."""

    answered_at = float("-inf")
    """When the server has answered last, on the monotonic clock."""

    async def wait(self, gen: Any, interval: float = _WAIT_SECONDS, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        answer = await super().wait(gen, interval, timeout)
        self.answered_at = time.monotonic()
        return answer


class QueueConnector(PsycopgConnector):
    """Takes jobs by a statement of its own, whose time does not depend on the number of waiting jobs.

    A thread that has made a run ends the job and takes the next one itself, in one statement. Through the event loop
    and procrastinate's worker this would take as long as the run. For the worker, all these jobs are the first one.
    """

    _on_notification: Notify | None = None

    def __init__(self, node_id: Callable[[], int], **options: Any) -> None:
        super().__init__(configure=_without_transactions, connection_class=_Connection, pool_factory=_pool, **options)
        self._threads = ConnectionPool(
            open=False,
            **options
            | {
                "max_size": _THREAD_CONNECTIONS,
                "kwargs": {**options["kwargs"], "autocommit": True, "row_factory": dict_row},
            },
        )
        self._node_id = node_id
        self._loop: asyncio.AbstractEventLoop | None = None
        self._taking: dict[str, Any] | None = None
        """The worker that takes jobs, and its queues."""
        self._begun: dict[int, BegunJob] = {}
        """What came with the jobs that no thread has begun."""
        self._last: dict[int, int | None] = {}
        """By the first job of a thread the last one, which is not ended yet; None if it is."""
        self._look = True
        """Whether there may be jobs to take. The worker forgets notifications that come while it fetches."""
        self._continues = False
        """Whether the worker fetches only because it has just got a job."""
        self._told: asyncio.Future[None] | None = None

    async def open_async(self, pool: Any = None) -> None:
        """Connect. Raises ConnectorException."""
        self._loop = asyncio.get_running_loop()
        await super().open_async(pool)
        self._threads.open()

    async def close_async(self) -> None:
        """Close all connections."""
        await asyncio.to_thread(self._threads.close)
        await super().close_async()

    def stop_taking(self) -> None:
        """Take no job at the end of another one until the worker fetches again."""
        self._taking, self._look = None, True

    def begin(self, job_id: int) -> BegunJob:
        """What came with a job; once."""
        return self._begun.pop(job_id)

    def take_next(self, first_id: int, job: Job) -> Job | None:
        """End a job and take the next one, on the thread that has made its run and began with the job `first_id`.

        None: the thread has no more jobs.
        """
        taking, self._last[first_id] = self._taking, job.id
        if taking is None:
            return None
        values = {"job_id": job.id, "status": Status.SUCCEEDED.value, "node_id": self._node_id(), **taking}
        try:
            with self._threads.connection() as connection:
                row = connection.execute(statement("take_job"), values).fetchone()
        except (psycopg.Error, PoolTimeout):  # the worker ends the job
            return None
        self._last[first_id] = None
        if row is None or row["id"] is None:
            return None
        if row["lock"] != job.lock and self._loop:  # whose next job another thread may take
            self._loop.call_soon_threadsafe(self._look_again)
        self._begun[row["id"]] = BegunJob.of(row)
        return Job.from_row(row)

    def _look_again(self) -> None:
        self._look = True
        if self._on_notification:
            payload = json.dumps({"type": "job_inserted", "job_id": 0})
            self._told = asyncio.ensure_future(self._on_notification(channel="", payload=payload))

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Call `on_notification` also when a lock has become free. Connects again until it is cancelled.

        procrastinate's worker does not notice that it listens no more: it would find each job by its next poll.
        """
        self._on_notification = on_notification
        while True:
            with suppress(ConnectorException):
                await super().listen_notify(self._notify, channels)
            await asyncio.sleep(_RELISTEN_SECONDS)

    async def _loop_notify(self, on_notification: Notify, connection: Any, timeout: float = LISTEN_TIMEOUT) -> None:  # noqa: ASYNC109
        """Look for jobs that were announced while nothing listened, such as during a restart of PostgreSQL."""
        await self.pool.check()  # one by one, the pool would wait a second or two before each further dead connection
        self._look_again()
        await super()._loop_notify(on_notification, connection, timeout)

    async def _notify(self, *, channel: str, payload: str) -> None:
        self._look = True
        if self._on_notification:
            await self._on_notification(channel=channel, payload=payload)

    async def execute_query_async(self, query: Any, **arguments: Any) -> None:
        """Execute a statement; the end of a job is that of the last one of its thread."""
        if query == sql.queries["finish_job"]:
            await self._finish(query, arguments)
        else:
            await super().execute_query_async(query, **arguments)

    async def execute_query_one_async(self, query: Any, **arguments: Any) -> dict[str, Any]:
        """The row of a statement, or a job for the worker."""
        if query != sql.queries["fetch_job"]:
            return dict(await super().execute_query_one_async(query, **arguments))
        self._taking = arguments
        try:
            return await self._fetch(arguments)
        except ConnectorException:  # which ends the worker
            self._taking = None
            raise

    async def _fetch(self, taking: dict[str, Any]) -> dict[str, Any]:
        job: dict[str, Any] = {"id": None}
        values = {"job_id": None, "status": None, "node_id": self._node_id(), **taking}
        look, self._continues = self._look or not self._continues, True
        while look and job["id"] is None:
            self._look = False
            try:
                job = await super().execute_query_one_async(statement("take_job"), **values)
            except UniqueViolation:  # another node has just taken a job of this lock
                self._look = True
            look = self._look
        if job["id"] is not None:
            self._look = True
            self._begun[job["id"]] = BegunJob.of(job)
        else:
            self._continues = False
        return job

    async def _finish(self, query: Any, arguments: dict[str, Any]) -> None:
        """Note the end of a job, however long PostgreSQL is away: a job that is not finished blocks its lock."""
        job_id = self._last.pop(arguments["job_id"], arguments["job_id"])
        while job_id is not None:
            try:
                await super().execute_query_async(query, **arguments | {"job_id": job_id})
            except ConnectorException as error:
                if not isinstance(error.__cause__, psycopg.OperationalError | psycopg.InterfaceError):
                    raise
                await asyncio.sleep(0.5)
            else:
                await self._announce()
                break

    async def _announce(self) -> None:
        """Let this node look for the next job of a lock that has become free, or others if it takes none."""
        self._look_again()
        if self._taking is None:
            with suppress(ConnectorException):
                await super().execute_query_async(statement("announce_jobs"), queue=queue_of())


def _pool(**options: Any) -> AsyncConnectionPool[Any]:
    """A pool that seldom asks the server whether a connection is still there: each statement would cost two."""
    return AsyncConnectionPool(**options | {"check": _check})


async def _check(connection: _Connection) -> None:
    if not is_fresh(connection, connection.answered_at):
        await AsyncConnectionPool.check_connection(connection)


async def _without_transactions(connection: psycopg.AsyncConnection[Any]) -> None:
    """Most statements are alone; BEGIN and COMMIT would cost each of them two more messages."""
    await connection.set_autocommit(True)
