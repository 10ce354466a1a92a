"""What the living do for a node that died."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog

from contactsync.errors import DatabaseConflict, DatabaseUnavailable
from contactsync.fleet.identity import application_name
from contactsync.store.pool import Pool, connection_of
from contactsync.store.record.runs import interrupt_abandoned
from contactsync.store.statements import execute

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.fleet.jobs.engine import Engine
    from contactsync.store.record.fleet import DeadNode

log = structlog.get_logger()

_END_SECONDS = 10.0
_POLL_SECONDS = 0.02


def settle(pool: Pool, engine: Engine, dead: DeadNode) -> None:
    """End a node, and request its runs again. Raises DatabaseError, ConnectorException."""
    with connection_of(pool) as connection:
        if not end(connection, dead):
            return
        job_ids = engine.request_again(dead.worker_id)
        execute(connection, "release_awaiting", job_ids=job_ids)
        execute(connection, "settle_node", node_id=dead.node_id)
    log.warning("fleet.node_died", node=dead.name, node_id=dead.node_id, runs=len(job_ids))


def end(connection: Connection[Any], dead: DeadNode, *, wait: bool = False) -> bool:
    """End a node's sessions and close its runs, before they are requested again. False if another heir does that.

    With `wait` it waits for the other heir, so that afterwards the node has ended in any case.

    The order is the fence: first the node may begin no run, then none of its open transactions can be committed. The
    connection is to have no transaction, and to be returned to its pool afterwards. Raises DatabaseError.
    """
    if wait:
        execute(connection, "await_heir", node_id=dead.node_id)
    elif execute(connection, "inherit", node_id=dead.node_id).fetchone() != (True,):
        return False
    if not execute(connection, "end_node", node_id=dead.node_id).rowcount:
        return False  # another heir was faster
    _end_sessions(connection, application_name(dead.name, dead.token))
    with suppress(DatabaseConflict):
        for run_id, definition in interrupt_abandoned(connection):
            log.warning("run.interrupted", folder=definition, run=run_id)
    return True


def restart_orphans(pool: Pool, engine: Engine, running: set[int], seconds: float) -> None:
    """Request again the runs of jobs that no worker makes any more. Raises DatabaseError, ConnectorException."""
    with connection_of(pool) as connection:
        living = [worker_id for (worker_id,) in execute(connection, "living_workers")]
        job_ids = engine.restart_orphans(living, running, seconds)
        if job_ids:
            execute(connection, "release_awaiting", job_ids=job_ids)
            log.warning("fleet.runs_restarted", runs=len(job_ids))


def _end_sessions(connection: Connection[object], name: str) -> None:
    end = time.monotonic() + _END_SECONDS
    while execute(connection, "end_sessions", application_name=name).fetchone() != (0,):
        if time.monotonic() > end:
            raise DatabaseUnavailable("The sessions of a node that died do not end.", hint="See pg_stat_activity.")
        time.sleep(_POLL_SECONDS)
