"""The tables of the queue: their index, and that autovacuum keeps them small."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from contactsync.fleet.jobs.schema import QUEUE_OPTIONS, QUEUE_SCHEMA, prepare_queue
from contactsync.store.statements import statement
from tests.support.postgres import FragilePostgres
from tests.support.resources import short_directory
from tests.support.waiting import wait_until

_FILL = """
INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args)
SELECT 'runs', 'run', 'server#' || number %% 4, number::text, '{}' FROM generate_series(%s::int, %s) AS number
"""
_NODE = """
INSERT INTO contactsync.fleet_nodes (name, token, version, schema_level, key_id) VALUES ('a', 'b', '1', '1', '00')
RETURNING node_id
"""
_WAITING, _DONE = 80_000, 12_000
"""Jobs that wait, and that come and go. A fifth of the rows, which PostgreSQL waits for by default, is more."""
_DEAD = "SELECT max(n_dead_tup) FROM pg_stat_user_tables WHERE schemaname = %s"
_FEW = 1000
_FEW_PAGES = 150
_OCTETS = "SELECT pg_total_relation_size('procrastinate_jobs') + pg_total_relation_size('procrastinate_events')"


def _dead_rows(person: psycopg.Connection[Any]) -> int:
    """The most of a table, by the statistics that autovacuum reads."""
    person.execute("SELECT pg_stat_force_next_flush()")
    ((rows,),) = person.execute(_DEAD, [QUEUE_SCHEMA]).fetchall()
    return int(rows)


def _pages(worker: psycopg.Connection[Any], name: str, node_id: int) -> int:
    """The pages that a prepared statement reads the second time: the first one marks index entries of dead rows."""
    explain = sql.SQL("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {} (NULL, NULL, {}, NULL, '{{runs}}')")
    pages = 0
    for _ in range(2):
        (([found],),) = worker.execute(explain.format(sql.Identifier(name), node_id)).fetchall()
        pages = found["Plan"]["Shared Hit Blocks"] + found["Plan"]["Shared Read Blocks"]
        worker.execute("UPDATE procrastinate_jobs SET status = 'todo' WHERE lock = 'server#0' AND status = 'doing'")
    return pages


def test_tables_of_an_earlier_release_get_their_index_and_trigger(queue_database: str) -> None:
    """Once; without the index, to take a job takes longer the more jobs wait."""
    assert prepare_queue(queue_database) == []
    with psycopg.connect(queue_database, autocommit=True) as person:
        person.execute("DROP INDEX contactsync_queue.jobs_of_lock")
        assert prepare_queue(queue_database)
        person.execute("DROP TRIGGER notify_of_jobs ON contactsync_queue.procrastinate_jobs")
        assert prepare_queue(queue_database)
        index = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'contactsync_queue' AND indexname = 'jobs_of_lock'"
        assert person.execute(index).fetchone() is not None
    assert prepare_queue(queue_database) == []


def test_to_take_a_job_reads_few_pages_however_many_wait(queue_database: str) -> None:
    """With a plan that was made when no job waited, and with one by the statistics of thousands."""
    with psycopg.connect(queue_database, autocommit=True, options=QUEUE_OPTIONS) as worker:
        ((node_id,),) = worker.execute(_NODE).fetchall()
        values = {"job_id": None, "status": None, "queues": ["runs"], "node_id": node_id, "worker_id": None}
        worker.execute(statement("take_job"), values, prepare=True)
        ((name,),) = worker.execute("SELECT name FROM pg_prepared_statements").fetchall()
        worker.execute(_FILL, [1, 10_000])
        worker.execute("UPDATE procrastinate_jobs SET status = 'doing' WHERE queueing_lock IN ('1', '2', '3')")
        pages = [_pages(worker, name, node_id)]
        worker.execute("ANALYZE procrastinate_jobs")
        pages.append(_pages(worker, name, node_id))
        worker.execute("DELETE FROM procrastinate_jobs WHERE lock = 'server#0'")
        pages.append(_pages(worker, name, node_id))
        worker.execute("DELETE FROM procrastinate_jobs")
        worker.execute("DELETE FROM contactsync.fleet_nodes")
    assert max(pages) < _FEW_PAGES, pages


def test_tables_are_vacuumed_and_do_not_grow() -> None:
    """Thousands of jobs come and go beside many that wait; autovacuum, each second, makes room for as many."""
    with short_directory() as state, FragilePostgres(state) as postgres:
        conninfo = postgres.new_database()
        prepare_queue(conninfo)
        postgres.as_superuser(sql.SQL("ALTER SYSTEM SET autovacuum_naptime = 1"))
        postgres.as_superuser(sql.SQL("SELECT pg_reload_conf()"))
        sizes = []
        with psycopg.connect(conninfo, autocommit=True, options=QUEUE_OPTIONS) as person:
            person.execute(_FILL, [1, _WAITING])
            person.execute("VACUUM (ANALYZE) procrastinate_jobs, procrastinate_events")
            for _ in range(3):
                person.execute(_FILL, [_WAITING + 1, _WAITING + _DONE])
                person.execute("DELETE FROM procrastinate_jobs WHERE queueing_lock::int > %s", [_WAITING])
                wait_until(lambda: _dead_rows(person) < _FEW, "autovacuum")
                ((size,),) = person.execute(_OCTETS).fetchall()
                sizes.append(size)
    assert sizes[2] <= 1.1 * sizes[1], sizes
