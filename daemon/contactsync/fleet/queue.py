"""The queue of runs that several daemons share, behind the interface of the dispatcher."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import structlog

from contactsync.dispatch.dispatcher import RunRequest
from contactsync.errors import AlreadyRunning, ContactsyncError, ControlError, DatabaseError, DatabaseUnavailable
from contactsync.fleet.answers import WITHDRAWN, decode_report, encode_error, encode_report
from contactsync.fleet.events import FleetEvents
from contactsync.fleet.heirs import restart_orphans, settle
from contactsync.fleet.identity import DEAD_SECONDS, NodeIdentity, queue_of
from contactsync.fleet.listening import Listening, ListeningCallbacks
from contactsync.fleet.live_states import LiveStates
from contactsync.fleet.node import Node, NodeCallbacks
from contactsync.fleet.referral import Referrals
from contactsync.model import Outcome, RunReport, Trigger
from contactsync.store.pool import Pool, connection_of
from contactsync.store.record.fleet import (
    BegunJob,
    DeadNode,
    LocalNeeds,
    Message,
    answer_awaiting,
    await_run,
    runs_elsewhere,
    send_message,
    tell_listener,
)
from contactsync.store.statements import execute

if TYPE_CHECKING:
    from contactsync.fleet.engine import RunJob

log = structlog.get_logger()

ANSWER_SECONDS = 5.0
"""How long another node may take to answer."""
_MOST_RESTARTS = 3
"""How many nodes may end while they make the same run, which may be the reason."""
_LONGEST_SERVER = 150
_ORPHAN_SECONDS = 5.0
_ORPHAN_AGE_SECONDS = 30.0
"""Three heartbeats of a worker."""
_MOST_BUSY = 6
_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetCallbacks:
    """What the queue needs of the daemon.

    `server_of` returns the directory server of a definition, empty if it is not read yet. `find_server` reads it.
    `cancel` cancels the run with this id, and returns the ids of cancelled runs; `cancel_all` cancels all current ones.
    `listener_of` returns the key of the listener of a live definition, None for others. The node that has this listener
    calls `on_run` with the report or the error of each run, and with None when the run starts. `missing` says what this
    machine lacks of what a definition needs; None: nothing. `on_event` gets the events of other nodes.
    """

    work: Callable[[RunRequest], RunReport]
    server_of: Callable[[int], str]
    find_server: Callable[[int], str]
    cancel: Callable[[int], list[int]]
    cancel_all: Callable[[], None]
    listener_of: Callable[[int], str | None]
    on_run: Callable[[int, RunReport | ContactsyncError | None], None]
    listening: Callable[[], int]
    missing: Callable[[LocalNeeds], str | None]
    live: ListeningCallbacks
    on_event: Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class _Again:
    """A run that was not made, to be requested again after so many seconds."""

    job: RunJob
    seconds: float = 0.0


class FleetQueue:
    """Stores requests in PostgreSQL, where any node takes them; see RunQueue."""

    def __init__(
        self,
        conninfo: str,
        pool: Pool,
        identity: NodeIdentity,
        key_id: str,
        callbacks: FleetCallbacks,
        *,
        workers: int,
        per_server: int,
    ) -> None:
        from contactsync.fleet.engine import Engine, RunJob  # noqa: PLC0415 -- only a fleet needs procrastinate

        self._job = RunJob
        self._pool = pool
        self._callbacks = callbacks
        self._per_server = per_server
        self._guard = threading.Condition()
        self._running: dict[int, int] = {}
        """Definitions by job."""
        self._awaiting: dict[int, Future[RunReport]] = {}
        """Futures by the message that awaits the run."""
        self._replies: dict[int, Future[dict[str, Any]]] = {}
        self._waiting = 0
        self._counted_at = 0.0
        self._swept_at = time.monotonic()
        self._stopping = threading.Event()
        self._engine = Engine(
            conninfo, identity, lambda: self.node.node_id, self._make, self._lock_of, self._find_lock, workers=workers
        )
        self.node = Node(
            conninfo,
            identity,
            key_id,
            NodeCallbacks(
                on_message=self._receive,
                on_joined=self._begin_anew,
                on_draining=self._drain,
                on_isolated=callbacks.cancel_all,
                on_sharing=self._look_at_listeners,
                settle=self._settle,
                worker_id=lambda: self._engine.worker_id,
                running=lambda: len(self._running),
                listening=callbacks.listening,
                expects_messages=lambda: bool(self._awaiting or self._replies),
            ),
        )
        self.referrals = Referrals(pool, self.node, callbacks.missing)
        self.listening = Listening(pool, self.node, callbacks.live, self.referrals)
        self.events = FleetEvents(pool, self.node, callbacks.on_event)
        self.live_states = LiveStates(pool, self.node)

    def start(self) -> None:
        """Join the fleet and take jobs. Raises NodeNameTaken, DatabaseError."""
        self._engine.start()
        self.node.start()
        self.listening.start()
        self._engine.fetch_again()

    def request(
        self, definition_id: int, trigger: Trigger, *, asked_at: float | None = None, awaited: bool = False
    ) -> Future[RunReport]:
        """Run a definition as soon as possible, on any node. See RunQueue."""
        report: Future[RunReport] = Future()
        asked = None if asked_at is None else self.node.database_time(asked_at)
        job = self._job(definition_id, trigger, asked, only_by_hand=trigger.by_hand)
        if self._stopping.is_set() and awaited:
            report.cancel()
        elif awaited:
            self._engine.request_awaited(job, lambda: self._await(job, report), report.set_exception)
        else:
            self._engine.request(job)
        return report

    def forget(self, definition_id: int, *, only_by_hand: bool = False) -> bool:
        """Withdraw a request whose run has not started. See RunQueue."""
        withdrawn = self._engine.withdraw(definition_id, only_by_hand=only_by_hand)
        if withdrawn:
            with connection_of(self._pool) as connection:
                answer_awaiting(connection, definition_id, None, WITHDRAWN)
        return withdrawn

    def stop(self) -> None:
        """Start no more runs here; those that wait are for the other nodes."""
        with self._guard:
            self._stopping.set()
        self.listening.stop()
        self.node.resign()
        self._engine.stop_fetching()

    def join(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for the runs of this node; after `stop` none begins."""
        with self._guard:
            return self._guard.wait_for(lambda: not self._running, timeout)

    def leave(self) -> None:
        """Leave the fleet, after `stop` and `join`."""
        self._engine.flush(2)
        self._engine.close(5)
        self.node.stop()
        with self._guard:
            awaiting, self._awaiting = list(self._awaiting.values()), {}
        for report in awaiting:
            report.cancel()

    @property
    def running(self) -> frozenset[int]:
        """The definitions that run on this node."""
        with self._guard:
            return frozenset(self._running.values())

    def is_pending(self, definition_id: int) -> bool:
        """Whether a definition is waiting or running, on any node. Raises DatabaseError."""
        return bool(self.pending([definition_id]))

    def pending(self, definition_ids: Collection[int]) -> set[int]:
        """Those of these definitions that are waiting or running, on any node. Raises DatabaseError."""
        return {definition_id for definition_id, _ in self._jobs_of(definition_ids)}

    def is_waiting(self, definition_id: int) -> bool:
        """Whether a definition waits for a run. Raises DatabaseError."""
        return any(status == "todo" for _, status in self._jobs_of([definition_id]))

    def places(self) -> dict[int, int]:
        """The place in the queue, from 1, of each waiting definition. Raises DatabaseError."""
        with connection_of(self._pool) as connection:
            return dict(execute(connection, "waiting_places"))

    def _jobs_of(self, definition_ids: Collection[int]) -> list[tuple[int, str]]:
        """The waiting and running jobs, with those that are not stored yet."""
        kept = [(definition_id, "todo") for definition_id in self._engine.unstored(definition_ids)]
        with connection_of(self._pool) as connection:
            rows = execute(connection, "jobs_of", locks=[str(definition_id) for definition_id in definition_ids])
            return kept + [(int(lock), status) for _, lock, status, *_ in rows]

    @property
    def waiting(self) -> int:
        """The number of definitions that wait in the fleet; at most a second old."""
        if time.monotonic() - self._counted_at > 1:
            self._counted_at = time.monotonic()
            with suppress(DatabaseError), connection_of(self._pool) as connection:
                row = execute(connection, "waiting_jobs").fetchone()
                self._waiting = row[0] if row else 0
        return self._waiting

    @property
    def alive(self) -> bool:
        """Whether the threads of the queue and of the node are alive."""
        return self._engine.alive and self.node.alive

    @property
    def silent_seconds(self) -> float:
        """Seconds since the slower one of these threads made progress."""
        return max(self._engine.silent_seconds, self.node.silent_seconds)

    def tend(self) -> None:
        """Restart what is abandoned; the leader calls it regularly. Raises DatabaseError."""
        if time.monotonic() - self._swept_at > _ORPHAN_SECONDS:
            self._swept_at = time.monotonic()
            restart_orphans(self._pool, self._engine, set(self._running), _ORPHAN_AGE_SECONDS)
            with connection_of(self._pool) as connection:
                execute(connection, "recall_jobs", queue=queue_of(), dead_seconds=DEAD_SECONDS)

    def elsewhere(self) -> list[dict[str, Any]]:
        """The runs that other nodes make now, as rows. Raises DatabaseError."""
        with connection_of(self._pool) as connection:
            return runs_elsewhere(connection, self.node.identity.name)

    def cancel(self, *, run_id: int | None = None, definition_ids: Sequence[int] = ()) -> list[dict[str, Any]]:
        """Cancel this run, or those of these definitions, on other nodes; returns the rows of cancelled runs.

        Raises ControlError if that node does not answer, DatabaseError.
        """
        with connection_of(self._pool) as connection:
            cursor = execute(connection, "run_in_progress", run_id=run_id, definition_ids=list(definition_ids))
            names = [column.name for column in cursor.description or ()]
            rows = [dict(zip(names, row, strict=True)) for row in cursor]
        return [row for row in rows if row["node_id"] != self.node.node_id and self._cancel_at(row)]

    def _cancel_at(self, run: dict[str, Any]) -> bool:
        reply: Future[dict[str, Any]] = Future()
        with connection_of(self._pool) as connection, self._guard:
            sent = send_message(
                connection, run["node_id"], "cancel", from_node=self.node.node_id, body={"run_id": run["run_id"]}
            )
            self._replies[sent] = reply
        try:
            return run["run_id"] in reply.result(ANSWER_SECONDS)["cancelled"]
        except TimeoutError:
            raise ControlError(
                "The node that makes this run does not answer.", hint="See `contactsync fleet`. Try again."
            ) from None
        finally:
            with self._guard:
                self._replies.pop(sent, None)

    def _await(self, job: RunJob, report: Future[RunReport]) -> None:
        with connection_of(self._pool) as connection, self._guard:
            message_id = await_run(connection, self.node.node_id, job.definition_id, asked=job.asked)
            self._awaiting[message_id] = report

    def _receive(self, message: Message) -> None:
        body = message.body or {}
        if message.kind == "answer":
            with self._guard:
                report = self._awaiting.pop(message.reference or 0, None)
            if report:
                _complete(report, body)
        elif message.kind == "cancel":
            cancelled = self._callbacks.cancel(body["run_id"])
            with connection_of(self._pool) as connection:
                send_message(
                    connection,
                    message.from_node,
                    "cancelled",
                    from_node=self.node.node_id,
                    reference=message.message_id,
                    body={"cancelled": cancelled},
                )
        elif message.kind == "cancelled":
            with self._guard:
                reply = self._replies.pop(message.reference or 0, None)
            if reply:
                reply.set_result(body)
        elif message.kind == "events":
            self.events.receive(body)
        elif message.kind == "run" and message.definition_id is not None:
            self._callbacks.on_run(message.definition_id, _run_of(body))

    def _begin_anew(self) -> None:
        """The node has a new id, under which no answer to earlier messages arrives."""
        with self._guard:
            awaiting, self._awaiting = list(self._awaiting.values()), {}
        for report in awaiting:
            report.set_exception(
                DatabaseUnavailable(
                    "The connection to PostgreSQL was lost.", hint="The run may go on; see `contactsync runs`."
                )
            )
        # PostgreSQL has ended their sessions.
        self._callbacks.cancel_all()
        self._engine.restart()

    def _drain(self, draining: bool) -> None:  # noqa: FBT001 -- a callback
        name = self.node.identity.name
        if draining:
            log.info("fleet.draining", node=name)
            self._engine.stop_fetching()
        elif not self._stopping.is_set():
            log.info("fleet.resumed", node=name)
            self._engine.fetch_again()

    def _look_at_listeners(self) -> None:
        self.listening.look()

    def _settle(self, dead: DeadNode) -> None:
        settle(self._pool, self._engine, dead)

    def _lock_of(self, definition_id: int) -> str | None:
        server = self._callbacks.server_of(definition_id)
        return self._slot(server, definition_id) if server else None

    def _find_lock(self, definition_id: int) -> str:
        server = self._callbacks.find_server(definition_id)
        return self._slot(server, definition_id) if server else f"definition {definition_id}"

    def _slot(self, server: str, definition_id: int) -> str:
        """One of `per_server` slots of the definition's server, always the same."""
        if len(server) > _LONGEST_SERVER:
            server = f"{server[:_LONGEST_SERVER]}…{blake2b(server.encode(), digest_size=8).hexdigest()}"
        return f"{server}#{definition_id % self._per_server}"

    def _make(self, job_id: int, job: RunJob, begun: BegunJob) -> None:
        """Make the run of a job, on a thread of the engine; raises nothing."""
        with self._guard:
            if self._stopping.is_set() or self.node.draining:
                # The job was taken at the same time; `join` may not wait for it.
                self._engine.request(job)
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
        self.events.note_watchers(begun.watchers)
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
            self._engine.request(again.job)

    def _request_later(self, again: _Again) -> None:
        self._stopping.wait(again.seconds)  # a node that stops leaves the run to others
        self._engine.request(again.job)

    def _end(self, job: RunJob, needs: LocalNeeds, node_id: int) -> dict[str, Any] | _Again:
        """The end of a run, or its request to another node or for later."""
        referral = self.referrals.refer(job, needs)
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
        asked_at = None if job.asked is None else self.node.monotonic_time(job.asked)
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
        if listener is None or listener in self.listening.held:
            return
        with suppress(DatabaseError), connection_of(self._pool) as connection:
            tell_listener(connection, listener, from_node=self.node.node_id, definition_id=definition_id, body=body)


def _run_of(body: dict[str, Any]) -> RunReport | ContactsyncError | None:
    try:
        return decode_report(body) if body else None
    except ContactsyncError as error:
        return error


def _complete(report: Future[RunReport], body: dict[str, Any]) -> None:
    if body == WITHDRAWN:
        report.cancel()
        return
    try:
        report.set_result(decode_report(body))
    except ContactsyncError as error:
        report.set_exception(error)
