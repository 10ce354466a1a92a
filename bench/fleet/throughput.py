"""A round of many small folders on one, two and three nodes, and on a daemon without a fleet."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any

import psycopg

from bench.fleet.moments import cpu_of_servers, cpu_seconds
from bench.fleet.results import Round
from bench.terminal import say, wait_for
from tests.support.definitions import define
from tests.support.fleet import FleetNode
from tests.support.fleet_servers import FleetServers, fleet_servers

_DIRECTORIES = 2
_PATIENCE = 1800
_RAN = "SELECT count(*) FROM contactsync.sync_runs WHERE run_id > %s AND finished_at IS NOT NULL"
_LAST = "SELECT coalesce(max(run_id), 0) FROM contactsync.sync_runs"
_SPAN = """
SELECT count(*), extract(epoch FROM max(finished_at) - %(since)s::timestamptz)::float8
FROM contactsync.sync_runs WHERE run_id > %(after)s
"""
_FAILED = "SELECT error FROM contactsync.sync_runs WHERE outcome NOT IN ('changed', 'unchanged') LIMIT 1"


def measure_rounds(folders: int, most_nodes: int = 3) -> list[Round]:
    """A round of so many folders with each number of nodes; the first of all fills them, and is not measured."""
    with fleet_servers(nodes=0, directories=_DIRECTORIES, teams=folders // _DIRECTORIES, fsync=True) as servers:
        with psycopg.connect(servers.conninfo, autocommit=True) as person:
            for number, directory in enumerate(servers.directories):
                for team in range(directory.teams):
                    columns = directory.definition(team, mode="full", schedule="manual", query=directory.slapd.url)
                    define(person, directory.slapd, f"Team {number}-{team}", **columns)
        return [_measure(servers, nodes, filled=nodes > 0) for nodes in range(most_nodes + 1)]


def _measure(servers: FleetServers, number: int, *, filled: bool) -> Round:
    say(f"  a round of the folders with {number or 'no'} node{'s' if number != 1 else ''} of a fleet")
    passwords = {each.reader: each.slapd.reader_password for each in servers.directories}
    with ExitStack() as stack:
        nodes = []
        for name in [f"node-{index}" for index in range(1, number + 1)] or ["alone"]:
            place = servers.place / f"{number}-{name}"
            place.mkdir()
            settings = {"CONTACTSYNC_SECRETS__KEY_FILE": str(servers.place / "secret.key"), **passwords}
            node = FleetNode(name, servers.conninfo, place, **settings)
            if not number:
                node.environ["CONTACTSYNC_FLEET__ENABLED"] = "false"
            stack.callback(node.end)
            nodes.append(node)
            node.start()
        person = stack.enter_context(psycopg.connect(servers.conninfo, autocommit=True))
        (definitions,) = person.execute("SELECT count(*) FROM contactsync.sync_definitions").fetchone() or (0,)
        for node in nodes:
            wait_for(partial(node.follows, definitions), "A node did not start.", seconds=_PATIENCE)
        if not filled:
            _round(person, nodes, servers, definitions)
        made = _round(person, nodes, servers, definitions)
        for node in nodes:
            node.stop()
    return made if number else Round(0, made.runs, made.seconds, made.cpu)


def _round(person: psycopg.Connection[Any], nodes: list[FleetNode], servers: FleetServers, definitions: int) -> Round:
    (after,) = person.execute(_LAST).fetchone() or (0,)
    (since,) = person.execute("SELECT clock_timestamp()").fetchone() or (None,)
    before = _cpu(nodes, servers)
    nodes[0].post("/v1/sync", 202)
    wait_for(lambda: (person.execute(_RAN, [after]).fetchone() or (0,))[0] >= definitions, "", seconds=_PATIENCE)
    used = {what: seconds - before[what] for what, seconds in _cpu(nodes, servers).items()}
    if failed := person.execute(_FAILED).fetchone():
        raise SystemExit(f"A run of a small folder failed: {failed[0]}")
    runs, seconds = person.execute(_SPAN, {"since": since, "after": after}).fetchone() or (0, 0.0)
    return Round(len(nodes), runs, seconds, used)


def _cpu(nodes: list[FleetNode], servers: FleetServers) -> dict[str, float]:
    """The processor seconds so far of the daemons, of PostgreSQL and of the directories."""
    return {"daemons": sum(cpu_seconds(node.pid) for node in nodes), **cpu_of_servers(servers)}
