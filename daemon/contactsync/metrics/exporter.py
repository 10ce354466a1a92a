"""The Prometheus metrics of a daemon, in a registry of their own."""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from contactsync import __version__
from contactsync.metrics.fleet import OfNode, fleet_metrics
from contactsync.metrics.server import MetricsServer
from contactsync.metrics.snapshot import DaemonSnapshot, DefinitionSnapshot
from contactsync.model import Mode, Outcome, RunReport
from contactsync.sync.observer import Observer

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_LABELS = ("folder", "definition")
_Family = CounterMetricFamily | GaugeMetricFamily


@dataclass(slots=True)
class _RunTotals:
    """The runs of one definition since the daemon started."""

    runs: dict[str, int] = field(default_factory=dict)
    inserted: int | None = None
    updated: int = 0
    deleted: int = 0
    retries: int = 0
    rejected: int = 0
    contacts: int | None = None
    server_expires_at: datetime | None = None
    client_expires_at: datetime | None = None

    @property
    def changes(self) -> dict[str, int]:
        """The changed contacts by action; empty before the first run that succeeded."""
        if self.inserted is None:
            return {}
        return {"insert": self.inserted, "update": self.updated, "delete": self.deleted}

    def add(self, report: RunReport) -> None:
        self.runs[report.outcome.value] = self.runs.get(report.outcome.value, 0) + 1
        self.retries += max(report.attempts - 1, 0)
        self.server_expires_at = report.certificates.server_expires_at or self.server_expires_at
        self.client_expires_at = report.certificates.client_expires_at or self.client_expires_at
        if report.outcome in {Outcome.CHANGED, Outcome.UNCHANGED}:
            counts = report.counts
            self.rejected = counts.rejected
            self.inserted = (self.inserted or 0) + counts.inserted
            self.updated += counts.updated
            self.deleted += counts.deleted
        self.contacts = _contacts_after(report, self.contacts)


