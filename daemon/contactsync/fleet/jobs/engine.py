"""The thread of the queue, with the event loop of procrastinate."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from typing import Any, TypeVar

import psycopg
import structlog
from procrastinate import App
from procrastinate.exceptions import ConnectorException
from psycopg.conninfo import conninfo_to_dict

from contactsync.errors import DatabaseUnavailable
from contactsync.fleet.identity import NodeIdentity
from contactsync.fleet.jobs.abandoned import Abandoned
from contactsync.fleet.jobs.connector import QueueConnector
from contactsync.fleet.jobs.job import RunJob
from contactsync.fleet.jobs.outbox import Outbox
from contactsync.fleet.jobs.schema import QUEUE_OPTIONS
from contactsync.fleet.jobs.slots import ServerSlots
from contactsync.fleet.jobs.worker import JobWorker
from contactsync.store.pool import RECONNECT_SECONDS
from contactsync.store.record.fleet import BegunJob

Value = TypeVar("Value")

log = structlog.get_logger()

_RESULT_SECONDS = 30.0
_PULSE_SECONDS = 5.0
_PAUSE_SECONDS = 0.5
_FLUSH_SECONDS = 2.0
"""How long the end of the thread waits until the requests of its last jobs are stored."""


class Engine:
    """Stores requests as jobs, and calls `run` with the id of a job on one of `workers` threads.

    Of all nodes together, one job of a lock runs at a time. `node_id` is that of this node at the moment.
    """

    def __init__(
        self,
        conninfo: str,
        identity: NodeIdentity,
        node_id: Callable[[], int],
        run: Callable[[int, RunJob, BegunJob], None],
        slots: ServerSlots,
        *,
        workers: int,
    ) -> None:
        # Its errors are restarts of the worker, which are logged here.
        logging.getLogger("procrastinate").setLevel(logging.CRITICAL)
        given = conninfo_to_dict(conninfo).get("options") or ""
        options = {
            "application_name": identity.application_name,
            "options": f"{given} {QUEUE_OPTIONS}".strip(),
        }
        connector = QueueConnector(
            node_id,
            conninfo=conninfo,
            min_size=1,
            max_size=2,
            timeout=10,
            reconnect_timeout=RECONNECT_SECONDS,
            kwargs=options,
        )
        self._app = App(connector=connector)
        self._outbox = Outbox(self._app, connector, slots, lambda: self._soon(self._outbox.wake.set))
        self._abandoned = Abandoned(self._app, self._outbox)
        self._worker = JobWorker(self._app, connector, self._abandoned, run, name=identity.name, workers=workers)
        self._workers = workers
        self._loop = asyncio.new_event_loop()
        self._fetching = asyncio.Event()
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
        self._outbox.request(job)

    def request_awaited(
        self, job: RunJob, register: Callable[[], None], on_failure: Callable[[BaseException], None]
    ) -> None:
        """Store a request after `register`, which runs on another thread; `on_failure` gets its error."""
        self._call(self._request_awaited(job, register, on_failure))

    def withdraw(self, definition_id: int, *, only_by_hand: bool) -> bool:
        """Remove the waiting job of a definition, with `only_by_hand` if only users need it; returns whether it did.

        Raises DatabaseUnavailable.
        """
        unstored = self._outbox.forget(definition_id, only_by_hand=only_by_hand)
        return self._result(self._outbox.withdraw(definition_id, only_by_hand=only_by_hand)) or unstored

    def unstored(self, definition_ids: Iterable[int]) -> list[int]:
        """Those of these definitions whose requests are not stored yet."""
        return self._outbox.unstored(definition_ids)

    def request_again(self, worker_id: int | None) -> list[int]:
        """Request again the runs of a worker that is gone; returns the ids of its jobs. Raises DatabaseUnavailable."""
        return self._result(self._abandoned.restart_of(worker_id))

    def restart_orphans(self, living: Iterable[int], running: Iterable[int], seconds: float) -> list[int]:
        """The same for jobs that no worker of `living` makes any more, as after an outage of PostgreSQL."""
        return self._result(self._abandoned.restart_orphans(set(living), set(running), seconds))

    def stop_fetching(self) -> None:
        """Take no more jobs; running ones go on."""
        self._soon(self._stop_worker)

    def restart(self) -> None:
        """Begin anew with another worker, after the running jobs."""
        self._soon(self._worker.stop)

    def fetch_again(self) -> None:
        """Take jobs, again."""
        self._soon(self._fetching.set)

    def flush(self, timeout: float) -> bool:
        """Wait until every request is stored."""
        return self._outbox.flush(timeout)

    def close(self, timeout: float) -> None:
        """End the thread after its running jobs."""
        self._closing = True
        self._soon(self._stop_worker)
        self._thread.join(timeout)

    @property
    def worker_id(self) -> int | None:
        """The worker of this process; None while there is none."""
        return self._worker.id

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
            pump = asyncio.create_task(self._outbox.pump())
            pulse = asyncio.create_task(self._pulse())
            try:
                while await self._may_fetch():
                    if await self._worker.fetch() and self._fetching.is_set() and not self._closing:
                        log.warning("fleet.worker_restarted")
                        await asyncio.sleep(_PAUSE_SECONDS)
                await asyncio.to_thread(self.flush, _FLUSH_SECONDS)
            finally:
                pulse.cancel()
                pump.cancel()

    async def _may_fetch(self) -> bool:
        await self._fetching.wait()
        return not self._closing

    async def _pulse(self) -> None:
        lost: set[int] = set()
        for beat in count():
            self._alive_at = time.monotonic()
            if beat % 2 == 0:
                with suppress(ConnectorException, psycopg.Error):
                    lost = await self._worker.restart_lost(lost)
            await asyncio.sleep(_PULSE_SECONDS)

    def _stop_worker(self) -> None:
        if self._closing:
            self._fetching.set()
        else:
            self._fetching.clear()
        self._worker.stop()


def _log_unexpected(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an error of a task of procrastinate that nothing awaits, unless PostgreSQL was not available for it."""
    if not isinstance(context.get("exception"), ConnectorException | psycopg.Error):
        loop.default_exception_handler(context)
