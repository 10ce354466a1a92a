"""Which node listens for live folders: each directory server and user is listened to by one node, as many by each.

A row of `fleet_listeners` gives a listener to a node. Only nodes may have it that lack least of what its definitions
need, so that a password or a file on one node is enough. A node listens only while its lease lasts, which ends before
others may take the node for dead. So a node that was stopped does not listen when it wakes up.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import structlog

from contactsync.errors import DatabaseError
from contactsync.store.pool import Pool, connection_of
from contactsync.store.record.fleet import HeldListener, LocalNeeds, read_notes
from contactsync.store.statements import execute

if TYPE_CHECKING:
    from contactsync.fleet.node import Node
    from contactsync.fleet.referral import Referrals

log = structlog.get_logger()

_PATIENCE_SECONDS = 2.5
"""After how long a node takes free listeners beyond its share, since the others do not take them."""
_RETRY_SECONDS = 1.0
_SHORTEST_REST = 0.5
_CLOSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ListeningCallbacks:
    """What the sharing needs of the live folders.

    `listeners` returns the keys of all listeners that the definitions need. `needs` returns what the definitions of
    each need of the machine, by id. `listen` listens with these and with no others. `closed` waits so many seconds for
    the connections of the others, and returns whether they are closed.
    """

    listeners: Callable[[], Collection[str]]
    needs: Callable[[], Mapping[str, Mapping[int, LocalNeeds]]]
    listen: Callable[[frozenset[str]], None]
    closed: Callable[[float], bool]


class Listening:
    """The listeners of a node. A thread takes them and gives them up, when the fleet or the definitions change."""

    def __init__(self, pool: Pool, node: Node, callbacks: ListeningCallbacks, referrals: Referrals) -> None:
        self.held: frozenset[str] = frozenset()
        self._pool = pool
        self._node = node
        self._callbacks = callbacks
        self._referrals = referrals
        self._changed = threading.Event()
        self._stopping = threading.Event()
        self._free_since: float | None = None
        self._thread = threading.Thread(target=self._serve, name="listening", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Give up all listeners, so that other nodes take them at once."""
        self._stopping.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join(2 * _CLOSE_SECONDS)

    def look(self) -> None:
        """Look at the listeners soon; does not wait."""
        self._changed.set()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            try:
                settled = self._step()
            except DatabaseError:
                settled = False
            except Exception:
                log.exception("fleet.crashed")
                settled = False
            self._rest(settled=settled)
        with suppress(DatabaseError):
            self._step()

    def _rest(self, *, settled: bool) -> None:
        """Wait for a change, for the end of the lease, or for the next attempt."""
        while not self._changed.wait(max(_SHORTEST_REST, self._node.lease_seconds) if settled else _RETRY_SECONDS):
            if not (settled and self._node.lease_seconds):
                break
        self._changed.clear()

    def _step(self) -> bool:
        """Take and give up listeners; returns whether nothing is left to do."""
        if not self._node.lease_seconds:
            self._listen(frozenset())
            return True
        node_id = self._node.node_id
        stopping = self._stopping.is_set()
        keys = frozenset() if stopping else frozenset(self._callbacks.listeners())
        needs = {} if stopping else self._callbacks.needs()
        self._referrals.note_lacks(node_id, needs.values())
        allowed, mine = self._share(node_id, keys, needs)
        kept = frozenset(each.key for each in mine if not each.wanted_by) & allowed
        self._listen(kept)
        given_up = [each.key for each in mine if each.key not in kept]
        if given_up and not self._callbacks.closed(_CLOSE_SECONDS):
            return False
        if given_up:
            with connection_of(self._pool) as connection:
                execute(connection, "give_up_listeners", node_id=node_id, listeners=given_up)
        return self._free_since is None

    def _listen(self, keys: frozenset[str]) -> None:
        if keys != self.held:
            log.info("fleet.listening", node=self._node.identity.name, listeners=sorted(keys))
        self.held = keys
        self._callbacks.listen(keys)

    def _share(
        self, node_id: int, keys: frozenset[str], needs: Mapping[str, Mapping[int, LocalNeeds]]
    ) -> tuple[frozenset[str], list[HeldListener]]:
        """Take listeners, and ask a node for some that has more; returns what this one may have, and what it has."""
        with connection_of(self._pool) as connection, connection.transaction():
            execute(connection, "begin_sharing")
            execute(connection, "forget_listeners")
            nodes = [each for (each,) in execute(connection, "nodes_to_listen")]
            held = [HeldListener(*row) for row in execute(connection, "listeners")]
            allowed = allowed_listeners(node_id, nodes, keys, needs, read_notes(connection))
            free = sorted(allowed - {each.key for each in held})
            taken = free if self._patience_ends(free) else free[: spare_share(node_id, nodes, held, len(keys))]
            if taken:
                execute(connection, "take_listeners", node_id=node_id, listeners=taken)
            elif allowed and not free and (wanted := wanted_listeners(node_id, nodes, held, allowed)):
                execute(connection, "want_listeners", node_id=node_id, listeners=wanted)
        if len(taken) == len(free):
            self._free_since = None
        mine = [each for each in held if each.node_id == node_id]
        return allowed, mine + [HeldListener(key, node_id, None) for key in taken]

    def _patience_ends(self, free: list[str]) -> bool:
        self._free_since = (self._free_since or time.monotonic()) if free else None
        return self._free_since is not None and time.monotonic() - self._free_since > _PATIENCE_SECONDS


def allowed_listeners(
    node_id: int,
    nodes: Collection[int],
    keys: frozenset[str],
    needs: Mapping[str, Mapping[int, LocalNeeds]],
    notes: Mapping[tuple[int, int], int],
) -> frozenset[str]:
    """The listeners that a node may have: those for whose definitions no other node lacks less.

    `notes` has the revision in which a node lacked something of a definition, by their ids.
    """
    if node_id not in nodes:
        return frozenset()

    def lacks(node: int, key: str) -> int:
        return sum(notes.get((node, each)) == need.revision for each, need in needs.get(key, {}).items())

    noting = {node for node, _ in notes} & set(nodes)
    if node_id not in noting:
        return keys
    return frozenset(
        key for key in keys if (own := lacks(node_id, key)) == 0 or all(lacks(node, key) >= own for node in nodes)
    )


def spare_share(node_id: int, nodes: Sequence[int], held: Sequence[HeldListener], number: int) -> int:
    """How many more of `number` listeners a node may take, if each node is to have as many."""
    return max(0, ceil(number / max(1, len(nodes))) - _loads(nodes, held)[node_id])


def wanted_listeners(
    node_id: int, nodes: Sequence[int], held: Sequence[HeldListener], keys: Collection[str]
) -> list[str]:
    """The listeners of a node with more that this one is to have, so that both have as many."""
    loads = _loads(nodes, held)
    for giver in sorted(nodes, key=lambda each: -loads[each]):
        movable = [each.key for each in held if each.node_id == giver and not each.wanted_by and each.key in keys]
        if wanted := movable[: max(0, loads[giver] - loads[node_id]) // 2]:
            return wanted
    return []


def _loads(nodes: Sequence[int], held: Sequence[HeldListener]) -> Counter[int]:
    """How many listeners each node has, or will have after the hand-overs."""
    loads = Counter(each.wanted_by or each.node_id for each in held)
    return Counter({node: loads[node] for node in nodes})
