"""A node that others have ended begins no run, whatever it was about to do when it lost PostgreSQL."""

from __future__ import annotations

import psycopg
from psycopg.rows import dict_row

from contactsync.dispatch.dispatcher import RunRequest
from contactsync.errors import AlreadyRunning
from contactsync.model import RunReport, Trigger
from contactsync.store.record.fleet import BegunJob
from contactsync.store.record.runs import begin_run
from contactsync.store.statements import statement
from tests.support.fleet_queue import Work, fleet_queue
from tests.support.waiting import wait_until

_DEFINE = """
WITH f AS (INSERT INTO contactsync.folders (name) VALUES ('Staff') RETURNING folder_id)
INSERT INTO contactsync.sync_definitions (folder_id, query, schedule)
SELECT folder_id, 'ldap.example.com', 'manual' FROM f
RETURNING definition_id
"""
_NODES = """
INSERT INTO contactsync.fleet_nodes (name, token, version, schema_level, key_id, worker_id, ended_at)
VALUES ('old', 'a', '1', '1', '00', -7, now()), ('new', 'b', '1', '1', '00', -7, NULL),
       ('other', 'c', '1', '1', '00', -8, NULL)
RETURNING node_id
"""
_WORKERS = "INSERT INTO contactsync_queue.procrastinate_workers (id) OVERRIDING SYSTEM VALUE VALUES (-7), (-8)"
_JOB = """
INSERT INTO contactsync_queue.procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args)
VALUES ('runs', 'run', 'fence', 'fence', '{}')
"""


class Beginning(Work):
    """Runs that begin in the database, after the gate, over a session of their own."""

    def __init__(self, database: str) -> None:
        super().__init__()
        self.refused: list[RunRequest] = []
        self.begun: list[RunRequest] = []
        self._database = database

    def __call__(self, request: RunRequest) -> RunReport:
        """Begin a run."""
        super().__call__(request)
        with psycopg.connect(self._database, autocommit=True) as session:
            try:
                report = begin_run(session, request.definition_id, request.trigger, node_id=request.node_id).report
            except AlreadyRunning:
                self.refused.append(request)
                raise
        self.begun.append(request)
        return report


def test_a_run_does_not_begin_over_a_session_that_is_newer_than_the_end_of_the_node(queue_database: str) -> None:
    """Those who end a node end only the sessions that it has then. The run is made when the node has joined again."""
    work = Beginning(queue_database)
    with psycopg.connect(queue_database, autocommit=True) as person, fleet_queue(queue_database, work, "a") as queue:
        ((definition_id,),) = person.execute(_DEFINE).fetchall()
        queue.request(definition_id, Trigger.SCHEDULE)
        work.wait_for(1)
        before = queue.node.node_id
        person.execute(
            "UPDATE contactsync.fleet_nodes SET ended_at = now(), settled = true WHERE node_id = %s", [before]
        )
        wait_until(lambda: queue.node.node_id != before, "the node to join again")
        work.open()
        wait_until(lambda: work.begun, "the run")
        person.execute("DELETE FROM contactsync.folders")
    assert [request.node_id for request in work.refused] == [before]
    assert work.begun[0].node_id == queue.node.node_id


def test_a_node_that_others_have_ended_takes_no_job(queue_database: str) -> None:
    """Neither does its worker after the node has another id. Others request again all jobs of this worker."""
    with psycopg.connect(queue_database, row_factory=dict_row) as person:
        person.execute(_WORKERS)
        old, new, other = (row["node_id"] for row in person.execute(_NODES).fetchall())
        person.execute(_JOB)

        def take(node_id: int, worker_id: int) -> int | None:
            values = {"job_id": None, "status": None, "queues": ["runs"], "node_id": node_id, "worker_id": worker_id}
            row = person.execute(statement("take_job"), values).fetchone() or {}
            return BegunJob.of(row).node_id if row["id"] else None

        person.execute(statement("in_queue"))
        assert [take(old, -7), take(new, -7), take(new, -8), take(other, -8)] == [None, None, new, None]
        person.rollback()
