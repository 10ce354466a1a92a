"""The queue of runs that several daemons share, behind the interface of the dispatcher."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import structlog

from contactsync.errors import DatabaseError, DatabaseUnavailable
from contactsync.fleet.answers import WITHDRAWN
from contactsync.fleet.callbacks import FleetCallbacks
from contactsync.fleet.events import FleetEvents
from contactsync.fleet.heirs import restart_orphans, settle
from contactsync.fleet.identity import DEAD_SECONDS, NodeIdentity, queue_of
from contactsync.fleet.jobs.job import RunJob
from contactsync.fleet.jobs.slots import ServerSlots
from contactsync.fleet.listening import Listening
from contactsync.fleet.live_states import LiveStates
from contactsync.fleet.messages import Messages
from contactsync.fleet.node import Node, NodeCallbacks
from contactsync.fleet.referral import Referrals
from contactsync.fleet.runs import NodeRuns
from contactsync.model import RunReport, Trigger
from contactsync.store.pool import Pool, connection_of
from contactsync.store.record.fleet import BegunJob, DeadNode, answer_awaiting, runs_elsewhere
from contactsync.store.statements import execute

log = structlog.get_logger()

_ORPHAN_SECONDS = 5.0
_ORPHAN_AGE_SECONDS = 30.0
"""Three heartbeats of a worker."""


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
        from contactsync.fleet.jobs.engine import Engine  # noqa: PLC0415 -- only a fleet needs procrastinate

        self._pool = pool
        self._callbacks = callbacks
        self._waiting = 0
        self._counted_at = 0.0
        self._swept_at = time.monotonic()
        self._engine = Engine(
            conninfo,
            identity,
            lambda: self.node.node_id,
            self._make,
            ServerSlots(callbacks.server_of, callbacks.find_server, per_server=per_server),
            workers=workers,
        )
        self._messages = Messages(
            pool,
            lambda: self.node.node_id,
            cancel=callbacks.cancel,
            on_run=callbacks.on_run,
            on_events=self._relay,
        )
        self.node = Node(
            conninfo,
            identity,
            key_id,
            NodeCallbacks(
                on_message=self._messages.receive,
                on_joined=self._begin_anew,
                on_draining=self._drain,
                on_isolated=callbacks.cancel_all,
                on_sharing=self._look_at_listeners,
                settle=self._settle,
                worker_id=lambda: self._engine.worker_id,
                running=lambda: len(self.running),
                listening=callbacks.listening,
                expects_messages=lambda: self._messages.expected,
            ),
        )
        self.referrals = Referrals(pool, self.node, callbacks.missing)
        self.listening = Listening(pool, self.node, callbacks.live, self.referrals)
        self.events = FleetEvents(pool, self.node, callbacks.on_event)
        self.live_states = LiveStates(pool, self.node)
        self._runs = NodeRuns(
            pool,
            self.node,
            callbacks,
            self.referrals,
            self.listening,
            self.events,
            self._engine.request,
        )

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
        job = RunJob(definition_id, trigger, asked, only_by_hand=trigger.by_hand)
        if self._runs.stopping and awaited:
            report.cancel()
        elif awaited:
            self._engine.request_awaited(job, lambda: self._messages.await_run(job, report), report.set_exception)
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
        self._runs.stop()
        self.listening.stop()
        self.node.resign()
        self._engine.stop_fetching()

    def join(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for the runs of this node; after `stop` none begins."""
        return self._runs.join(timeout)

    def leave(self) -> None:
        """Leave the fleet, after `stop` and `join`."""
        self._engine.flush(2)
        self._engine.close(5)
        self.node.stop()
        self._messages.give_up()

    @property
    def running(self) -> frozenset[int]:
        """The definitions that run on this node."""
        return self._runs.running

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
            restart_orphans(self._pool, self._engine, set(self._runs.jobs), _ORPHAN_AGE_SECONDS)
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
        return [row for row in rows if row["node_id"] != self.node.node_id and self._messages.cancel(row)]

    # What follows is called by parts that are built before those that it needs.

    def _make(self, job_id: int, job: RunJob, begun: BegunJob) -> None:
        self._runs.make(job_id, job, begun)

    def _relay(self, body: dict[str, Any]) -> None:
        self.events.receive(body)

    def _begin_anew(self) -> None:
        """The node has a new id, under which no answer to earlier messages arrives."""
        self._messages.give_up(
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
        elif not self._runs.stopping:
            log.info("fleet.resumed", node=name)
            self._engine.fetch_again()

    def _look_at_listeners(self) -> None:
        self.listening.look()

    def _settle(self, dead: DeadNode) -> None:
        settle(self._pool, self._engine, dead)
