"""A daemon as a member of the fleet: its signs of life, its messages, the lead, and the nodes that died.

One thread has one connection. Its session holds the lock that says that the node is alive, and the leader's lock. All
times are compared by PostgreSQL's clock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog
from psycopg.conninfo import make_conninfo

from contactsync.errors import ContactsyncError, DatabaseError
from contactsync.fleet.identity import BEAT_SECONDS, DEAD_SECONDS, LEASE_SECONDS, SILENT_SECONDS, NodeIdentity
from contactsync.fleet.joining import join_fleet, require_time
from contactsync.store.errors import translated
from contactsync.store.migration import require_schema
from contactsync.store.notifications import await_notifications
from contactsync.store.record.fleet import (
    CHANNEL,
    LISTENERS,
    DeadNode,
    Message,
    beat,
    take_messages,
)
from contactsync.store.session import connect
from contactsync.store.statements import execute

if TYPE_CHECKING:
    from psycopg import Connection

log = structlog.get_logger()

_LONGEST_PAUSE = 5.0
_IMPATIENT = {"keepalives_idle": 2, "keepalives_interval": 1, "keepalives_count": 3, "tcp_user_timeout": 5000}
"""Options of libpq: a connection that the network has dropped is noticed before others end the node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCallbacks:
    """What the node's thread calls; none may wait long, except `settle`, which has a thread of its own."""

    on_message: Callable[[Message], None]
    on_joined: Callable[[], None]
    on_draining: Callable[[bool], None]
    on_isolated: Callable[[], None]
    """PostgreSQL has not answered for so long that others have ended this node, if they could reach it."""
    on_sharing: Callable[[], None]
    """The listeners may be shared otherwise, or the lease has ended."""
    settle: Callable[[DeadNode], None]
    worker_id: Callable[[], int | None]
    running: Callable[[], int]
    listening: Callable[[], int]
    expects_messages: Callable[[], bool]


