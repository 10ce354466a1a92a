"""The nodes of a fleet: their list, their drain, and their end for ever."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from contactsync.api.actor import CurrentActor
from contactsync.api.context import Context
from contactsync.operations.fleet import DrainedNode, FleetState, ForgottenNode, drain, fleet_state, forget
from contactsync.store.pool import connection_of

router = APIRouter(tags=["fleet"])

NodeName = Annotated[str, Query(description="The name of a node.", max_length=40, examples=["node-a"])]


@router.get("/fleet")
def fleet(context: Context) -> FleetState:
    """The daemons that share the definitions, and what waits where."""
    with context.reading() as connection:
        return fleet_state(connection)


@router.post("/fleet/drain")
def drain_fleet_node(node: NodeName, context: Context, actor: CurrentActor) -> DrainedNode:
    """Have a node start no more runs. Running ones end, and other nodes take over the schedule and the listening."""
    with connection_of(context.pool) as connection:
        return drain(connection, node, actor, draining=True)


@router.post("/fleet/resume")
def resume_fleet_node(node: NodeName, context: Context, actor: CurrentActor) -> DrainedNode:
    """Have a drained node start runs again."""
    with connection_of(context.pool) as connection:
        return drain(connection, node, actor, draining=False)


@router.post("/fleet/forget")
def forget_fleet_node(node: NodeName, context: Context, actor: CurrentActor) -> ForgottenNode:
    """Remove a node from the list that will not come back. Other nodes make its runs. Refused while it is alive."""
    with connection_of(context.pool) as connection:
        return forget(connection, node, actor)
