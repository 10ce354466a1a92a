"""Runs of many definitions while nodes are killed, stopped, ended, drained and cut off."""

from __future__ import annotations

import time
from functools import partial

from bench.figures import Figure
from bench.fleet.results import Harmed
from bench.terminal import say, wait_for
from tests.support.fleet import Fleet, FleetNode
from tests.support.fleet_servers import fleet_servers
from tests.support.fleet_storm import (
    Harms,
    Traffic,
    come_to_rest,
    define_teams,
    differences,
    finished_runs,
    late_commits,
    most_at_once,
    overlaps,
    unanswered_requests,
)

_PER_SERVER = 2
_PACE = 0.02
"""The least time of a search: without it, searches would rarely be at one directory at once."""
_PATIENCE = 1800


def measure_harmed(runs: int, harms: int, seed: str, *, directories: int = 3, teams: int = 12) -> Harmed:
    """Harm nodes so many times, evenly over so many runs, and check what they did.

    Each team of each directory has a folder that is due every second.
    """
    say(f"A fleet of three nodes: {harms} harms over {runs:,} runs")
    settings = {
        "CONTACTSYNC_SCHEDULER__PER_SERVER": str(_PER_SERVER),
        "CONTACTSYNC_SCHEDULER__DRAIN_SECONDS": "2",
    }
    with (
        fleet_servers(directories=directories, teams=teams, pace=_PACE) as servers,
        servers.fleet(**settings) as fleet,
    ):
        define_teams(fleet, servers, schedule="every 1s")
        deeds, start = Harms(fleet, servers, seed), time.monotonic()
        with Traffic(servers, servers.conninfo, seed) as traffic:
            for number in range(1, harms + 1):
                deeds.strike()
                wait_for(
                    partial(_has_made, fleet, runs * number // harms), "The fleet stands still.", seconds=_PATIENCE
                )
                if number % 10 == 0:
                    say(f"  {number} harms, {finished_runs(fleet):,} runs")
        seconds = time.monotonic() - start
        made = finished_runs(fleet)
        come_to_rest(fleet)
        if lost := list(differences(fleet, servers)):
            raise SystemExit(f"{len(lost)} contacts do not equal their entries, such as: {lost[0]}")
        figures = [
            Figure("overlapping runs of a definition", 0, [overlaps(fleet)]),
            Figure(
                "runs on one server at once, counted at the directory",
                _PER_SERVER,
                [max(directory.meter.most for directory in servers.directories)],
            ),
            Figure("the same by the rows of the runs that were not interrupted", _PER_SERVER, [most_at_once(fleet)]),
            Figure("changes by runs that were interrupted", 0, [late_commits(fleet)]),
            Figure("requests that no run answered", 0, [unanswered_requests(fleet)]),
            Figure("unexpected errors in the logs", 0, [sum(map(_crashes, fleet.nodes))]),
        ]
        return Harmed(made, seconds, dict(sorted(deeds.done.items())), traffic.changes, traffic.requests, figures)


def _crashes(node: FleetNode) -> int:
    return sum(line["event"].endswith("crashed") for line in node.lines())


def _has_made(fleet: Fleet, runs: int) -> bool:
    return finished_runs(fleet) >= runs
