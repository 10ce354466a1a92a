"""Definitions that a node leaves to others, since it cannot open the password or lacks a file.

Each node tries once for each edit, start or request by a user; the table `fleet_unable` has those that could not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import structlog

from contactsync.fleet.identity import DEAD_SECONDS
from contactsync.store.pool import Pool, connection_of
from contactsync.store.record.fleet import LivingNode, LocalNeeds, living_nodes
from contactsync.store.statements import execute

if TYPE_CHECKING:
    from contactsync.fleet.engine import RunJob
    from contactsync.fleet.node import Node

log = structlog.get_logger()


class Referral(NamedTuple):
    """The node that is to make a run; empty: this one, whose error is then followed by `remark`."""

    to: str = ""
    remark: str = ""


HERE = Referral()


class Referrals:
    """Decides whether this node makes a run. `missing` says what the machine lacks; None: nothing."""

    def __init__(self, pool: Pool, node: Node, missing: Callable[[LocalNeeds], str | None]) -> None:
        self._pool = pool
        self._node = node
        self._missing = missing

    def refer(self, job: RunJob, needs: LocalNeeds) -> Referral:
        """Where to make a run. Raises DatabaseError."""
        if not (needs.password_ref or needs.key_id or needs.files):
            return HERE
        tries_again = job.asked is not None and not job.to
        if tries_again:
            self._forget(definition_id=job.definition_id)
        noted = needs.unable and not tries_again
        reason = None if noted else self._missing(needs)
        if reason is None and not noted:
            return HERE
        label = self._note(job.definition_id, needs.revision, reason) if reason is not None else ""
        nodes = self._others(job.definition_id, needs.revision)
        target = next((node.name for node in nodes if not (node.unable or node.draining)), "")
        if reason is not None:
            names = {"folder": label, "definition": job.definition_id}
            log.warning("fleet.left_to_others", **names, reason=reason, to=target or None)
        if target:
            return Referral(to=target)
        if noted and self._missing(needs) is None:  # the administrator has put it there meanwhile
            self._forget(definition_id=job.definition_id, node_id=self._node.node_id)
            return HERE
        unable = ", ".join(sorted([self._node.identity.name, *(node.name for node in nodes if node.unable)]))
        return Referral(remark=f"No living node of the fleet can make this run: {unable}.")

    def forget_own(self) -> None:
        """Try everything again, since settings have changed. Raises DatabaseError."""
        self._forget(node_id=self._node.node_id)

    def _others(self, definition_id: int, revision: int) -> list[LivingNode]:
        with connection_of(self._pool) as connection:
            nodes = living_nodes(connection, definition_id, revision, DEAD_SECONDS)
        return [node for node in nodes if node.name != self._node.identity.name]

    def _note(self, definition_id: int, revision: int, reason: str) -> str:
        """Note that this node cannot; returns the definition's label."""
        values = {"definition_id": definition_id, "revision": revision, "reason": reason}
        with connection_of(self._pool) as connection:
            row = execute(connection, "note_unable", node_id=self._node.node_id, **values).fetchone()
        return str(row[0]) if row else ""

    def _forget(self, *, definition_id: int | None = None, node_id: int | None = None) -> None:
        with connection_of(self._pool) as connection:
            execute(connection, "forget_unable", definition_id=definition_id, node_id=node_id)
