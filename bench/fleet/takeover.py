"""How soon others make the runs of a node that is dead, stopped or cut off, and what it may commit then."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any

import httpx
import ldap3
import psycopg

from bench.figures import SECONDS, Figure
from bench.terminal import say, wait_for
from tests.support.fleet import Fleet, FleetNode
from tests.support.fleet_servers import FleetServers, MeteredDirectory
from tests.support.fleet_storm import late_commits
from tests.support.peers import silent_server

_PATIENCE = 100
_names = count(1)
_NEXT = """
SELECT extract(epoch FROM started_at)::float8 FROM contactsync.sync_runs
WHERE definition_id = %s AND run_id > %s AND node <> %s ORDER BY run_id LIMIT 1
"""
_ALIVE = "SELECT count(*) FROM contactsync.fleet_nodes WHERE ended_at IS NULL AND died = false"
_LISTENER = "SELECT name FROM contactsync.fleet_nodes WHERE ended_at IS NULL AND listening > 0"
_TITLES = """
SELECT c.source_dn, c.title FROM contactsync.contacts AS c WHERE c.definition_id = %s AND c.title LIKE 'Live %%'
"""
_LOADED = "SELECT count(*) FROM contactsync.contacts WHERE definition_id = %s"
_LOCKED = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE %s AND wait_event_type = 'Lock'"
_OUTCOMES = "SELECT outcome FROM contactsync.sync_runs WHERE definition_id = %s ORDER BY run_id"


def measure_takeovers(fleet: Fleet, servers: FleetServers, times: int) -> list[Figure]:
    """The figures of each way to lose a node, so many times."""
    ways: dict[str, tuple[float, Callable[[FleetNode], None], Callable[[FleetNode], None]]] = {
        "kill -9": (8, FleetNode.kill, FleetNode.start),
        "SIGSTOP": (10, _stop, _continue),
        "a cut network": (10, partial(_cut, fleet, servers), partial(_heal, fleet, servers)),
    }
    figures = []
    for way, (most, harm, repair) in ways.items():
        say(f"  a run begun again after {way}")
        values = [_restart(fleet, harm, repair) for _ in range(times)]
        figures.append(Figure(f"a dead node's run begun again after {way}", most, values, SECONDS))
    return figures


def measure_live(fleet: Fleet, servers: FleetServers, times: int) -> list[Figure]:
    """Kill the node that listens for a live folder while people change."""
    say("  a live folder listened for again after a kill")
    directory = servers.directories[-1]
    definition = fleet.define(f"Live {next(_names)}", **directory.definition(0, mode="live"))
    wait_for(lambda: fleet.value(_LOADED, definition), "A live folder is not loaded.", seconds=_PATIENCE)
    heard, lost = zip(*(_kill_listener(fleet, directory, definition) for _ in range(times)), strict=True)
    followed = max(0, directory.meter.most_listening - 1)
    _remove(fleet, definition)
    return [
        Figure("a live folder listened for again after a kill", 8, list(heard), SECONDS),
        Figure("changes lost meanwhile", 0, [float(sum(lost))]),
        Figure("a second node that listens for the same folder", 0, [float(followed)]),
    ]


def measure_wake(fleet: Fleet, servers: FleetServers) -> list[Figure]:
    """Stop a node in the middle of its apply, and let it wake up when another one has made the run."""
    say("  a node that is stopped in mid-apply and wakes up later")
    definition = fleet.define(f"Woken {next(_names)}", **servers.directories[0].definition(1))
    before = late_commits(fleet)
    with fleet.person.transaction():
        fleet.person.execute("LOCK TABLE contactsync.contacts IN SHARE MODE")
        fleet[0].post(f"/v1/definitions/{definition}/sync", 202)
        stopped = fleet.named(fleet.running(definition)[1])
        waits = partial(fleet.value, _LOCKED, f"contactsync {stopped.name} %")
        wait_for(waits, "No run applies.", seconds=_PATIENCE)
        stopped.send(signal.SIGSTOP)
    wait_for(partial(_was_made_again, fleet, definition), "No other node made the run.", seconds=_PATIENCE)
    stopped.send(signal.SIGCONT)
    _wait_for_all(fleet)
    if (outcome := stopped.run(definition)["outcome"]) != "unchanged":
        raise SystemExit(f"A node that woke up left a folder that was not in sync: its next run is {outcome}.")
    _remove(fleet, definition)
    return [Figure("committed by a node that woke up later", 0, [float(late_commits(fleet) - before)])]


def measure_restart(fleet: Fleet, servers: FleetServers) -> list[Figure]:
    """Restart PostgreSQL, and wait until each node answers with the result of a run."""
    say("  a restart of PostgreSQL")
    definition = fleet.define(f"Restarted {next(_names)}", **servers.directories[0].definition(2))
    fleet[0].run(definition)
    fleet.person.close()
    servers.postgres.crash(signal.SIGINT)
    servers.postgres.start()
    start = time.monotonic()
    fleet.person = psycopg.connect(servers.conninfo, autocommit=True)
    for node in fleet.nodes:
        wait_for(partial(_works, node, definition), f"{node.name} does not work.", seconds=_PATIENCE)
    seconds = time.monotonic() - start
    _wait_for_all(fleet)
    _remove(fleet, definition)
    return [Figure("PostgreSQL restarted: all nodes have made a run", 10, [seconds], SECONDS)]


@contextmanager
def endless_run(fleet: Fleet) -> Iterator[int]:
    """A definition whose directory never answers, with its run in progress."""
    with silent_server() as port:
        definition = fleet.define(f"Endless {next(_names)}", query=f"127.0.0.1:{port}", base="dc=x")
        fleet[0].post(f"/v1/definitions/{definition}/sync", 202)
        yield definition
        _remove(fleet, definition)


def _restart(fleet: Fleet, harm: Callable[[FleetNode], Any], repair: Callable[[FleetNode], Any]) -> float:
    with endless_run(fleet) as definition:
        run_id, maker = fleet.running(definition)
        node = fleet.named(maker)
        harmed_at = time.time()
        harm(node)
        again = partial(fleet.rows, _NEXT, definition, run_id, maker)
        ((started_at,),) = wait_for(again, f"No node made the run of {maker}.", seconds=_PATIENCE)
        repair(node)
        _wait_for_all(fleet)
    return float(started_at - harmed_at)


def _kill_listener(fleet: Fleet, directory: MeteredDirectory, definition: int) -> tuple[float, int]:
    """The seconds from the kill until a node listens again, and how many changes did not arrive."""
    ((name,),) = wait_for(lambda: fleet.rows(_LISTENER), "No node listens.", seconds=_PATIENCE)
    time.sleep(1)
    node, admin, wanted = fleet.named(name), directory.slapd.connection(), {}
    killed_at = time.time()
    node.kill()
    end = killed_at + 10
    for number in count():
        dn, title = directory.person(number % 20), f"Live {killed_at:.0f} {number}"
        admin.modify(dn, {"title": [(ldap3.MODIFY_REPLACE, [title])]})
        wanted[dn] = title
        listened = [at for at in directory.meter.listened_at if at > killed_at]
        if (listened and time.time() > listened[0] + 1) or time.time() > end:
            break
        time.sleep(0.1)
    admin.unbind()
    deadline = time.monotonic() + 20
    while (lost := len(wanted.items() - fleet.rows(_TITLES, definition))) and time.monotonic() < deadline:
        time.sleep(0.1)
    wait_for(lambda: any(at > killed_at for at in directory.meter.listened_at), "No node listens.", seconds=_PATIENCE)
    seconds = min(at for at in directory.meter.listened_at if at > killed_at) - killed_at
    node.start()
    _wait_for_all(fleet)
    return seconds, lost


def _stop(node: FleetNode) -> None:
    node.send(signal.SIGSTOP)


def _continue(node: FleetNode) -> None:
    node.send(signal.SIGCONT)


def _cut(fleet: Fleet, servers: FleetServers, node: FleetNode) -> None:
    servers.links[fleet.nodes.index(node)].pause()


def _heal(fleet: Fleet, servers: FleetServers, node: FleetNode) -> None:
    servers.links[fleet.nodes.index(node)].heal()


def _was_made_again(fleet: Fleet, definition: int) -> bool:
    return [outcome for (outcome,) in fleet.rows(_OUTCOMES, definition)] == ["interrupted", "changed"]


def _works(node: FleetNode, definition: int) -> bool:
    try:
        response = node.http.post(f"/v1/definitions/{definition}/sync", params={"wait": True})
    except httpx.TransportError:
        return False
    return response.is_success and response.json()["runs"][0]["outcome"] in {"changed", "unchanged"}


def _remove(fleet: Fleet, definition: int) -> None:
    """Remove a definition, and cancel its run."""
    fleet.person.execute("DELETE FROM contactsync.sync_definitions WHERE definition_id = %s", [definition])
    for node in fleet.nodes:
        for run in node.get("/v1/status")["running"]:
            node.http.post(f"/v1/runs/{run['run_id']}/cancel")


def _wait_for_all(fleet: Fleet) -> None:
    """Wait until all nodes are members, and ready."""
    number = len(fleet.nodes)
    wait_for(lambda: fleet.value(_ALIVE) == number, "A node did not join again.", seconds=_PATIENCE)
    for node in fleet.nodes:
        wait_for(node.is_ready, f"{node.name} is not ready.", seconds=_PATIENCE)
