"""The nodes of a fleet and their messages, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from contactsync.store.statements import execute, read_rows

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.model import Definition

CHANNEL = "contactsync_fleet"
"""The channel of notifications; the payload is the id of the node that has a message, or LISTENERS for all nodes."""
LISTENERS = "listeners"
"""The payload if a node has given up listeners."""


@dataclass(frozen=True, slots=True)
class DeadNode:
    """A node that others take over from; for a namesake, `alive` says whether it lives."""

    node_id: int
    name: str
    token: str
    worker_id: int | None
    alive: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """A message to a node."""

    message_id: int
    from_node: int
    kind: str
    definition_id: int | None
    reference: int | None
    body: dict[str, Any] | None


class Beat(NamedTuple):
    """The answer to a sign of life: whether the node is to drain, PostgreSQL's time, whether it took the lead.

    `sharing` is another number when the listeners, or the nodes that may have some, are others than before.
    """

    draining: bool
    at: float
    took_lead: bool
    dead: list[DeadNode]
    sharing: int


class HeldListener(NamedTuple):
    """A listener, the node that has it, and the node that wants it."""

    key: str
    node_id: int
    wanted_by: int | None


class LocalNeeds(NamedTuple):
    """What a definition needs of the machine: a password, files. `unable`: this node has noted that it lacks some."""

    revision: int = 0
    password_ref: str | None = None
    key_id: bytes | None = None
    files: Sequence[str] = ()
    unable: bool = False

    @classmethod
    def of(cls, definition: Definition) -> LocalNeeds:
        """Of a definition that is listened for; the same as `take_job` reads for a run."""
        sealed = definition.password_sealed
        files = (definition.tls_ca_file, definition.tls_client_cert, definition.tls_client_key)
        return cls(
            definition.revision, definition.password_ref, sealed[1:5] if sealed else None, tuple(filter(None, files))
        )


class BegunJob(NamedTuple):
    """Which node may make the run of a job, whether messages await it, the nodes that want its events, its needs."""

    node_id: int
    awaited: bool
    watchers: list[int]
    needs: LocalNeeds

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> BegunJob:
        """Out of a row of `take_job`."""
        needs = LocalNeeds(*(row[name] for name in LocalNeeds._fields))
        return cls(row["node_id"], row["awaited"], list(row["watchers"]), needs)


class LivingNode(NamedTuple):
    """A living node; `unable`: it has noted that it cannot make the runs of a definition."""

    name: str
    draining: bool
    unable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRow:
    """A node, as it last was; `fresh` says whether its last sign of life is recent."""

    node_id: int
    name: str
    version: str
    joined_at: datetime
    heartbeat_at: datetime
    leads: bool
    draining: bool
    running: int
    listening: int
    ended_at: datetime | None
    died: bool
    settled: bool
    fresh: bool
    silent_seconds: float


def beat(connection: Connection[Any], node_id: int, **state: Any) -> Beat | None:
    """Give a sign of life; None if others have ended the node. Raises DatabaseError."""
    row = execute(connection, "beat", node_id=node_id, **state).fetchone()
    if row is None:
        return None
    draining, at, took_lead, dead, sharing = row
    return Beat(draining, at, took_lead, [DeadNode(**each) for each in dead], sharing)


def namesake(connection: Connection[Any], name: str, dead_seconds: float) -> DeadNode | None:
    """The node with this name that has not ended. Raises DatabaseError."""
    row = execute(connection, "namesake", name=name, dead_seconds=dead_seconds).fetchone()
    return DeadNode(row[0], name, row[1], row[2], alive=row[3]) if row else None


def take_messages(connection: Connection[Any], node_id: int) -> list[Message]:
    """The messages to a node, which are deleted. Raises DatabaseError."""
    messages = read_rows(connection, class_row(Message), "take_messages", node_id=node_id)
    return sorted(messages, key=lambda message: message.message_id)


def send_message(
    connection: Connection[Any],
    to_node: int,
    kind: str,
    *,
    from_node: int,
    definition_id: int | None = None,
    reference: int | None = None,
    body: dict[str, Any] | None = None,
) -> int:
    """Send a message; returns its id. Raises DatabaseError."""
    values = {"definition_id": definition_id, "reference": reference, "body": None if body is None else Jsonb(body)}
    row = execute(connection, "send_message", to_node=to_node, kind=kind, from_node=from_node, **values).fetchone()
    return int(row[0]) if row else 0


def tell_listener(
    connection: Connection[Any], listener: str, *, from_node: int, definition_id: int, body: dict[str, Any] | None
) -> None:
    """Tell the node that listens for a definition about a run of it. Raises DatabaseError."""
    values = {"definition_id": definition_id, "body": None if body is None else Jsonb(body)}
    execute(connection, "tell_listener", listener=listener, from_node=from_node, **values)


def living_nodes(
    connection: Connection[Any], definition_id: int, revision: int, dead_seconds: float
) -> list[LivingNode]:
    """The living nodes, those with the fewest runs first. Raises DatabaseError."""
    values = {"definition_id": definition_id, "revision": revision, "dead_seconds": dead_seconds}
    return [LivingNode(*row) for row in execute(connection, "living_nodes", **values)]


def read_notes(connection: Connection[Any]) -> dict[tuple[int, int], int]:
    """The revision in which a living node lacked something of a definition, by their ids. Raises DatabaseError."""
    return {
        (node_id, definition_id): revision for node_id, definition_id, revision in execute(connection, "unable_nodes")
    }


def read_unable(connection: Connection[Any], limit: int) -> list[dict[str, Any]]:
    """What living nodes leave to others, by definition, as rows. Raises DatabaseError."""
    return read_rows(connection, dict_row, "unable", limit=limit)


def await_run(connection: Connection[Any], node_id: int, definition_id: int, *, asked: float | None) -> int:
    """Await the next run of a definition that was `asked` for then or later; returns the message. DatabaseError."""
    body = None if asked is None else Jsonb({"asked": asked})
    row = execute(connection, "await_run", node_id=node_id, definition_id=definition_id, body=body).fetchone()
    return int(row[0]) if row else 0


def answer_awaiting(connection: Connection[Any], definition_id: int, job_id: int | None, body: dict[str, Any]) -> None:
    """Send the end of a run to those that await it; `job_id` None: of a withdrawn request. Raises DatabaseError."""
    execute(connection, "answer_awaiting", definition_id=definition_id, job_id=job_id, body=Jsonb(body))


def read_nodes(connection: Connection[Any], *, dead_seconds: float) -> list[NodeRow]:
    """All nodes, those that have ended last. Raises DatabaseError."""
    return read_rows(connection, class_row(NodeRow), "nodes", dead_seconds=dead_seconds)


def forget_nodes(connection: Connection[Any]) -> None:
    """Delete old rows: nodes that have ended, messages, passwords that were refused. Raises DatabaseError."""
    execute(connection, "forget_nodes")


def runs_elsewhere(connection: Connection[Any], name: str) -> list[dict[str, Any]]:
    """The runs that other nodes make now, as `read_runs` returns runs. Raises DatabaseError."""
    return read_rows(connection, dict_row, "runs_elsewhere", name=name)


def drain_node(connection: Connection[Any], name: str, *, draining: bool) -> bool:
    """Tell a node to start no more runs, or to start runs again; False if there is none. Raises DatabaseError."""
    return execute(connection, "drain_node", name=name, draining=draining).fetchone() is not None


def nodes_named(connection: Connection[Any], name: str, dead_seconds: float) -> list[DeadNode]:
    """All nodes of this name, ended ones too, and whether they give signs of life. Raises DatabaseError."""
    return [DeadNode(*row) for row in execute(connection, "nodes_named", name=name, dead_seconds=dead_seconds)]


def forget_node(
    connection: Connection[Any], name: str, worker_ids: Sequence[int], *, queue: str, own_queue: str
) -> int:
    """Delete ended nodes, and let their jobs wait again, for all nodes; returns how many they were making.

    To be called in a transaction. Raises DatabaseError.
    """
    job_ids: list[int] = []
    if execute(connection, "queue_exists").fetchone():
        execute(connection, "in_queue")
        values = {"worker_ids": list(worker_ids), "queue": queue, "own_queue": own_queue}
        job_ids = [job_id for (job_id,) in execute(connection, "return_jobs", **values)]
        execute(connection, "release_awaiting", job_ids=job_ids)
    execute(connection, "forget_node", name=name)
    return len(job_ids)


def read_waiting(connection: Connection[Any], limit: int) -> tuple[int, list[dict[str, Any]]]:
    """The number of waiting definitions, and what waits and runs by server. Without a queue, nothing. DatabaseError."""
    if execute(connection, "queue_exists").fetchone() is None:
        return 0, []
    row = execute(connection, "waiting_jobs").fetchone()
    return row[0] if row else 0, read_rows(connection, dict_row, "waiting_by_server", limit=limit)
