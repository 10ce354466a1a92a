"""Definitions that a node leaves to others, since it cannot open the password or lacks a file.

Each node tries once for each edit, start or request by a user; the table `fleet_unable` has those that could not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import structlog

from contactsync.errors import SecretError
from contactsync.fleet.identity import DEAD_SECONDS
from contactsync.store.pool import Pool, connection_of
from contactsync.store.record.fleet import LivingNode, LocalNeeds, living_nodes, read_notes
from contactsync.store.statements import execute

if TYPE_CHECKING:
    from contactsync.fleet.jobs.job import RunJob
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
        reason = None if noted else self._lacks(needs)
        if reason is None and not noted:
            return HERE
        label = self._note(self._node.node_id, job.definition_id, needs.revision, reason) if reason is not None else ""
        nodes = self._others(job.definition_id, needs.revision)
        target = next((node.name for node in nodes if not (node.unable or node.draining)), "")
        if label:
            _log(label, job.definition_id, reason, target)
        if target:
            return Referral(to=target)
        if noted and self._lacks(needs) is None:  # the administrator has put it there meanwhile
            self._forget(definition_id=job.definition_id, node_id=self._node.node_id)
            return HERE
        unable = ", ".join(sorted([self._node.identity.name, *(node.name for node in nodes if node.unable)]))
        return Referral(remark=f"No living node of the fleet can make this run: {unable}.")

    def note_lacks(self, node_id: int, groups: Iterable[Mapping[int, LocalNeeds]]) -> None:
        """Note of which definitions this node lacks something, unless it has noted that. Raises DatabaseError."""
        reasons: dict[LocalNeeds, str | None] = {}
        with connection_of(self._pool) as connection:
            notes = read_notes(connection)
        for definition_id, needs in (pair for group in groups for pair in group.items()):
            same = needs._replace(revision=0)
            if same not in reasons:
                reasons[same] = self._lacks(needs)
            reason = reasons[same]
            if reason is None or notes.get((node_id, definition_id)) == needs.revision:
                continue
            if label := self._note(node_id, definition_id, needs.revision, reason):
                _log(label, definition_id, reason, "")

    def _lacks(self, needs: LocalNeeds) -> str | None:
        try:
            return self._missing(needs)
        except SecretError as error:
            return error.message

    def forget_own(self) -> None:
        """Try everything again, since settings have changed. Raises DatabaseError."""
        self._forget(node_id=self._node.node_id)

    def _others(self, definition_id: int, revision: int) -> list[LivingNode]:
        with connection_of(self._pool) as connection:
            nodes = living_nodes(connection, definition_id, revision, DEAD_SECONDS)
        return [node for node in nodes if node.name != self._node.identity.name]

    def _note(self, node_id: int, definition_id: int, revision: int, reason: str) -> str:
        """Note that this node cannot; returns the definition's label, nothing if that was noted before."""
        values = {"definition_id": definition_id, "revision": revision, "reason": reason}
        with connection_of(self._pool) as connection:
            row = execute(connection, "note_unable", node_id=node_id, **values).fetchone()
        return str(row[0]) if row else ""

    def _forget(self, *, definition_id: int | None = None, node_id: int | None = None) -> None:
        with connection_of(self._pool) as connection:
            execute(connection, "forget_unable", definition_id=definition_id, node_id=node_id)


def _log(label: str, definition_id: int, reason: str | None, to: str) -> None:
    log.warning("fleet.left_to_others", folder=label, definition=definition_id, reason=reason, to=to or None)
