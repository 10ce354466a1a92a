"""The statements by which a node takes jobs and notes their ends, in place of two of procrastinate's."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import psycopg
from procrastinate import PsycopgConnector, sql
from procrastinate.exceptions import ConnectorException, UniqueViolation
from procrastinate.jobs import Job
from psycopg_pool import AsyncConnectionPool

from contactsync.store.pool import is_fresh
from contactsync.store.statements import statement

if TYPE_CHECKING:
    from procrastinate.connector import Notify

_WAIT_SECONDS = 60.0


class _Connection(psycopg.AsyncConnection[Any]):
    """A connection that does not wake up ten times a second while it waits, which only an interrupt would need."""

    answered_at = float("-inf")
    """When the server has answered last, on the monotonic clock."""

    async def wait(self, gen: Any, interval: float = _WAIT_SECONDS, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        answer = await super().wait(gen, interval, timeout)
        self.answered_at = time.monotonic()
        return answer


class QueueConnector(PsycopgConnector):
    """Notes the end of a job and takes the next one in one statement, so that no lock waits for a notification.

    The time of its statement does not depend on the number of waiting jobs. `on_late` is called when a job was taken
    after `stop_taking`, which then returns it.
    """

    _on_notification: Notify | None = None

    def __init__(self, on_late: Callable[[], None], **options: Any) -> None:
        super().__init__(configure=_without_transactions, connection_class=_Connection, pool_factory=_pool, **options)
        self._on_late = on_late
        self._taken: list[dict[str, Any]] = []
        """Jobs that were taken at the end of others, until the worker fetches them."""
        self._taking: dict[str, Any] | None = None
        """The worker that takes jobs, and its queues."""
        self._given: dict[int, str] = {}
        """The locks of the worker's jobs."""
        self._look = True
        """Whether there may be jobs to take. The worker forgets notifications that come while it fetches."""
        self._continues = False
        """Whether the worker fetches only because it has just got a job."""

    def stop_taking(self) -> list[Job]:
        """Take no job at the end of another one until the worker fetches again; returns those that it will not make."""
        jobs, self._taken, self._taking, self._look = self._taken, [], None, True
        return [Job.from_row(job) for job in jobs]

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Call `on_notification` also when a job was taken at the end of another one."""
        self._on_notification = on_notification
        await super().listen_notify(self._notify, channels)

    async def _notify(self, *, channel: str, payload: str) -> None:
        self._look = True
        if self._on_notification:
            await self._on_notification(channel=channel, payload=payload)

    async def execute_query_async(self, query: Any, **arguments: Any) -> None:
        """Execute a statement, or more than that at the end of a job."""
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
            job = await self._fetch(arguments)
        except ConnectorException:  # which ends the worker
            self._taking = None
            self._on_late()
            raise
        if job["id"] is not None:
            self._given[job["id"]] = job["lock"]
        return job

    async def _fetch(self, taking: dict[str, Any]) -> dict[str, Any]:
        job: dict[str, Any] = {"id": None}
        look, self._continues = self._look or not self._continues, True
        while look and not self._taken and job["id"] is None:
            self._look = False
            try:
                job = await super().execute_query_one_async(statement("take_job"), job_id=None, status=None, **taking)
            except UniqueViolation:  # another node has just taken a job of this lock
                self._look = True
            look = self._look
        if job["id"] is not None:
            self._look = True
        elif self._taken:
            job = self._taken.pop(0)
        else:
            self._continues = False
        return job

    async def _finish(self, query: Any, arguments: dict[str, Any]) -> None:
        """Note the end of a job, however long PostgreSQL is away: a job that is not finished blocks its lock."""
        lock = self._given.pop(arguments["job_id"], None)
        taking = self._taking if lock else None
        job: dict[str, Any] = {"id": None}
        while True:
            try:
                if taking:
                    finished = {"job_id": arguments["job_id"], "status": arguments["status"]}
                    job = await super().execute_query_one_async(statement("take_job"), **finished, **taking)
                else:
                    await super().execute_query_async(query, **arguments)
            except UniqueViolation:
                taking = None
            except ConnectorException as error:
                if not isinstance(error.__cause__, psycopg.OperationalError | psycopg.InterfaceError):
                    raise
                taking = None
                await asyncio.sleep(0.5)
            else:
                break
        if job["id"] is not None:
            self._taken.append(job)
            self._look |= job["lock"] != lock
        self._look |= not taking
        if self._taking is None:
            self._on_late()
        elif self._on_notification and (self._taken or self._look):
            payload = json.dumps({"type": "job_inserted", "job_id": 0})
            await self._on_notification(channel="", payload=payload)


def _pool(**options: Any) -> AsyncConnectionPool[Any]:
    """A pool that seldom asks the server whether a connection is still there: each statement would cost two."""
    return AsyncConnectionPool(**options | {"check": _check})


async def _check(connection: _Connection) -> None:
    if not is_fresh(connection, connection.answered_at):
        await AsyncConnectionPool.check_connection(connection)


async def _without_transactions(connection: psycopg.AsyncConnection[Any]) -> None:
    """Most statements are alone; BEGIN and COMMIT would cost each of them two more messages."""
    await connection.set_autocommit(True)
