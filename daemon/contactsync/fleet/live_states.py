"""The states of live folders, which only the node that listens knows, for the other nodes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from psycopg.types.json import Jsonb

from contactsync.dispatch.live import LiveSnapshot, LiveState
from contactsync.store.pool import Pool, connection_of
from contactsync.store.statements import execute

if TYPE_CHECKING:
    from contactsync.fleet.node import Node

_BEHIND_SECONDS = 2.0
"""A change that was reported later is not worth a row: a run is about to read it."""


class LiveStates:
    """Writes the states of this node when they change, and reads those of the others."""

    def __init__(self, pool: Pool, node: Node) -> None:
        self._pool = pool
        self._node = node
        self._written: tuple[int, dict[int, LiveState]] = (0, {})

    def publish(self, states: Mapping[int, LiveState]) -> None:
        """Write what has changed since the last call; without a change nothing is done. Raises DatabaseError."""
        node_id, written = self._written
        if node_id != self._node.node_id:
            node_id, written = self._node.node_id, {}
        old = time.time() - _BEHIND_SECONDS
        current = {key: state if (state.behind_since or 0) < old else replace(state, behind_since=None)
                   for key, state in states.items()}  # fmt: skip
        if current == written:
            return
        changed = [
            {"definition_id": key, **asdict(state)} for key, state in current.items() if written.get(key) != state
        ]
        gone = list(written.keys() - current.keys())
        with connection_of(self._pool) as connection:
            execute(connection, "set_live", node_id=node_id, states=Jsonb(changed), gone=gone)
        self._written = node_id, current

    def elsewhere(self) -> dict[int, LiveState]:
        """The states of the live folders of the other nodes. Raises DatabaseError."""
        with connection_of(self._pool) as connection:
            rows = execute(connection, "live_elsewhere", node_id=self._node.node_id).fetchall()
        return {
            key: LiveState(listening_since=since, reason=reason, behind_since=behind, scheduled=scheduled)
            for key, since, reason, behind, scheduled in rows
        }


def together(own: LiveSnapshot, others: Mapping[int, LiveState]) -> LiveSnapshot:
    """The snapshot of the whole fleet."""
    listening = sum(state.listening_since is not None for state in others.values())
    scheduled = sum(state.scheduled for state in others.values())
    behind = [time.time() - state.behind_since for state in others.values() if state.behind_since is not None]
    return LiveSnapshot(
        listening=own.listening + listening,
        not_listening=own.not_listening + len(others) - listening - scheduled,
        behind_seconds=max([own.behind_seconds, *behind]),
        auto_scheduled=own.auto_scheduled + scheduled,
    )
