"""How soon the nodes of a fleet act for each other, and what they use while nothing happens."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from bench.figures import MILLISECONDS, SHARE, Figure
from bench.fleet.takeover import endless_run
from bench.terminal import say, wait_for
from tests.support.fleet import Fleet, FleetNode
from tests.support.fleet_servers import FleetServers

_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE = 100
_DRAINING = "SELECT count(*) FROM contactsync.fleet_nodes WHERE ended_at IS NULL AND draining"
_ENDED = "SELECT extract(epoch FROM finished_at)::float8 FROM contactsync.sync_runs WHERE run_id = %s"
_FAILED = """
SELECT count(DISTINCT definition_id) FROM contactsync.sync_runs WHERE definition_id = ANY (%s) AND outcome = 'failed'
"""
_STARTED = "SELECT extract(epoch FROM started_at)::float8 FROM contactsync.sync_runs WHERE run_id = %s"


def measure_moments(fleet: Fleet, servers: FleetServers, times: int) -> list[Figure]:
    """A trigger and a cancel through another node, and the age of what it shows."""
    return [_trigger(fleet, servers, times), *_cancel(fleet, times), *_refused(fleet, servers)]


def measure_idle(fleet: Fleet, seconds: float) -> list[Figure]:
    """The share of a core that each node uses while nothing is due."""
    say(f"  {seconds:g} idle seconds")
    time.sleep(2)
    before, start = [_exact_seconds(node.pid) for node in fleet.nodes], time.perf_counter()
    time.sleep(seconds)
    passed = time.perf_counter() - start
    shares = [(_exact_seconds(node.pid) - used) / passed for node, used in zip(fleet.nodes, before, strict=True)]
    return [Figure("idle: each node, of one core", 0.005, shares, SHARE)]


def _exact_seconds(pid: int) -> float:
    """The processor time of the threads of a process. /proc/PID/stat counts ticks of 10 ms: a fifth of the limit."""
    times = (Path(task, "schedstat").read_text(encoding="ascii") for task in Path(f"/proc/{pid}/task").iterdir())
    return sum(int(each.split()[0]) for each in times) / 1e9


def cpu_seconds(pid: int) -> float:
    """The processor time that a process and its ended children have used."""
    # The name, the second field, may contain blanks; utime, stime, cutime and cstime are the 14th to the 17th.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS


def cpu_of_servers(servers: FleetServers) -> dict[str, float]:
    """The processor seconds so far of PostgreSQL and of the directories."""
    postmaster = servers.postgres.pid or 0
    return {
        "PostgreSQL": sum(map(cpu_seconds, [postmaster, *_children(postmaster)])),
        "directories": sum(cpu_seconds(each.slapd.pid or 0) for each in servers.directories),
    }


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def _trigger(fleet: Fleet, servers: FleetServers, times: int) -> Figure:
    """Only one node makes runs. How much longer others take to answer with their result than it takes itself."""
    say("  runs requested of a node that does not make them")
    definition = fleet.define("Triggered", **servers.directories[0].definition(3, mode="full"))
    owner, *others = fleet.nodes
    for node in others:
        owner.post("/v1/fleet/drain", node=node.name)
    wait_for(lambda: fleet.value(_DRAINING) == len(others), "The nodes do not drain.", seconds=_PATIENCE)
    fleet.wait_for_leader(*others)
    owner.run(definition)
    own, more = [], []
    for _ in range(3 * times):
        own.append(_seconds(lambda: owner.run(definition)))
        more.append(_seconds(lambda: others[0].run(definition)))
    for node in others:
        owner.post("/v1/fleet/resume", node=node.name)
    wait_for(lambda: fleet.value(_DRAINING) == 0, "The nodes do not resume.", seconds=_PATIENCE)
    return Figure(
        "trigger through another node, beyond the owner's own", 0.1, [median(more) - median(own)], MILLISECONDS
    )


def _cancel(fleet: Fleet, times: int) -> list[Figure]:
    say("  runs shown and cancelled by a node that does not make them")
    measured = [_show_and_cancel(fleet) for _ in range(times)]
    return [
        Figure("cancel through another node", 0.2, [cancelled for _, cancelled, _ in measured], MILLISECONDS),
        Figure("age of the status", 1, [age for shown, _, gone in measured for age in (shown, gone)], MILLISECONDS),
    ]


def _show_and_cancel(fleet: Fleet) -> tuple[float, float, float]:
    """Seconds until another node shows a run, until it has cancelled it, and until it does not show it any more."""
    with endless_run(fleet) as definition:
        run_id, maker = fleet.running(definition)
        other = next(node for node in fleet.nodes if node.name != maker)
        _wait(lambda: _shows(other, run_id), "A run is not shown.")
        shown = time.time() - fleet.value(_STARTED, run_id)
        asked_at = time.time()
        other.post(f"/v1/runs/{run_id}/cancel")
        ended_at = _wait(lambda: fleet.value(_ENDED, run_id), "A run is not cancelled.")
        _wait(lambda: not _shows(other, run_id), "A run is still shown.")
        return shown, ended_at - asked_at, time.time() - ended_at


def _refused(fleet: Fleet, servers: FleetServers) -> list[Figure]:
    """New definitions with one wrong password, all due at once."""
    say("  a refused password")
    directory = servers.directories[1]
    columns = directory.definition(0, bind_user=directory.slapd.limited_dn, password_ref="env:WRONG")  # noqa: S106
    with fleet.person.transaction():
        made = [fleet.define(f"Refused {number}", schedule="every 1h", **columns) for number in range(8)]
    wait_for(lambda: fleet.value(_FAILED, made) == len(made), "Runs did not end.", seconds=_PATIENCE)
    fleet.person.execute("DELETE FROM contactsync.sync_definitions WHERE definition_id = ANY (%s)", [made])
    return [Figure("further log-ons with a refused password", 0, [float(directory.meter.refused - 1)])]


def _wait(condition: Callable[[], Any], failure: str) -> Any:
    return wait_for(condition, failure, seconds=_PATIENCE, poll=0.005)


def _shows(node: FleetNode, run_id: int) -> bool:
    return run_id in {run["run_id"] for run in node.get("/v1/status")["running"]}


def _seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start
