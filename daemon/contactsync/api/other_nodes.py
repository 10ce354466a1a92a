"""What the other nodes of a fleet do, for the documents that show the whole fleet."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from contactsync.api.schemas import NextRun
from contactsync.dispatch.live import LiveState
from contactsync.errors import DatabaseError
from contactsync.operations.fleet import FleetNode, fleet_state
from contactsync.store.health import first_next_run
from contactsync.store.pool import connection_of

if TYPE_CHECKING:
    from contactsync.api.context import ApiContext


@dataclass(slots=True)
class OtherNodes:
    """Their runs as rows, their live folders, all living nodes, and the next run that one of them schedules."""

    running: list[dict[str, Any]] = field(default_factory=list)
    live: dict[int, LiveState] = field(default_factory=dict)
    nodes: list[FleetNode] = field(default_factory=list)
    next_run: NextRun | None = None


def other_nodes(context: ApiContext) -> OtherNodes:
    """The other nodes; nothing without a fleet, and while the database is unavailable."""
    others = OtherNodes()
    if context.fleet is None:
        return others
    with suppress(DatabaseError):
        others.running = context.fleet.elsewhere()
        others.live = context.fleet.live_states.elsewhere()
        with connection_of(context.pool) as connection:
            others.nodes = [node for node in fleet_state(connection).nodes if node.ended_at is None]
            if not context.schedule.leads and (first := first_next_run(connection)):
                others.next_run = NextRun(label=first[0], at=first[1], definition_id=first[2])
    return others
