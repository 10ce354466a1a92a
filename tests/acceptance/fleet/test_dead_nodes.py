"""A node is killed, stopped or ended: others make its runs, and it commits nothing any more."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.fleet import Fleet, FleetNode
from tests.support.peers import silent_server
from tests.support.processes import CONTACTSYNC
from tests.support.waiting import wait_until


@pytest.fixture
def slow(fleet: Fleet, request: pytest.FixtureRequest) -> Iterator[int]:
    """Define a folder whose directory never answers, and start its run."""
    with silent_server() as port:
        definition = fleet.define(request.node.name, query=f"127.0.0.1:{port}", base="dc=x")
        fleet[0].post(f"/v1/definitions/{definition}/sync", 202)
        yield definition
        fleet.person.execute("DELETE FROM contactsync.sync_definitions WHERE definition_id = %s", [definition])
        for node in fleet.nodes:
            for run in node.get("/v1/status")["running"]:
                node.http.post(f"/v1/runs/{run['run_id']}/cancel")


def outcomes(fleet: Fleet, definition: int) -> list[str | None]:
    """The outcomes of a definition's runs, oldest first."""
    rows = fleet.rows("SELECT outcome FROM contactsync.sync_runs WHERE definition_id = %s ORDER BY run_id", definition)
    return [outcome for (outcome,) in rows]


def maker_of(fleet: Fleet, definition: int) -> FleetNode:
    """The node that makes the present run."""
    return fleet.named(fleet.running(definition)[1])


def test_the_run_of_a_killed_node_begins_anew(fleet: Fleet, slow: int) -> None:
    """Another node makes it, and the killed one may come back under its name."""
    killed = maker_of(fleet, slow)
    killed.kill()
    wait_until(lambda: outcomes(fleet, slow) == ["interrupted", None], "the run of another node")
    assert maker_of(fleet, slow) is not killed
    fleet.wait_for_leader(killed)
    killed.start()
    statement = "SELECT died, settled FROM contactsync.fleet_nodes WHERE name = %s ORDER BY node_id"
    states = fleet.rows(statement, killed.name)
    assert states[-2:] == [(True, True), (False, False)]


def test_a_node_that_will_not_come_back_is_forgotten(fleet: Fleet) -> None:
    """Not while it is alive. Until then, it is in the list and the metrics; afterwards, it may still join again."""
    gone, other, _ = fleet.nodes
    command = [str(CONTACTSYNC), "fleet", "forget", gone.name]
    refused = subprocess.run(command, env=other.environ, capture_output=True, text=True, check=False)
    assert (refused.returncode, "gives signs of life" in refused.stderr) == (1, True), refused
    gone.kill()
    died = "SELECT settled FROM contactsync.fleet_nodes WHERE name = %s ORDER BY node_id DESC LIMIT 1"
    wait_until(lambda: fleet.value(died, gone.name), "its end")
    up = f'contactsync_fleet_node_up{{node="{gone.name}"}}'
    wait_until(lambda: f"{up} 0.0" in other.http.get("/v1/metrics").text, "the metric of a missing node")
    done = subprocess.run(command, env=other.environ, capture_output=True, text=True, check=True)
    assert done.stdout == f"{gone.name} is forgotten.\n"
    assert gone.name not in {node["name"] for node in other.get("/v1/fleet")["nodes"]}
    wait_until(lambda: up not in other.http.get("/v1/metrics").text, "the end of the metric")
    again = other.http.post("/v1/fleet/forget", params={"node": gone.name})
    assert (again.status_code, again.json()["code"]) == (404, "not_found"), again.text
    gone.start()


