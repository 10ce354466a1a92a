"""The metrics of a fleet: its nodes, and the label of the node in what is about one process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from contactsync.operations.fleet import FleetNode, FleetState

SAME_ON_ALL_NODES = frozenset(
    f"contactsync_{name}"
    for name in (
        "database_waiting",
        "definitions_waiting",
        "paused",
        "invalid",
        "locked",
        "held",
        "failing",
        "last_success_timestamp_seconds",
        "success_due_timestamp_seconds",
    )
)
"""What comes from the database. It has no label `node`, nor have the metrics whose names start with `FLEET`."""
FLEET = "contactsync_fleet_"


class OfNode(Collector):
    """The metrics of a registry, with the name of the node in those that are about its process."""

    def __init__(self, registry: CollectorRegistry, node: str) -> None:
        self._registry = registry
        self._node = node

    def describe(self) -> list[Metric]:
        """Nothing, or the registry would collect everything to get the names."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All metrics of the registry."""
        for family in self._registry.collect():
            if family.name not in SAME_ON_ALL_NODES and not family.name.startswith(FLEET):
                family.samples = [each._replace(labels={**each.labels, "node": self._node}) for each in family.samples]
            yield family


def fleet_metrics(fleet: FleetState) -> Iterator[Metric]:
    """The nodes, those that died and have not come back among them, and what waits and runs by server."""
    nodes = _latest(fleet)
    for name, text, values in (
        ("node_up", "1 while the node gives signs of life.", [_is_up(node) for node in nodes]),
        ("node_leads", "1 on the node that runs the schedule of all definitions.", [node.leads for node in nodes]),
        ("node_draining", "1 while a user drains the node.", [node.state == "draining" for node in nodes]),
        ("node_heartbeat_age_seconds", "Seconds since the last sign of life.", [node.silent_seconds for node in nodes]),
        ("node_runs", "Runs in progress on the node.", [node.running for node in nodes]),
        ("node_listening", "Live folders that the node listens for.", [node.listening for node in nodes]),
    ):
        family = GaugeMetricFamily(f"{FLEET}{name}", text, labels=["node"])
        for node, value in zip(nodes, values, strict=True):
            family.add_metric([node.name], float(value))
        yield family
    waiting = GaugeMetricFamily(f"{FLEET}server_waiting", "Definitions that wait for the server.", labels=["server"])
    runs = GaugeMetricFamily(f"{FLEET}server_runs", "Runs in progress that read the server.", labels=["server"])
    for server in fleet.servers:
        waiting.add_metric([server.server], server.waiting)
        runs.add_metric([server.server], server.running)
    yield from (waiting, runs)


def _latest(fleet: FleetState) -> list[FleetNode]:
    """One row for each name, a living one if there is one; no node that left in order."""
    latest: dict[str, FleetNode] = {}
    for node in fleet.nodes:  # living ones first, then the latest
        latest.setdefault(node.name, node)
    return [node for node in latest.values() if node.state != "left"]


def _is_up(node: FleetNode) -> bool:
    return node.state in {"alive", "draining"}
