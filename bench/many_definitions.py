"""A hundred thousand definitions on three nodes: their starts, their memory, and their runs by the schedule."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg

from bench.directory import TEAM_SIZE
from bench.fleet.moments import cpu_of_servers, cpu_seconds
from bench.terminal import say, wait_for
from tests.support.fleet import Fleet, FleetNode
from tests.support.fleet_servers import PEOPLE_BASE, FleetServers, fleet_servers

NODES = 3
SCHEDULES = ("every 300d", "@yearly", "0 9 29 2 *")
"""None of them runs during the starts: an interval, cron, and the day that is farthest away."""
_RATE = 100_000 / 900
"""Runs a second: each of 100,000 definitions every quarter of an hour."""
_LATE_SECONDS = 20
_TEAMS = 500
_PATIENCE = 1800

# Each is one person, and looks as if it had just run.
_DEFINE = """
WITH added AS (
    INSERT INTO contactsync.folders (name) SELECT 'f' || lpad(n::text, 7, '0')
    FROM generate_series(0, %(definitions)s - 1) AS n RETURNING folder_id, substr(name, 2)::int %% %(people)s AS person
), defined AS (
    INSERT INTO contactsync.sync_definitions
        (folder_id, query, base, scope, bind_user, password_ref, tls, schedule, jitter_seconds, mode)
    SELECT folder_id, %(url)s, 'uid=u' || lpad(person::text, 7, '0')
        || ',ou=t' || lpad((person / %(team)s)::text, 6, '0') || ',' || %(base)s,
        'base', %(user)s, %(password)s, 'none', %(schedule)s, 0, 'full'
    FROM added RETURNING folder_id, definition_id
)
INSERT INTO contactsync.sync_status (folder_id, definition_id, last_started_at, last_revision)
SELECT folder_id, definition_id, now(), 1 FROM defined
"""
_RESCHEDULE = "UPDATE contactsync.sync_definitions SET schedule = %s, jitter_seconds = %s"
_JUST_RAN = """
UPDATE contactsync.sync_status AS s SET last_started_at = now(), last_revision = d.revision, next_run_at = NULL
FROM contactsync.sync_definitions AS d WHERE d.definition_id = s.definition_id
"""
# A run that has applied its changes has an outcome before its end.
_RUNS = """
SELECT count(*) FILTER (WHERE outcome IN ('changed', 'unchanged')), count(*)
FROM contactsync.sync_runs WHERE finished_at IS NOT NULL
"""
_FAILURES = """
SELECT concat_ws(': ', outcome, error_code, error) FROM contactsync.sync_runs
WHERE finished_at IS NOT NULL AND outcome NOT IN ('changed', 'unchanged') ORDER BY run_id LIMIT 10
"""
# A definition whose time has come has a new time as soon as it has fired, and a run soon after.
_LATE = """
SELECT count(*) FROM contactsync.sync_status WHERE next_run_at < now() - make_interval(secs => %s)
"""


@dataclass(frozen=True)
class Start:
    """Seconds until all nodes have read all definitions, and the first node, which leads, has scheduled them."""

    schedule: str
    seconds: float


@dataclass(frozen=True)
class ManyDefinitions:
    """The maximum memory in bytes is that of the node that leads, and of the others together the largest.

    `late` are definitions that were due for 20 seconds and have not run. `waiting` are those that wait before the
    measured seconds, and after them. `failures` are the errors of the first runs that failed. `cpu` has the processor
    seconds of each kind of process.
    """

    definitions: int
    starts: list[Start]
    seconds: float
    runs: int
    failed: int
    failures: list[str]
    late: int
    waiting: tuple[int, int]
    cpu: dict[str, float]
    leader_peak: int
    others_peak: int


def measure_definitions(options: argparse.Namespace) -> ManyDefinitions:
    """Measure so many definitions for so many seconds."""
    say(f"{options.definitions:,} definitions on {NODES} nodes")
    with (
        fleet_servers(nodes=0, directories=1, teams=_TEAMS, fsync=True) as servers,
        psycopg.connect(servers.conninfo, autocommit=True) as connection,
        servers.fleet(NODES) as fleet,
    ):
        many = _Many(fleet, servers, connection, options.definitions)
        starts = [many.start(schedule) for schedule in SCHEDULES]
        return ManyDefinitions(options.definitions, starts, **many.run(options.definitions_seconds))


def write(results: ManyDefinitions, folder: Path) -> None:
    """Write definitions.json."""
    (folder / "definitions.json").write_text(json.dumps(asdict(results), indent=2) + "\n", encoding="utf-8")


def show(results: ManyDefinitions) -> None:
    """Print the results."""
    for start in results.starts:
        say(f"  started with {start.schedule!r}: {start.seconds:.1f} s")
    say(
        f"  {results.runs:,} runs in {results.seconds:.0f} s ({results.runs / results.seconds:.0f} a second),"
        f" {results.failed} failed, {results.late} late,"
        f" {results.waiting[0]:,} waiting before and {results.waiting[1]:,} after"
    )
    for failure in results.failures:
        say(f"    {failure}")
    runs = max(1, results.runs)
    say(
        f"  {1000 * sum(results.cpu.values()) / runs:.1f} ms of a processor for each run: "
        + ", ".join(f"{what} {1000 * seconds / runs:.1f}" for what, seconds in results.cpu.items())
    )
    say(f"  memory: {results.leader_peak >> 20} MB of the node that leads, {results.others_peak >> 20} MB of others")


class _Many:
    """The definitions, and the fleet that follows them."""

    def __init__(
        self, fleet: Fleet, servers: FleetServers, connection: psycopg.Connection[Any], definitions: int
    ) -> None:
        self._fleet = fleet
        self._servers = servers
        self._connection = connection
        self._definitions = definitions
        self._stop()  # they have made the tables of the queue
        directory = servers.directories[0]
        values = {"url": f"ldap://127.0.0.1:{directory.slapd.port}", "base": PEOPLE_BASE, "team": TEAM_SIZE}
        values |= {"user": directory.slapd.reader_dn, "password": f"env:{directory.reader}", "schedule": SCHEDULES[0]}
        connection.execute(_DEFINE, values | {"definitions": definitions, "people": _TEAMS * TEAM_SIZE})

    def start(self, schedule: str) -> Start:
        """The start of all nodes with this schedule."""
        seconds = self._start(schedule, 0)
        self._stop()
        say(f"  {schedule!r}: started after {seconds:.1f} s")
        return Start(schedule, seconds)

    def run(self, seconds: float) -> dict[str, Any]:
        """Runs by a schedule that spreads them evenly."""
        interval = round(self._definitions / _RATE)
        self._start(f"every {interval}s", interval)
        say(f"  {_RATE:.0f} runs a second for {seconds:g} s")
        waiting, before, used, start = self._waiting(), self._runs(), self._cpu(), time.monotonic()
        time.sleep(seconds)
        runs, passed = self._runs(), time.monotonic() - start
        cpu = {what: after - used[what] for what, after in self._cpu().items()}
        ((late,),) = self._connection.execute(_LATE, [_LATE_SECONDS]).fetchall()
        leader = self._fleet.leader()
        peaks = {node.name: _peak(node.pid) for node in self._fleet.nodes}
        return {
            "seconds": passed,
            "runs": runs[0] - before[0],
            "failed": runs[1] - before[1] - (runs[0] - before[0]),
            "failures": [failure for (failure,) in self._connection.execute(_FAILURES)],
            "late": late,
            "waiting": (waiting, self._waiting()),
            "cpu": cpu,
            "leader_peak": peaks.pop(leader.name) if leader else 0,
            "others_peak": max(peaks.values()),
        }

    def _waiting(self) -> int:
        return int(self._fleet[0].get("/v1/status")["waiting"])

    def _cpu(self) -> dict[str, float]:
        """The processor seconds so far of all processes."""
        leader = self._fleet.leader()
        others = [node for node in self._fleet.nodes if node is not leader]
        return {
            "the leader": cpu_seconds(leader.pid) if leader else 0.0,
            "other nodes": sum(cpu_seconds(node.pid) for node in others),
            **cpu_of_servers(self._servers),
        }

    def _runs(self) -> tuple[int, int]:
        ((succeeded, ended),) = self._connection.execute(_RUNS).fetchall()
        return succeeded, ended

    def _stop(self) -> None:
        for node in self._fleet.nodes:
            node.stop()

    def _start(self, schedule: str, jitter: int) -> float:
        """Start all nodes with another schedule; the seconds until they are ready."""
        self._connection.execute(_RESCHEDULE, [schedule, jitter])
        self._connection.execute(_JUST_RAN)
        self._connection.execute("VACUUM ANALYZE contactsync.sync_definitions, contactsync.sync_status")
        start = time.perf_counter()
        for node in self._fleet.nodes:
            node.launch()
        for node in self._fleet.nodes:
            wait_for(partial(self._has_started, node), "A node did not start.", seconds=_PATIENCE)
        wait_for(self._all_scheduled, "The definitions are not scheduled.", seconds=_PATIENCE)
        return time.perf_counter() - start

    def _has_started(self, node: FleetNode) -> bool:
        try:
            return node.is_ready() and node.follows(self._definitions)
        except httpx.TransportError:
            return False

    def _all_scheduled(self) -> bool:
        (scheduled,) = self._connection.execute(
            "SELECT NOT EXISTS (SELECT FROM contactsync.sync_status WHERE next_run_at IS NULL)"
        ).fetchone() or (False,)
        return bool(scheduled)


def _peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))
