"""The runs that a node makes of the jobs that it takes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import structlog

from contactsync.dispatch.dispatcher import RunRequest
from contactsync.errors import AlreadyRunning, ContactsyncError, DatabaseError
from contactsync.fleet.answers import encode_error, encode_report
from contactsync.fleet.events import FleetEvents
from contactsync.fleet.jobs.job import RunJob
from contactsync.fleet.listening import Listening
from contactsync.fleet.node import Node
from contactsync.fleet.referral import Referrals
from contactsync.model import Outcome
from contactsync.store.pool import Pool, connection_of
from contactsync.store.record.fleet import BegunJob, LocalNeeds, answer_awaiting, tell_listener
from contactsync.store.statements import execute

if TYPE_CHECKING:
    from contactsync.fleet.callbacks import FleetCallbacks

log = structlog.get_logger()

_MOST_RESTARTS = 3
"""How many nodes may end while they make the same run, which may be the reason."""
_MOST_BUSY = 6
_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Again:
    """A run that was not made, to be requested again after so many seconds."""

    job: RunJob
    seconds: float = 0.0


class NodeRuns:
    """Makes runs on the threads that took their jobs, and sends their ends to those who wait.

    `request` stores the request of a run that is not made here, or not yet.
    """

    def __init__(
        self,
        pool: Pool,
        node: Node,
        callbacks: FleetCallbacks,
        referrals: Referrals,
        listening: Listening,
        events: FleetEvents,
        request: Callable[[RunJob], None],
    ) -> None:
        self._pool = pool
        self._node = node
        self._referrals = referrals
        self._listening = listening
        self._events = events
        self._callbacks = callbacks
        self._request = request
        self._guard = threading.Condition()
        self._running: dict[int, int] = {}
        """Definitions by job."""
        self._stopping = threading.Event()

    @property
    def running(self) -> frozenset[int]:
        """The definitions that run on this node."""
        with self._guard:
            return frozenset(self._running.values())

    @property
    def jobs(self) -> frozenset[int]:
        """The jobs whose runs are made."""
        with self._guard:
            return frozenset(self._running)

    @property
    def stopping(self) -> bool:
        """Whether no more runs start here."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Start no more runs."""
        with self._guard:
            self._stopping.set()

    def join(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for the runs; after `stop` none begins."""
        with self._guard:
            return self._guard.wait_for(lambda: not self._running, timeout)

    def make(self, job_id: int, job: RunJob, begun: BegunJob) -> None:
        """Make the run of a job, on a thread of the engine; raises nothing."""
        with self._guard:
            if self._stopping.is_set() or self._node.draining:
                # The job was taken at the same time; `join` may not wait for it.
                self._request(job)
                return
            self._running[job_id] = job.definition_id
        try:
            self._begin(job_id, job, begun)
        except ContactsyncError as error:
            log.warning("run.not_started", definition=job.definition_id, error_code=error.code, error=str(error))
            if isinstance(error, DatabaseError):
                self._request_again(_Again(job, _RETRY_SECONDS))
        except Exception:
            log.exception("run.crashed", definition=job.definition_id)
        finally:
            with self._guard:
                del self._running[job_id]
                self._guard.notify_all()

    def _begin(self, job_id: int, job: RunJob, begun: BegunJob) -> None:
        self._events.note_watchers(begun.watchers)
        end = self._end(job, begun.needs, begun.node_id)
        if begun.awaited:
            with connection_of(self._pool) as connection:
                if isinstance(end, _Again):
                    execute(connection, "release_awaiting", job_ids=[job_id])
                else:
                    answer_awaiting(connection, job.definition_id, job_id, end)
        if isinstance(end, _Again):  # after the release: the next run may begin at once
            self._request_again(end)

    def _request_again(self, again: _Again) -> None:
        if again.seconds and not self._stopping.is_set():
            threading.Thread(target=self._request_later, args=[again], name="later", daemon=True).start()
        else:
            self._request(again.job)

    def _request_later(self, again: _Again) -> None:
        self._stopping.wait(again.seconds)  # a node that stops leaves the run to others
        self._request(again.job)

    def _end(self, job: RunJob, needs: LocalNeeds, node_id: int) -> dict[str, Any] | _Again:
        """The end of a run, or its request to another node or for later."""
        referral = self._referrals.refer(job, needs)
        if referral.to:
            return _Again(replace(job, to=referral.to))
        return self._carry_out(job, referral.remark, node_id)

    def _carry_out(self, job: RunJob, remark: str, node_id: int) -> dict[str, Any] | _Again:
        """Make a run; returns its end, or its request for later."""
        if job.restarts > _MOST_RESTARTS:
            log.error("fleet.given_up", definition=job.definition_id, restarts=job.restarts)
            return encode_error(
                ContactsyncError(
                    f"This run was not made again: {job.restarts} nodes ended while they made it.",
                    hint="See the logs of the nodes.",
                )
            )
        asked_at = None if job.asked is None else self._node.monotonic_time(job.asked)
        self._tell_listener(job.definition_id, None)
        try:
            request = RunRequest(job.definition_id, job.trigger, asked_at, remark=remark, node_id=node_id)
            report = self._callbacks.work(request)
        except Exception as error:  # noqa: BLE001 -- logged by `work`, and sent to those who wait
            answer = encode_error(error)
            if isinstance(error, AlreadyRunning) and job.busy < _MOST_BUSY:
                # A command makes a run of it, or a job with the lock of the server before an edit; or others have ended
                # this node.
                return _Again(replace(job, busy=job.busy + 1), 2**job.busy)
        else:
            if self._stopping.is_set() and report.outcome is Outcome.CANCELLED:
                return _Again(job)  # for another node
            answer = encode_report(report)
        self._tell_listener(job.definition_id, answer)
        return answer

    def _tell_listener(self, definition_id: int, body: dict[str, Any] | None) -> None:
        """Send the start (None) or the end of a run to the node that listens for it, unless that is this one."""
        listener = self._callbacks.listener_of(definition_id)
        if listener is None or listener in self._listening.held:
            return
        with suppress(DatabaseError), connection_of(self._pool) as connection:
            tell_listener(connection, listener, from_node=self._node.node_id, definition_id=definition_id, body=body)
