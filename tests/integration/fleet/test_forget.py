"""A node that is gone for ever, and that no other node has ended, is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from contactsync.errors import NodeAlive, NotFound
from contactsync.model import Actor
from contactsync.operations.fleet import ForgottenNode, forget
from contactsync.store.session import connect
from contactsync.store.statements import execute
from tests.support.waiting import PATIENCE, wait_until

ACTOR = Actor("user", "test", "cli")
_NODE = """
INSERT INTO contactsync.fleet_nodes (name, token, version, schema_level, key_id, worker_id, heartbeat_at)
VALUES (%s, 'a', '1', '1', '00', %s, now() - make_interval(secs => %s)) RETURNING node_id
"""
_WORKER = "INSERT INTO contactsync_queue.procrastinate_workers DEFAULT VALUES RETURNING id"
_JOB = """
INSERT INTO contactsync_queue.procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args, status, worker_id)
VALUES (%s, 'run', %s, %s, '{}', %s, %s) RETURNING id
"""
_JOBS = """
SELECT id, queue_name, status::text, worker_id FROM contactsync_queue.procrastinate_jobs
WHERE lock LIKE 'forgotten%' ORDER BY id
"""
_AWAITED = """
INSERT INTO contactsync.fleet_messages (from_node, kind, definition_id, job_id) VALUES (0, 'await', 0, %s)
RETURNING message_id
"""


@pytest.fixture
def person(queue_database: str) -> Iterator[psycopg.Connection[Any]]:
    """Connect as a person with the queue in the search path, and leave no job."""
    options = "-c search_path=contactsync_queue,pg_catalog"
    with psycopg.connect(queue_database, autocommit=True, options=options) as person:
        yield person
        person.execute("DELETE FROM contactsync_queue.procrastinate_jobs")
        person.execute("DELETE FROM contactsync.fleet_nodes")
        person.execute("DELETE FROM contactsync.fleet_messages")


def test_its_jobs_wait_again_for_all_nodes(person: psycopg.Connection[Any], queue_database: str) -> None:
    """Those that it was making, each once, and those that were left to it."""

    def job(*values: Any) -> int:
        ((job_id,),) = person.execute(_JOB, values).fetchall()
        return int(job_id)

    ((worker,), (other_worker,)) = (person.execute(_WORKER).fetchone() or (0,) for _ in range(2))
    person.execute(_NODE, ["gone", worker, 60])
    person.execute(_NODE, ["here", other_worker, 0])
    made = job("runs", "forgotten 1", "1", "doing", worker)
    left = job("runs@gone", "forgotten 2", "2", "doing", worker)
    job("runs", "forgotten 3", "3", "doing", worker)
    twin = job("runs", "forgotten 3", "3", "todo", None)
    waits = job("runs@gone", "forgotten 4", "4", "todo", None)
    others = job("runs", "forgotten 5", "5", "doing", other_worker)
    ((message,),) = person.execute(_AWAITED, [made]).fetchall()
    with psycopg.connect(queue_database, autocommit=True) as session:
        forgotten = forget(session, "gone", ACTOR)
        assert forgotten.runs == 3
        with pytest.raises(NodeAlive):
            forget(session, "here", ACTOR)
        with pytest.raises(NotFound):
            forget(session, "gone", ACTOR)
    todo = [(job_id, "runs", "todo", None) for job_id in (made, left, twin, waits)]
    assert person.execute(_JOBS).fetchall() == [*todo, (others, "runs", "doing", other_worker)]
    names = person.execute("SELECT name FROM contactsync.fleet_nodes").fetchall()
    assert names == [("here",)]
    awaited = person.execute("SELECT job_id FROM contactsync.fleet_messages WHERE message_id = %s", [message])
    assert awaited.fetchone() == (None,)
    audited = person.execute("SELECT actor, after FROM contactsync.audit WHERE action = 'node.forgotten'").fetchall()
    assert audited == [("test", {"node": "gone"})]


def test_another_node_that_ends_it_at_the_same_time_is_waited_for(
    person: psycopg.Connection[Any], queue_database: str
) -> None:
    """Its sessions may still commit, until that node has ended them: nobody makes its runs before."""
    ((worker,),) = person.execute(_WORKER).fetchall()
    ((node_id,),) = person.execute(_NODE, ["gone", worker, 60]).fetchall()
    ((job_id,),) = person.execute(_JOB, ["runs", "forgotten 1", "1", "doing", worker]).fetchall()

    def forget_it() -> ForgottenNode:
        with connect(queue_database, application_name="forgetting") as session:
            return forget(session, "gone", ACTOR)

    heir = "hashtextextended('contactsync.heir', %s)"
    waits = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with ThreadPoolExecutor(1) as threads:
        person.execute(f"SELECT pg_advisory_lock({heir})", [node_id])
        try:
            forgotten = threads.submit(forget_it)
            wait_until(lambda: person.execute(waits).fetchone() is not None, "the wait for the other node")
            assert person.execute(_JOBS).fetchall() == [(job_id, "runs", "doing", worker)]
        finally:
            person.execute(f"SELECT pg_advisory_unlock({heir})", [node_id])
        assert forgotten.result(PATIENCE).runs == 1


def test_jobs_that_were_left_to_a_node_that_is_gone_are_for_all(person: psycopg.Connection[Any]) -> None:
    """Also if no node has noted any more that it lacks something of their definitions."""
    person.execute(_NODE, ["gone", None, 60])
    person.execute(_NODE, ["here", None, 0])
    queues = {"runs": "runs", "runs@gone": "runs", "runs@here": "runs@here", "runs@unknown": "runs"}
    jobs = {}
    for number, queue in enumerate(queues):
        ((job_id,),) = person.execute(_JOB, [queue, f"forgotten {number}", str(number), "todo", None]).fetchall()
        jobs[job_id] = queues[queue]
    execute(person, "recall_jobs", queue="runs", dead_seconds=6)
    assert {job_id: queue for job_id, queue, *_ in person.execute(_JOBS)} == jobs
