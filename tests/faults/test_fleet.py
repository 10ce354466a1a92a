"""Three nodes under kills, stops, cut networks, drains, ends and lost sessions, while their schedules run."""

from __future__ import annotations

from tests.support.fleet_servers import fleet_servers
from tests.support.fleet_storm import (
    Harms,
    Traffic,
    come_to_rest,
    define_teams,
    differences,
    late_commits,
    most_at_once,
    overlaps,
    unanswered_requests,
)

PER_SERVER = 2
HARMS = 6
"""Per --faults."""


def test_no_harm_makes_runs_overlap(seed: str, times: int) -> None:
    """At most `per_server` runs at once, none of a definition twice; no change and no request is lost."""
    limits = {"CONTACTSYNC_SCHEDULER__PER_SERVER": str(PER_SERVER), "CONTACTSYNC_SCHEDULER__DRAIN_SECONDS": "2"}
    with fleet_servers(directories=2, teams=6, pace=0.02) as servers, servers.fleet(**limits) as fleet:
        definitions = define_teams(fleet, servers, schedule="every 1s")
        harms = Harms(fleet, servers, seed)
        with Traffic(servers, servers.conninfo, seed):
            for _ in range(HARMS * times):
                harms.strike()
                harms.rest(1)
        come_to_rest(fleet)
        assert (overlaps(fleet), late_commits(fleet), unanswered_requests(fleet)) == (0, 0, 0), harms.done
        assert most_at_once(fleet) <= PER_SERVER
        assert {directory.meter.most for directory in servers.directories} <= set(range(1, PER_SERVER + 1))
        runs = [fleet[0].run(definition) for definition in definitions]
        assert {run["outcome"] for run in runs} <= {"changed", "unchanged"}
        assert list(differences(fleet, servers)) == []
        for node in fleet.nodes:
            assert not [line for line in node.lines() if line["event"].endswith("crashed")], node.text()
