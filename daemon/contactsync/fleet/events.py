"""The events of runs, from the node that makes a run to those with clients that listen.

A notification takes a global lock at its commit, so nothing is sent while no client listens on another node.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from contactsync.errors import DatabaseError
from contactsync.store.pool import Pool, connection_of
from contactsync.store.statements import execute

if TYPE_CHECKING:
    from contactsync.fleet.node import Node

_LEASE_SECONDS, _RENEW_SECONDS = 30.0, 10.0
"""How long a node counts as listening, and how often it says so again."""
_LOOK_SECONDS = 0.1
"""How old the knowledge may be which nodes want events. Each run at its start renews it."""
_PAUSE = 0.05
"""Seconds in which events are collected into one message."""


class FleetEvents:
    """Sends events to the nodes that want them; `relay` passes on those of other nodes."""

    def __init__(self, pool: Pool, node: Node, relay: Callable[[str, dict[str, Any]], None]) -> None:
        self._pool = pool
        self._node = node
        self._relay = relay
        self._watchers: tuple[int, ...] = ()
        self._looked_at = 0.0
        self._watched = (0, 0.0)
        self._guard = threading.Lock()
        self._unsent: list[tuple[str, dict[str, Any]]] = []

    @property
    def wanted(self) -> bool:
        """Whether another node wants the events of this one; may read the database."""
        if time.monotonic() - self._looked_at > _LOOK_SECONDS:
            self._looked_at = time.monotonic()
            with suppress(DatabaseError), connection_of(self._pool) as connection:
                self.note_watchers(
                    node_id for (node_id,) in execute(connection, "watchers", node_id=self._node.node_id)
                )
        return bool(self._watchers)

    def look_again(self) -> None:
        """Read at the next event which nodes want it."""
        self._looked_at = 0.0

    def note_watchers(self, node_ids: Iterable[int]) -> None:
        """These nodes want events now, and no others."""
        self._watchers = tuple(node_ids)
        self._looked_at = time.monotonic()

    def watch(self) -> None:
        """Ask the other nodes for their events; to be called again regularly. Raises DatabaseError."""
        node_id, at = self._watched
        if node_id == self._node.node_id and time.monotonic() - at < _RENEW_SECONDS:
            return
        now = time.monotonic()
        with connection_of(self._pool) as connection:
            execute(connection, "watch_events", node_id=self._node.node_id, seconds=_LEASE_SECONDS)
        self._watched = (self._node.node_id, now)

    def send(self, kind: str, data: dict[str, Any]) -> None:
        """Send an event soon; does not block."""
        with self._guard:
            first = not self._unsent
            self._unsent.append((kind, data))
        if first:
            timer = threading.Timer(_PAUSE, self._send)
            timer.daemon = True
            timer.start()

    def receive(self, body: dict[str, Any]) -> None:
        """Pass on the events of another node."""
        for kind, data in body["events"]:
            self._relay(kind, data)

    def _send(self) -> None:
        with self._guard:
            events, self._unsent = self._unsent, []
        values = {"watchers": list(self._watchers), "body": Jsonb({"events": events})}
        # A client whose node misses events reads what it shows again when the database is back.
        with suppress(DatabaseError), connection_of(self._pool) as connection:
            execute(connection, "send_events", from_node=self._node.node_id, **values)