class Node:
    """Keeps a node in the fleet until `stop`; joins again under a new id if others have ended it."""

    def __init__(self, conninfo: str, identity: NodeIdentity, key_id: str, callbacks: NodeCallbacks) -> None:
        self.identity = identity
        self.node_id = 0
        self._key_id = key_id
        self._conninfo = make_conninfo(conninfo, **_IMPATIENT)
        self._callbacks = callbacks
        self._stopping = threading.Event()
        self._joined: Future[None] = Future()
        self._leads = False
        self._draining = False
        self._leaving = False
        self._attached = False
        self._sharing = 0
        self._beat_at = time.monotonic()
        self._active_at = time.monotonic()
        self._connected_at = time.monotonic()
        self._clock_offset = 0.0
        self._heir = ThreadPoolExecutor(1, thread_name_prefix="heir")
        self._settling: set[int] = set()
        self._thread = threading.Thread(target=self._serve, name="fleet", daemon=True)

    def start(self) -> None:
        """Join the fleet. Raises NodeNameTaken, NodeKeyDiffers, NodeClockDiffers, DatabaseError."""
        self._thread.start()
        self._joined.result()

    def stop(self) -> None:
        """Leave the fleet and end the thread."""
        self._stopping.set()
        self._thread.join(5)
        self._heir.shutdown(wait=False)

    def resign(self) -> None:
        """Drain for good from the next beat on: the node is stopping."""
        self._leaving = True

    @property
    def leads(self) -> bool:
        """Whether this node runs the schedule. Not after a stop of the process, until the next beat."""
        return self._leads and time.monotonic() - self._beat_at < DEAD_SECONDS

    @property
    def lease_seconds(self) -> float:
        """How long it may listen without another sign of life; 0 if it may not listen."""
        return max(0.0, LEASE_SECONDS - (time.monotonic() - self._beat_at)) if self._attached else 0.0

    @property
    def draining(self) -> bool:
        """Whether it is to start no more runs."""
        return self._draining

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def silent_seconds(self) -> float:
        """Seconds since the thread last made progress."""
        return time.monotonic() - self._active_at

    def database_time(self, monotonic: float) -> float:
        """PostgreSQL's time at a monotonic time of this process."""
        return monotonic + self._clock_offset

    def monotonic_time(self, database_time: float) -> float:
        """The monotonic time of this process at a time of PostgreSQL."""
        return database_time - self._clock_offset

    def _serve(self) -> None:
        pause = 0.2
        while not self._stopping.is_set():
            self._active_at = time.monotonic()
            try:
                with translated(), self._connect() as connection:
                    self._attach(connection)
                    pause = 0.2
                    self._follow(connection)
                    self._leave(connection)
            except Exception as error:
                self._lose()
                if not self._joined.done():
                    self._joined.set_exception(error)
                    return
                if isinstance(error, ContactsyncError):
                    log.warning("fleet.disconnected", error_code=error.code, error=str(error))
                else:
                    log.exception("fleet.crashed")
                if time.monotonic() - self._beat_at > DEAD_SECONDS:
                    self._callbacks.on_isolated()
                self._stopping.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _lose(self) -> None:
        self._leads = self._attached = False
        self._callbacks.on_sharing()

    def _connect(self) -> Connection[Any]:
        return connect(self._conninfo, application_name=self.identity.application_name)

    def _attach(self, connection: Connection[Any]) -> None:
        """Hold the node's lock, which a lost session has freed; or join."""
        self._connected_at = time.monotonic()
        require_schema(connection)  # a newer release may have changed it
        connection.execute(f"LISTEN {CHANNEL}")
        holds = bool(self.node_id) and execute(connection, "hold_node_lock", node_id=self.node_id).fetchone() == (True,)
        if not (holds and self._beat(connection)):
            self._join(connection)
        self._attached = True
        self._callbacks.on_sharing()

    def _join(self, connection: Connection[Any]) -> None:
        if not self._joined.done():
            require_time(connection)
        self.node_id = join_fleet(connection, self.identity, self._key_id, self._callbacks.settle, self._stopping)
        self._beat(connection)
        log.info("fleet.joined", node=self.identity.name, node_id=self.node_id)
        if self._joined.done():
            self._callbacks.on_joined()
        else:
            self._joined.set_result(None)

    def _follow(self, connection: Connection[Any]) -> None:
        due = time.monotonic()
        while not self._stopping.is_set():
            self._active_at = time.monotonic()
            if self._active_at >= due:
                due = self._active_at + BEAT_SECONDS
                if not self._beat(connection):
                    log.warning("fleet.ended", node=self.identity.name, node_id=self.node_id)
                    self._lose()
                    self._release(connection)
                    self._join(connection)
                    self._attached = True
            left = max(0.0, due - time.monotonic())
            payloads = {each.payload for each in await_notifications(connection, left)}
            if LISTENERS in payloads:
                self._callbacks.on_sharing()
            notified = str(self.node_id) in payloads
            if notified or self._callbacks.expects_messages():
                messages = take_messages(connection, self.node_id)
                for message in messages:
                    self._callbacks.on_message(message)
                if notified and not messages:
                    due = time.monotonic()  # a user drains or resumes the node

    def _beat(self, connection: Connection[Any]) -> bool:
        """Give a sign of life, lead and look for dead nodes. False if others have ended this node.

        Nodes are declared dead only over a session that is old enough: after an outage of PostgreSQL, all nodes connect
        again one by one.
        """
        started = time.monotonic()
        wants_lead = not (self._draining or self._leaving)
        if self._leads and not wants_lead:
            self._leads = False
            execute(connection, "leave_lead")
        state = beat(
            connection,
            self.node_id,
            worker_id=self._callbacks.worker_id(),
            leads=self._leads,
            running=self._callbacks.running(),
            listening=self._callbacks.listening(),
            wants_lead=wants_lead and not self._leads,
            leaves=self._leaving,
            looks=started - self._connected_at > DEAD_SECONDS,
            dead_seconds=DEAD_SECONDS,
            silent_seconds=SILENT_SECONDS,
        )
        if state is None:
            return False
        if state.took_lead:
            self._leads = True
            execute(connection, "note_lead", node_id=self.node_id)
            log.info("fleet.leads", node=self.identity.name)
        self._beat_at = started
        self._clock_offset = state.at - time.monotonic()
        if state.draining != self._draining:
            self._draining = state.draining
            self._callbacks.on_draining(state.draining)
        if state.sharing != self._sharing:
            self._sharing = state.sharing
            self._callbacks.on_sharing()
        for dead in state.dead:
            if dead.node_id not in self._settling:
                self._settling.add(dead.node_id)
                self._heir.submit(self._settle, dead)
        return True

    def _settle(self, dead: DeadNode) -> None:
        try:
            self._callbacks.settle(dead)
        except Exception as error:
            if not isinstance(error, DatabaseError):
                log.exception("fleet.crashed")
        finally:
            self._settling.discard(dead.node_id)
            self._callbacks.on_sharing()

    def _release(self, connection: Connection[Any]) -> None:
        """Free the locks of the node that others have ended."""
        execute(connection, "unlock_everything")

    def _leave(self, connection: Connection[Any]) -> None:
        execute(connection, "leave_fleet", node_id=self.node_id)
        log.info("fleet.left", node=self.identity.name)