class Metrics(Observer, Collector):
    """All metrics; an observer of runs. `read_snapshot` reads the state of the daemon at each scrape.

    `node` is the daemon's name in its fleet. The series of a definition disappear with it.
    """

    def __init__(self, read_snapshot: Callable[[], DaemonSnapshot], node: str = "") -> None:
        self._read_snapshot = read_snapshot
        self._lock = threading.Lock()
        self._totals: dict[int, _RunTotals] = {}
        self._definitions: Sequence[DefinitionSnapshot] = ()
        self._registry = CollectorRegistry()
        self._runs = Histogram(
            "contactsync_run_seconds", "Seconds a run took.", registry=self._registry, buckets=_SECONDS
        )
        self._stages = Histogram(
            "contactsync_run_stage_seconds",
            "Seconds a run spent in each of its stages.",
            ["stage"],
            registry=self._registry,
            buckets=_SECONDS,
        )
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        self._exported = self._registry
        if node:
            self._exported = CollectorRegistry()
            self._exported.register(OfNode(self._registry, node))
        self.server = MetricsServer(self._exported)

    def finished(self, report: RunReport) -> None:
        """See Observer."""
        self._runs.observe(sum(report.seconds.values()))
        for stage, seconds in report.seconds.items():
            self._stages.labels(stage).observe(seconds)
        with self._lock:
            self._totals.setdefault(report.definition.definition_id, _RunTotals()).add(report)

    def render(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return generate_latest(self._exported)

    def describe(self) -> list[Metric]:
        """Nothing, or the registry would read a snapshot to get the names."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The metrics by definition and those of the daemon."""
        snapshot = self._read_snapshot()
        with self._lock:
            if snapshot.definitions is not None:
                self._definitions = snapshot.definitions
                existing = {definition.definition_id for definition in snapshot.definitions}
                self._totals = {key: totals for key, totals in self._totals.items() if key in existing}
            yield from _daemon_metrics(snapshot)
            if snapshot.fleet is not None:
                yield from fleet_metrics(snapshot.fleet)
            yield from _definition_metrics(self._definitions)
            yield from _run_metrics(
                [
                    (definition, self._totals[definition.definition_id])
                    for definition in self._definitions
                    if definition.definition_id in self._totals
                ]
            )


def _daemon_metrics(snapshot: DaemonSnapshot) -> Iterator[Metric]:
    build = GaugeMetricFamily("contactsync_build_info", "Always 1.", labels=["version", "python"])
    build.add_metric([__version__, platform.python_version()], 1)
    yield build
    for name, text, value in (
        ("database_up", "1 while PostgreSQL can be reached.", snapshot.definitions is not None),
        (
            "database_waiting",
            "Sessions that have waited for a synchronous standby or a lock for five seconds or more.",
            snapshot.database_waits,
        ),
        ("workers", "Runs that are possible at the same time.", snapshot.workers),
        ("workers_busy", "Runs in progress.", snapshot.workers_busy),
        ("definitions_waiting", "Definitions that wait for a worker or for their server.", snapshot.waiting),
        ("live_listening", "Live folders whose directory reports changes.", snapshot.live.listening),
        ("live_not_listening", "Live folders that run by their schedule only.", snapshot.live.not_listening),
        (
            "live_auto_scheduled",
            "Folders of mode auto that run by their schedule only.",
            snapshot.live.auto_scheduled,
        ),
        (
            "live_behind_seconds",
            "Seconds since the oldest reported change that no run has requested yet.",
            snapshot.live.behind_seconds,
        ),
    ):
        yield GaugeMetricFamily(f"contactsync_{name}", text, value=value)
    yield CounterMetricFamily(
        "contactsync_database_reconnects", "Times the connection to PostgreSQL was lost.", value=snapshot.reconnects
    )


_STATES = {
    "paused": "1 while the definition is paused.",
    "invalid": "1 while the definition is not valid.",
    "locked": "1 while the schedule is off because the directory refused the user or the password.",
    "held": "1 while the last run is held.",
    "failing": "1 while the last run failed.",
}


def _definition_metrics(definitions: Sequence[DefinitionSnapshot]) -> Iterator[Metric]:
    for state, text in _STATES.items():
        yield _family(GaugeMetricFamily, state, text, [(each, each.state == state) for each in definitions])
    for name, text, times in (
        ("last_success", "When the folder was last in sync.", [each.last_success_at for each in definitions]),
        (
            "success_due",
            "When the first run after the last success was due, or will be.",
            [each.success_due_at for each in definitions],
        ),
    ):
        values = zip(definitions, map(_timestamp, times), strict=True)
        yield _family(GaugeMetricFamily, f"{name}_timestamp_seconds", text, values)


def _run_metrics(totals: Sequence[tuple[DefinitionSnapshot, _RunTotals]]) -> Iterator[Metric]:
    runs = [(definition, total.runs) for definition, total in totals]
    changes = [(definition, total.changes) for definition, total in totals]
    yield _counter("runs", "Runs, by outcome.", "outcome", runs)
    yield _counter("changes", "Contacts changed, by action.", "action", changes)
    for kind, name, text, value in _RUN_METRICS:
        yield _family(kind, name, text, [(definition, value(total)) for definition, total in totals])


_RUN_METRICS: tuple[tuple[type[_Family], str, str, Callable[[_RunTotals], float | None]], ...] = (
    (CounterMetricFamily, "retries", "Further attempts within runs.", lambda total: total.retries),
    (GaugeMetricFamily, "rejected_entries", "Entries that the last run rejected.", lambda total: total.rejected),
    (GaugeMetricFamily, "contacts", "Contacts after the last run.", lambda total: total.contacts),
    (
        GaugeMetricFamily,
        "certificate_expiry_timestamp_seconds",
        "When the server's certificate expires.",
        lambda total: _timestamp(total.server_expires_at),
    ),
    (
        GaugeMetricFamily,
        "client_certificate_expiry_timestamp_seconds",
        "When the client certificate expires.",
        lambda total: _timestamp(total.client_expires_at),
    ),
)


def _family(
    kind: type[_Family], name: str, text: str, values: Iterable[tuple[DefinitionSnapshot, float | None]]
) -> Metric:
    family = kind(f"contactsync_{name}", text, labels=_LABELS)
    for definition, value in values:
        if value is not None:
            family.add_metric(_labels(definition), value)
    return family


def _counter(
    name: str, text: str, label: str, counts: Sequence[tuple[DefinitionSnapshot, Mapping[str, int]]]
) -> Metric:
    family = CounterMetricFamily(f"contactsync_{name}", text, labels=[*_LABELS, label])
    for definition, by_label in counts:
        for value, number in by_label.items():
            family.add_metric([*_labels(definition), value], number)
    return family


def _labels(definition: DefinitionSnapshot) -> list[str]:
    return [definition.folder, definition.definition]


def _timestamp(time: datetime | None) -> float | None:
    return time.timestamp() if time else None


def _contacts_after(report: RunReport, before: int | None) -> int | None:
    """How many contacts the definition has after a run, as far as the run knows."""
    plan, counts = report.plan, report.counts
    if plan is None and report.outcome is Outcome.UNCHANGED and report.mode is Mode.FULL:
        # A full run without a plan has found every contact unchanged.
        return counts.unchanged
    contacts = before if plan is None or plan.contacts is None else plan.contacts
    if report.outcome is Outcome.CHANGED and contacts is not None:
        return contacts + counts.inserted - counts.deleted
    return contacts
