"""How large the tables of the queue become: many jobs, with autovacuum as often for each job as at an everyday rate."""

from __future__ import annotations

import asyncio
import time
from statistics import median
from typing import Any

import psycopg
from procrastinate import App
from procrastinate.jobs import Job, Status
from psycopg import sql

from bench.fleet.results import Queue, QueueSize
from bench.terminal import say
from contactsync.fleet.jobs.connector import QueueConnector
from contactsync.fleet.jobs.schema import QUEUE_SCHEMA, prepare_queue
from tests.support.postgres import FragilePostgres
from tests.support.resources import short_directory

RATE = 111.0
"""Jobs a second of the day that is simulated."""
_NAPTIME = 60.0
"""PostgreSQL's autovacuum_naptime, in seconds."""
_BATCH = 100
_SIZES = """
SELECT c.relname, pg_total_relation_size(c.oid) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind = 'r' AND c.relname LIKE 'procrastinate%%'
ORDER BY 2 DESC, 1
"""
_NODE = """
INSERT INTO contactsync.fleet_nodes (name, token, version, schema_level, key_id) VALUES ('a', 'b', '1', '1', '00')
RETURNING node_id
"""
_VACUUMS = """
SELECT coalesce(sum(autovacuum_count), 0) FROM pg_stat_all_tables WHERE schemaname = %s
"""


def measure_queue(jobs: int, steps: int = 10) -> Queue:
    """Pass so many jobs through the queue, and look at its tables after each step."""
    say(f"  {jobs:,} jobs through the tables of the queue")
    with short_directory() as state, FragilePostgres(state) as postgres:
        conninfo = postgres.new_database()
        prepare_queue(conninfo)
        return asyncio.run(_measure(postgres, conninfo, jobs, steps))


async def _measure(postgres: FragilePostgres, conninfo: str, jobs: int, steps: int) -> Queue:
    options = {"options": f"-c search_path={QUEUE_SCHEMA},pg_catalog"}
    with psycopg.connect(conninfo) as person:
        ((node_id,),) = person.execute(_NODE).fetchall()
    connector = QueueConnector(lambda: node_id, conninfo=conninfo, kwargs=options)
    sizes: list[QueueSize] = []
    naptimes: list[float] = []
    async with (
        App(connector=connector).open_async() as app,
        await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as observer,
    ):
        worker_id = await app.job_manager.register_worker()
        start = time.monotonic()
        for step in range(1, steps + 1):
            begun = time.monotonic()
            await _pass(app, worker_id, jobs // steps)
            naptime = _naptime(jobs / steps / (time.monotonic() - begun))
            # A new setting lets autovacuum begin to wait anew.
            if not naptimes or abs(naptime - naptimes[-1]) > naptimes[-1] / 4:
                _set_naptime(postgres, naptime)
                naptimes.append(naptime)
            rows = await (await observer.execute(_SIZES, [QUEUE_SCHEMA])).fetchall()
            sizes.append(QueueSize(jobs // steps * step, {str(name): int(octets) for name, octets in rows}))
        seconds = time.monotonic() - start
        row = await (await observer.execute(_VACUUMS, [QUEUE_SCHEMA])).fetchone()
    return Queue(jobs / seconds, median(naptimes), sizes, int(row[0]) if row else 0)


async def _pass(app: App, worker_id: int, jobs: int) -> None:
    """Request, take and finish jobs by the statements of the nodes: of 36 locks, with what a run's job has."""
    manager = app.job_manager
    for first in range(0, jobs, _BATCH):
        await manager.batch_defer_jobs_async([_job(number) for number in range(first, min(first + _BATCH, jobs))])
        while job := await manager.fetch_job(["runs"], worker_id):
            await manager.finish_job(job, Status.SUCCEEDED, delete_job=True)


def _job(number: int) -> Job:
    arguments: dict[str, Any] = {"definition_id": number, "trigger": "schedule", "asked": None, "restarts": 0}
    return Job(
        queue="runs",
        task_name="run",
        priority=0,
        lock=f"ldap.example.com:389#{number % 36}",
        queueing_lock=str(number),
        task_kwargs={**arguments, "busy": 0, "only_by_hand": False},
    )


def _naptime(rate: float) -> int:
    """The whole seconds between two looks of autovacuum that are as often for each job as at RATE."""
    return max(1, round(_NAPTIME * RATE / rate))


def _set_naptime(postgres: FragilePostgres, naptime: int) -> None:
    postgres.as_superuser(sql.SQL("ALTER SYSTEM SET autovacuum_naptime = {}").format(sql.Literal(naptime)))
    postgres.as_superuser(sql.SQL("SELECT pg_reload_conf()"))
