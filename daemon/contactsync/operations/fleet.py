"""The nodes of a fleet: who is there, what waits, and which node is to stop its work."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from contactsync.errors import NodeAlive, NotFound
from contactsync.fleet.heirs import end
from contactsync.fleet.identity import DEAD_SECONDS, queue_of
from contactsync.store.errors import translated
from contactsync.store.record.audit import acting, confirm_locally, write_audit
from contactsync.store.record.fleet import (
    NodeRow,
    drain_node,
    forget_node,
    nodes_named,
    read_nodes,
    read_unable,
    read_waiting,
)
from contactsync.text import quoted

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.model import Actor

_MOST_ROWS = 100


class FleetNode(BaseModel):
    """A daemon of the fleet."""

    node_id: int = Field(description="Another one after each join.")
    name: str
    version: str
    state: Literal["alive", "draining", "missing", "left", "died"] = Field(
        description="missing: without a recent sign of life, and not ended by others yet."
    )
    leads: bool = Field(description="Whether it runs the schedule of all definitions.")
    joined_at: datetime
    heartbeat_at: datetime = Field(description="Its last sign of life.")
    silent_seconds: float = Field(description="Seconds since then, by PostgreSQL's clock.")
    ended_at: datetime | None
    running: int
    listening: int = Field(description="Folders that it listens for.")


class WaitingAtServer(BaseModel):
    """What waits for a directory server, and runs there."""

    server: str
    waiting: int
    running: int


class LeftDefinition(BaseModel):
    """A definition that a living node leaves to others, since it cannot open the password or lacks a file."""

    definition_id: int
    label: str
    node: str
    reason: str
    noted_at: datetime


class FleetState(BaseModel):
    """The fleet; without one, everything is empty."""

    nodes: list[FleetNode] = Field(description="Those that ended in the last week come last.")
    waiting: int = Field(description="Definitions that wait.")
    servers: list[WaitingAtServer] = Field(description="The first hundred servers, by what waits there.")
    left_to_others: list[LeftDefinition] = Field(description="The first hundred, by definition and node.")


class DrainedNode(BaseModel):
    """A node that is to start no more runs, or to start runs again."""

    name: str
    draining: bool


class ForgottenNode(BaseModel):
    """A node that is not listed any more."""

    name: str
    runs: int = Field(description="Its runs, which others make.")


def fleet_state(connection: Connection[Any]) -> FleetState:
    """The nodes, and what waits where. Raises DatabaseError."""
    nodes = [_document(row) for row in read_nodes(connection, dead_seconds=DEAD_SECONDS)]
    waiting, servers = read_waiting(connection, _MOST_ROWS)
    return FleetState(
        nodes=nodes,
        waiting=waiting,
        servers=[WaitingAtServer(**server) for server in servers],
        left_to_others=[LeftDefinition(**row) for row in read_unable(connection, _MOST_ROWS)],
    )


def drain(connection: Connection[Any], name: str, actor: Actor, *, draining: bool) -> DrainedNode:
    """Have a node start no more runs and end those that run, or start runs again. Raises NotFound, DatabaseError."""
    with acting(connection, actor):
        confirm_locally(connection)
        if not drain_node(connection, name, draining=draining):
            raise NotFound(f"There is no living node {quoted(name)}.", hint="`contactsync fleet` lists the nodes.")
        write_audit(connection, "node.drained" if draining else "node.resumed", after={"node": name})
    return DrainedNode(name=name, draining=draining)


def forget(connection: Connection[Any], name: str, actor: Actor) -> ForgottenNode:
    """Give what a node had to others, and remove it from the list. Raises NotFound, NodeAlive, DatabaseError.

    If the node runs after all, it commits nothing more that it has begun, and joins again.
    """
    with translated():
        nodes = nodes_named(connection, name, DEAD_SECONDS)
        if not nodes:
            raise NotFound(f"There is no node {quoted(name)}.", hint="`contactsync fleet` lists the nodes.")
        if any(node.alive for node in nodes):
            raise NodeAlive(
                f"The node {quoted(name)} gives signs of life.",
                hint="Stop its daemon, and forget the node a few seconds later. To keep it without runs, drain it.",
            )
        for node in nodes:
            end(connection, node, wait=True)
    with acting(connection, actor):
        confirm_locally(connection)
        worker_ids = [node.worker_id for node in nodes if node.worker_id is not None]
        runs = forget_node(connection, name, worker_ids, queue=queue_of(), own_queue=queue_of(name))
        write_audit(connection, "node.forgotten", after={"node": name})
    return ForgottenNode(name=name, runs=runs)


def _document(row: NodeRow) -> FleetNode:
    state: Literal["alive", "draining", "missing", "left", "died"]
    if row.ended_at:
        state = "died" if row.died else "left"
    elif not row.fresh:
        state = "missing"
    else:
        state = "draining" if row.draining else "alive"
    return FleetNode(
        node_id=row.node_id,
        name=row.name,
        version=row.version,
        state=state,
        leads=row.leads,
        joined_at=row.joined_at,
        heartbeat_at=row.heartbeat_at,
        silent_seconds=row.silent_seconds,
        ended_at=row.ended_at,
        running=row.running,
        listening=row.listening,
    )
