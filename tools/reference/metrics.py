"""The page of the metrics, from what a daemon with one definition exports."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from contactsync.dispatch.live.status import LiveSnapshot
from contactsync.metrics.exporter import Metrics
from contactsync.metrics.snapshot import DaemonSnapshot, DefinitionSnapshot
from contactsync.model import Certificates, Definition, Outcome, Plan, RunReport, Trigger
from contactsync.operations.fleet import FleetNode, FleetState, WaitingAtServer
from tools.reference.markdown import code, prose, table

_HEAD = """# Metrics

What Prometheus reads from `/v1/metrics` and from `[metrics] listen`; `make man` writes this page.
[Alert rules and a dashboard](../../deploy/monitoring/README.md#metrics) shows how to collect them, and when a
series begins and ends. In a fleet, those about a process also have the label `node`.

"""
_OF_SAMPLES = {"counter": "_total"}
_NOT_LABELS = {"le"}


def page() -> str:
    """The text of the page."""
    rows = [
        [
            code(family.name + _OF_SAMPLES.get(family.type, "")),
            family.type,
            _labels(family),
            prose(family.documentation),
        ]
        for family in sorted(_families(), key=lambda family: family.name)
    ]
    return _HEAD + "\n".join(table(["metric", "type", "labels", "meaning"], rows)).rstrip() + "\n"


def _families() -> Iterator[Metric]:
    """All but those of the process itself, and the times at which counters were created."""
    now = datetime.now(UTC)
    definition = DefinitionSnapshot(
        definition_id=1, folder="Staff", definition="", state="held", last_success_at=now, success_due_at=now
    )
    metrics = Metrics(lambda: _snapshot(definition, now))
    report = RunReport(1, Definition(folder_id=1, definition_id=1, folder="Staff"), Trigger.SCHEDULE, now)
    report.outcome, report.plan, report.seconds = Outcome.CHANGED, Plan(contacts=0), {"search": 1.0}
    report.certificates = Certificates(now, now)
    metrics.finished(report)
    for family in text_string_to_metric_families(metrics.render().decode()):
        if family.name.startswith("contactsync_") and not family.name.endswith("_created"):
            yield family


def _snapshot(definition: DefinitionSnapshot, now: datetime) -> DaemonSnapshot:
    node = FleetNode(
        node_id=1,
        name="a",
        version="",
        state="alive",
        leads=True,
        joined_at=now,
        heartbeat_at=now,
        silent_seconds=0,
        ended_at=None,
        running=0,
        listening=0,
    )
    server = WaitingAtServer(server="ldaps://dc1.example.com", waiting=0, running=0)
    return DaemonSnapshot(
        definitions=[definition],
        workers=1,
        workers_busy=0,
        waiting=0,
        reconnects=0,
        database_waits=0,
        live=LiveSnapshot(listening=0, not_listening=0, behind_seconds=0),
        fleet=FleetState(nodes=[node], waiting=0, servers=[server], left_to_others=[]),
    )


def _labels(family: Metric) -> str:
    labels = dict.fromkeys(label for sample in family.samples for label in sample.labels if label not in _NOT_LABELS)
    return ", ".join(map(code, labels))