def test_the_run_of_a_node_that_is_killed_in_its_first_second_begins_anew(fleet: Fleet) -> None:
    """Its first sign of life did not name the worker that makes the run."""
    with silent_server() as port:
        node, *others = fleet.nodes
        definition = fleet.define("First second", query=f"127.0.0.1:{port}", base="dc=x")
        for other in others:
            node.post("/v1/fleet/drain", node=other.name)
        draining = "SELECT count(*) FROM contactsync.fleet_nodes WHERE ended_at IS NULL AND draining"
        wait_until(lambda: fleet.value(draining) == len(others), "the others to drain")
        assert node.stop() == 0
        fleet.person.execute("SELECT contactsync.request_sync('First second')")
        node.start()
        assert maker_of(fleet, definition) is node
        node.kill()
        for other in others:
            others[0].post("/v1/fleet/resume", node=other.name)
        wait_until(lambda: outcomes(fleet, definition) == ["interrupted", None], "the run of another node")
        ended = "SELECT max(node_id) FROM contactsync.fleet_nodes WHERE name = %s"
        node_id = fleet.value(ended, node.name)
        died = wait_until(
            lambda: [line for other in others for line in other.events("fleet.node_died", node_id=node_id)],
            "its end in a log",
        )
        assert [line["runs"] for line in died] == [1]
        run_id, _ = fleet.running(definition)
        fleet.person.execute("DELETE FROM contactsync.sync_definitions WHERE definition_id = %s", [definition])
        others[0].post(f"/v1/runs/{run_id}/cancel")
        node.start()


def test_a_stopped_node_commits_nothing_when_it_wakes_up(fleet: Fleet) -> None:
    """It stopped in the apply. Another node's run applied the same changes before it woke up."""
    definition = fleet.define("Stopped")
    with fleet.person.transaction():
        fleet.person.execute("LOCK TABLE contactsync.contacts IN SHARE MODE")
        fleet[0].post(f"/v1/definitions/{definition}/sync", 202)
        stopped = maker_of(fleet, definition)
        waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE %s AND wait_event_type = 'Lock'"
        wait_until(lambda: fleet.value(waits, f"contactsync {stopped.name} %"), "the apply")
        stopped.send(signal.SIGSTOP)
    wait_until(lambda: outcomes(fleet, definition) == ["interrupted", "changed"], "the run of another node")
    stopped.send(signal.SIGCONT)
    joined = "SELECT count(*) FROM contactsync.fleet_nodes WHERE name = %s AND ended_at IS NULL"
    wait_until(lambda: fleet.value(joined, stopped.name) == 1, "its return")
    assert stopped.run(definition)["outcome"] == "unchanged"
    assert outcomes(fleet, definition) == ["interrupted", "changed", "unchanged"]
    changes = """
        SELECT r.outcome, count(*) FROM contactsync.contact_changes AS c JOIN contactsync.sync_runs AS r USING (run_id)
        WHERE r.definition_id = %s GROUP BY r.outcome
    """
    assert fleet.rows(changes, definition) == [("changed", 40)]


def test_the_run_of_an_ended_node_goes_to_another(fleet: Fleet, slow: int) -> None:
    """SIGTERM waits as long as drain_seconds says, cancels the run, and others make it."""
    ended = maker_of(fleet, slow)
    assert ended.stop() == 0
    wait_until(lambda: outcomes(fleet, slow) == ["cancelled", None], "the run of another node")
    assert maker_of(fleet, slow) is not ended
    ended.start()
    assert not ended.events("fleet.crashed")


def test_a_killed_leader_is_replaced(fleet: Fleet) -> None:
    """The schedule goes on, and a request of each definition is made once."""
    definition = fleet.define("Scheduled", schedule="every 1s")
    leader = fleet.wait_for_leader()
    wait_until(lambda: len(outcomes(fleet, definition)) >= 2, "two runs")
    leader.kill()
    fleet.wait_for_leader(leader)
    number = len(outcomes(fleet, definition))
    wait_until(lambda: len(outcomes(fleet, definition)) >= number + 2, "two more runs")
    fleet.person.execute("DELETE FROM contactsync.sync_definitions WHERE definition_id = %s", [definition])
    leader.start()
