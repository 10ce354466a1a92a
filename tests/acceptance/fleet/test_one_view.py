"""Every node shows the whole fleet: runs, live folders, metrics and events."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import cycle
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.fleet import Fleet, FleetNode
from tests.support.peers import silent_server
from tests.support.processes import CONTACTSYNC
from tests.support.waiting import wait_until

NAMES = {"node-1", "node-2", "node-3"}


@pytest.fixture
def fleet(fleet: Fleet) -> Iterator[Fleet]:
    """Remove the definitions of a test."""
    before = fleet.value("SELECT coalesce(max(definition_id), 0) FROM contactsync.sync_definitions")
    yield fleet
    fleet.person.execute("DELETE FROM contactsync.sync_definitions WHERE definition_id > %s", [before])


@contextmanager
def events_of(node: FleetNode) -> Iterator[list[dict[str, Any]]]:
    """The events that a client of a node gets, with their kinds, from the beginning of the block."""
    events: list[dict[str, Any]] = []
    connected = threading.Event()

    def follow(lines: Iterator[str]) -> None:
        kind = ""
        with suppress(httpx.HTTPError):  # the block has ended
            for line in lines:
                connected.set()
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    events.append({"kind": kind, **json.loads(value)})

    with node.http.stream("GET", "/v1/events") as response:
        thread = threading.Thread(target=follow, args=[response.iter_lines()], daemon=True)
        thread.start()
        assert connected.wait(10)
        yield events
    thread.join(10)


def metrics_of(node: FleetNode) -> dict[tuple[str, str], float]:
    """Every sample without a label but `node`, by name and node."""
    families = text_string_to_metric_families(node.http.get("/v1/metrics").text)
    samples = [sample for family in families for sample in family.samples if sample.labels.keys() <= {"node"}]
    return {(sample.name, sample.labels.get("node", "")): sample.value for sample in samples}


def test_every_node_shows_the_runs_and_live_folders_of_all(fleet: Fleet) -> None:
    """With the name of the node; a second later at the latest."""
    live = fleet.define("View live", mode="live")
    with silent_server() as port:
        slow = fleet.define("View slow", query=f"127.0.0.1:{port}", base="dc=x")
        fleet[0].post(f"/v1/definitions/{slow}/sync", 202)
        _, maker = fleet.running(slow)
        for node in fleet.nodes:
            wait_until(lambda node=node: is_listening(node, live), "the live folder")  # type: ignore[misc]
            status = node.get("/v1/status")
            assert (status["node"], {each["name"] for each in status["nodes"]}) == (node.name, NAMES)
            assert sum(each["leads"] for each in status["nodes"]) == 1
            assert all(each["silent_seconds"] < 5 for each in status["nodes"])
            assert (slow, maker) in [(run["definition_id"], run["node"]) for run in status["running"]]
            shown = {each["definition_id"]: each for each in node.get("/v1/definitions", limit=1000)["definitions"]}
            assert shown[slow]["running"]
            wait_until(lambda node=node: runs_shown(node) == {maker: 1}, "the number of runs")  # type: ignore[misc]
        lines = command(fleet[0], "status").splitlines()
        (shown_nodes,) = [line.partition("  ")[2].strip() for line in lines if line.startswith("Nodes")]
        assert [text.split()[0].rstrip(";") for text in shown_nodes.split("; ")] == ["node-1", "node-2", "node-3"]
        assert sum("schedule" in text for text in shown_nodes.split("; ")) == 1
        assert f" on {maker}, 0 read" in " ".join(lines)
        fleet[0].post(f"/v1/definitions/{slow}/cancel")


def command(node: FleetNode, *arguments: str) -> str:
    """The output of a command on the machine of a node."""
    return subprocess.run(
        [CONTACTSYNC, *arguments], env=node.environ, capture_output=True, text=True, check=True
    ).stdout


def is_listening(node: FleetNode, definition: int) -> bool:
    """Whether a node shows that the fleet listens for a definition."""
    shown = node.get(f"/v1/definitions/{definition}")
    return bool(shown["live_since"]) and bool(node.get("/v1/status")["live"]["listening"] == 1)


def runs_shown(node: FleetNode) -> dict[str, int]:
    """The number of runs by node, as a node shows it."""
    return {each["name"]: each["running"] for each in node.get("/v1/status")["nodes"] if each["running"]}


def test_metrics_have_the_name_of_the_node(fleet: Fleet) -> None:
    """Those of a process; what comes from the database is the same on all nodes, and has none."""
    scraped = {node.name: metrics_of(node) for node in fleet.nodes}
    for name, metrics in scraped.items():
        assert metrics["contactsync_workers", name] > 0
        assert metrics["contactsync_database_up", name] == 1
        assert metrics["contactsync_definitions_waiting", ""] == 0
        assert ("contactsync_workers", "") not in metrics
        assert {node for key, node in metrics if key == "contactsync_fleet_node_up"} == NAMES
        assert sum(value for (key, _), value in metrics.items() if key == "contactsync_fleet_node_leads") == 1
        assert max(value for (key, _), value in metrics.items() if key.endswith("heartbeat_age_seconds")) < 5


def test_events_of_all_nodes_reach_a_client_of_one(fleet: Fleet) -> None:
    """Nothing is sent between nodes before it listens."""
    definition = fleet.define("View events")
    sent = "SELECT last_value FROM contactsync.fleet_messages_message_id_seq"
    finished = "SELECT count(*) FROM contactsync.sync_runs WHERE definition_id = %s AND finished_at IS NOT NULL"
    before = fleet.value(sent)
    fleet[0].post(f"/v1/definitions/{definition}/sync", 202)
    wait_until(lambda: fleet.value(finished, definition) == 1, "a run")
    assert fleet.value(sent) == before
    with events_of(fleet[0]) as events:
        makers: set[str] = set()
        for node in cycle(fleet.nodes):  # often, the node that is asked makes the run
            makers.add(node.run(definition)["node"])
            if len(makers) > 1:
                break
        rows = fleet.rows("SELECT run_id, node FROM contactsync.sync_runs WHERE definition_id = %s", definition)
        expected = set(sorted(rows)[1:])  # the event of the first run may come after the beginning
        for kind in ("run.started", "run.finished"):
            wait_until(
                lambda kind=kind: runs_in(events, kind, definition) >= expected,  # type: ignore[misc]
                lambda: f"the events: {events}",
            )
        undone = fleet[1].post(f"/v1/runs/{min(rows)[0]}/undo")["run"]["run_id"]
        wait_until(lambda: (undone, "node-2") in runs_in(events, "run.finished", definition), "the event of an undo")


def runs_in(events: list[dict[str, Any]], kind: str, definition: int) -> set[tuple[int, str]]:
    """Run and node of the events of a kind."""
    chosen = [each for each in events if each["kind"] == kind and each["definition_id"] == definition]
    return {(each["run_id"], each["node"]) for each in chosen}
