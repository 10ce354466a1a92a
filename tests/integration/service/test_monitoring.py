"""deploy/monitoring: rules and a dashboard that Prometheus accepts, about existing metrics and events."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from contactsync.dispatch.live.status import LiveSnapshot
from contactsync.metrics.exporter import Metrics
from contactsync.metrics.snapshot import DaemonSnapshot, DefinitionSnapshot
from contactsync.model import Certificates, Counts, Definition, Outcome, RunReport, Trigger
from contactsync.operations.fleet import FleetNode, FleetState, WaitingAtServer

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "deploy" / "monitoring"
DOCS_LABEL = "contactsync_docs"
"""The external label with the address of the documentation."""
NOW = datetime.now(UTC)


def promtool(*arguments: str) -> None:
    """Run Prometheus's own checker, which must succeed."""
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False, cwd=MONITORING)
    assert done.returncode == 0, done.stdout + done.stderr


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it."""
    found: dict[str, Any] = json.loads((MONITORING / "grafana-dashboard.json").read_text(encoding="utf-8"))
    return found


def expressions() -> Iterator[str]:
    """Every query of the dashboard, with values for its variables."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            yield re.sub(r"\$\w+", ".+", target["expr"])


@pytest.fixture(scope="module")
def metric_names() -> set[str]:
    """Give the names of all samples."""
    definition = DefinitionSnapshot(
        definition_id=3, folder="Staff", definition="directory", state="ok", last_success_at=NOW, success_due_at=NOW
    )
    live = LiveSnapshot(listening=1, not_listening=1, behind_seconds=1)
    times = {"joined_at": NOW, "heartbeat_at": NOW, "ended_at": None, "silent_seconds": 0.5}
    node = FleetNode(node_id=1, name="node-a", version="1", state="alive", leads=True, running=1, listening=1, **times)
    server = WaitingAtServer(server="dc1", waiting=1, running=1)
    metrics = Metrics(
        lambda: DaemonSnapshot(
            definitions=[definition],
            workers=1,
            workers_busy=1,
            waiting=1,
            reconnects=1,
            database_waits=0,
            live=live,
            fleet=FleetState(nodes=[node], waiting=1, servers=[server], left_to_others=[]),
        )
    )
    report = RunReport(1, Definition(folder_id=1, definition_id=3, folder="Staff"), Trigger.SCHEDULE, NOW)
    report.outcome = Outcome.UNCHANGED
    report.certificates = Certificates(NOW, NOW)
    report.seconds, report.counts = {"search": 1.0}, Counts(unchanged=1)
    metrics.finished(report)
    families = text_string_to_metric_families(metrics.render().decode())
    return {sample.name for family in families for sample in family.samples}


def test_the_alert_rules_are_valid_and_fire_as_tested() -> None:
    """Promtool checks them and runs the cases beside them."""
    promtool("check", "rules", "prometheus-rules.yml")
    promtool("test", "rules", "prometheus-rules.test.yml")


def test_the_queries_of_the_dashboard_are_valid(tmp_path: Path) -> None:
    """As recording rules."""
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(expressions())]
    assert len(rules) > 10
    file = tmp_path / "rules.yml"  # JSON is YAML
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    promtool("check", "rules", str(file))


@pytest.mark.parametrize("name", ["prometheus-rules.yml", "prometheus-rules.test.yml", "grafana-dashboard.json"])
def test_all_metrics_exist(metric_names: set[str], name: str) -> None:
    """A renamed metric leaves no rule and no panel without data."""
    used = set(re.findall(r"\b(?:contactsync|process)_\w+", (MONITORING / name).read_text(encoding="utf-8")))
    assert used
    assert used - metric_names <= {DOCS_LABEL}


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    """Each has an id of its own."""
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    taken = [
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) < 24


def test_each_alert_leads_to_its_section_of_the_page() -> None:
    """An alert that is new, renamed or gone leaves no address without a section, and no section without an alert."""
    page = (ROOT / "docs" / "how-to" / "alerts.md").read_text(encoding="utf-8")
    address = f"'{{{{ with $externalLabels.{DOCS_LABEL} }}}}{{{{ . }}}}/{{{{ end }}}}docs/how-to/alerts.html#%s'"
    alerts = set()
    for name in ("prometheus-rules.yml", "loki-rules.yml"):
        text = (MONITORING / name).read_text(encoding="utf-8")
        rules = re.split(r"^ *- alert: ", text, flags=re.MULTILINE)[1:]
        named = {rule.split()[0]: re.findall(r"runbook_url: (.*)", rule) for rule in rules}
        assert named == {alert: [address % alert.lower()] for alert in named}
        alerts |= set(named)
    assert set(re.findall(r"^## (.*)$", page, re.MULTILINE)) == alerts


@pytest.mark.parametrize("name", ["loki-rules.yml", "README.md"])
def test_all_events_exist(name: str) -> None:
    """A renamed event leaves no query without data; docs/reference/logs.md has the events of the code."""
    events = set(
        re.findall(
            r"^\| `([\w.]+)` \|", (ROOT / "docs" / "reference" / "logs.md").read_text(encoding="utf-8"), re.MULTILINE
        )
    )
    text = (MONITORING / name).read_text(encoding="utf-8")
    groups = re.findall(r'(?:event=~?"|EVENT=)([\w.|]+)', text)
    assert groups
    assert {event for group in groups for event in group.split("|")} - events == set()
