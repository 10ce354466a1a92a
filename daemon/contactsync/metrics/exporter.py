"""The daemon's metrics for Prometheus, in a registry of their own: told of each run, asked how the rest is."""

from __future__ import annotations

import platform
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from contactsync.errors import SettingsError
from contactsync.model import Mode, Outcome, RunReport

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_NAMES = ("folder", "definition")


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinitionSnapshot:
    """How a definition does. `folder` is how people name its folder, `definition` its name in it.

    `success_due_at` is when the first run after the last success was due, or will be; None when it does not run by
    itself.
    """

    definition_id: int
    folder: str
    definition: str
    state: str
    """See the view `definition_overview`."""
    last_success_at: datetime | None
    success_due_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSnapshot:
    """How the daemon does; `definitions` is None while the database is not there."""

    definitions: Sequence[DefinitionSnapshot] | None
    workers: int
    workers_busy: int
    waiting: int
    reconnects: int
    live_listening: int = 0
    live_not_listening: int = 0
    live_behind_seconds: float = 0.0
    live_auto_scheduled: int = 0


@dataclass(slots=True)
class _Tally:
    """What the runs of one definition came to since the daemon started."""

    runs: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    rejected: int = 0
    contacts: int | None = None
    certificate_expires_at: datetime | None = None
    client_certificate_expires_at: datetime | None = None

    def add(self, report: RunReport) -> None:
        self.runs[report.outcome.value] += 1
        self.retries += max(report.attempts - 1, 0)
        if report.certificates.server_expires_at:
            self.certificate_expires_at = report.certificates.server_expires_at
        if report.certificates.client_expires_at:
            self.client_certificate_expires_at = report.certificates.client_expires_at
        if report.outcome in {Outcome.CHANGED, Outcome.UNCHANGED}:
            counts = report.counts
            self.rejected = counts.rejected
            self.changes.update(insert=counts.inserted, update=counts.updated, delete=counts.deleted)
        self.contacts = _contacts_after(report, self.contacts)


class Metrics:
    """Everything there is to measure; a runner's observer. `look` says how the daemon does at this moment.

    What has labels has those of the definitions that exist: one that is removed takes its series along.
    """

    def __init__(self, look: Callable[[], DaemonSnapshot]) -> None:
        self.registry = CollectorRegistry()
        self._runs = Histogram(
            "contactsync_run_seconds", "Seconds a run took.", registry=self.registry, buckets=_SECONDS
        )
        self._stages = Histogram(
            "contactsync_run_stage_seconds",
            "Seconds that a run spent in each of its stages.",
            ["stage"],
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._ledger = _Ledger(look)
        self.registry.register(self._ledger)
        ProcessCollector(registry=self.registry)

    def started(self, report: RunReport) -> None:
        """See contactsync.sync.observer.Observer."""

    def progress(self, report: RunReport, stage: str) -> None:
        """See contactsync.sync.observer.Observer."""

    def finished(self, report: RunReport) -> None:
        """See contactsync.sync.observer.Observer."""
        self._runs.observe(sum(report.seconds.values()))
        for stage, seconds in report.seconds.items():
            self._stages.labels(stage).observe(seconds)
        self._ledger.add(report)

    def render(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return generate_latest(self.registry)

    @contextmanager
    def served(self, listen: str) -> Iterator[None]:
        """Serve them over HTTP at this address (`127.0.0.1:9321`) while the block lasts; not at all when it is empty.

        Raises SettingsError when nobody can listen there.
        """
        if not listen:
            yield
            return
        host, _, port = listen.rpartition(":")
        try:
            server, thread = start_http_server(int(port), host.strip("[]"), self.registry)
        except (OSError, OverflowError) as error:  # the latter for a port that cannot be
            raise SettingsError(
                f"The metrics cannot be served at {listen}: {error}.", hint="Change metrics.listen."
            ) from None
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Ledger(Collector):
    """What is counted by definition and what is looked up when somebody asks."""

    def __init__(self, look: Callable[[], DaemonSnapshot]) -> None:
        self._look = look
        self._guard = threading.Lock()
        self._tallies: dict[int, _Tally] = {}
        self._definitions: Sequence[DefinitionSnapshot] = ()

    def add(self, report: RunReport) -> None:
        with self._guard:
            self._tallies.setdefault(report.definition.definition_id, _Tally()).add(report)

    def describe(self) -> list[Metric]:
        """Nothing: the registry would look up everything just to know the names."""
        return []

    def collect(self) -> Iterator[Metric]:
        now = self._look()
        with self._guard:
            if now.definitions is not None:
                self._definitions = now.definitions
                existing = {known.definition_id for known in now.definitions}
                self._tallies = {key: tally for key, tally in self._tallies.items() if key in existing}
            yield from _of_the_daemon(now)
            yield from _of_definitions(self._definitions)
            yield from _of_runs([(known, self._tallies.get(known.definition_id)) for known in self._definitions])


def _of_the_daemon(now: DaemonSnapshot) -> Iterator[Metric]:
    build = GaugeMetricFamily("contactsync_build_info", "Always 1.", labels=["version", "python"])
    build.add_metric([version("contactsync"), platform.python_version()], 1)
    yield build
    for name, text, value in (
        ("contactsync_database_up", "1 while PostgreSQL can be reached.", now.definitions is not None),
        ("contactsync_workers", "Runs that can go on at once.", now.workers),
        ("contactsync_workers_busy", "Runs that go on.", now.workers_busy),
        ("contactsync_definitions_waiting", "Definitions that wait for a worker or for their server.", now.waiting),
        ("contactsync_live_listening", "Live folders whose directory tells what changes.", now.live_listening),
        (
            "contactsync_live_not_listening",
            "Live folders that run by their schedule only.",
            now.live_not_listening,
        ),
        (
            "contactsync_live_auto_scheduled",
            "Folders of mode auto that go by their schedule, since no more is told or they are too many.",
            now.live_auto_scheduled,
        ),
        (
            "contactsync_live_behind_seconds",
            "Since when something was heard that no run asked for.",
            now.live_behind_seconds,
        ),
    ):
        yield GaugeMetricFamily(name, text, value=value)
    yield CounterMetricFamily(
        "contactsync_database_reconnects", "Times the connection to PostgreSQL was lost.", value=now.reconnects
    )


def _of_definitions(definitions: Sequence[DefinitionSnapshot]) -> Iterator[Metric]:
    for name, text, value in _STATES:
        family = GaugeMetricFamily(f"contactsync_{name}", text, labels=_NAMES)
        for known in definitions:
            found = value(known)
            if found is not None:
                family.add_metric(_labels(known), found)
        yield family


_STATES: tuple[tuple[str, str, Callable[[DefinitionSnapshot], float | None]], ...] = (
    ("paused", "1 while the definition is paused.", lambda known: known.state == "paused"),
    ("invalid", "1 while the definition is not valid.", lambda known: known.state == "invalid"),
    (
        "locked",
        "1 while the schedule is off because the directory refused the user or the password.",
        lambda known: known.state == "locked",
    ),
    ("held", "1 while the last run is held.", lambda known: known.state == "held"),
    ("failing", "1 while the last run is a failed one.", lambda known: known.state == "failing"),
    ("last_success_timestamp_seconds", "When the folder was last in step.", lambda known: _at(known.last_success_at)),
    (
        "success_due_timestamp_seconds",
        "When the first run after the last success was due, or will be.",
        lambda known: _at(known.success_due_at),
    ),
)


def _of_runs(tallies: Sequence[tuple[DefinitionSnapshot, _Tally | None]]) -> Iterator[Metric]:
    runs = CounterMetricFamily("contactsync_runs", "Runs, by how they ended.", labels=[*_NAMES, "outcome"])
    changes = CounterMetricFamily("contactsync_changes", "Contacts changed.", labels=[*_NAMES, "action"])
    retries = CounterMetricFamily("contactsync_retries", "Further attempts within runs.", labels=_NAMES)
    rejected = GaugeMetricFamily(
        "contactsync_rejected_entries", "Entries that the last run could not make contacts of.", labels=_NAMES
    )
    contacts = GaugeMetricFamily("contactsync_contacts", "Contacts after the last run.", labels=_NAMES)
    expiry = GaugeMetricFamily(
        "contactsync_certificate_expiry_timestamp_seconds", "When the server's certificate expires.", labels=_NAMES
    )
    client_expiry = GaugeMetricFamily(
        "contactsync_client_certificate_expiry_timestamp_seconds",
        "When the certificate expires that is shown to the server.",
        labels=_NAMES,
    )
    for known, tally in tallies:
        if tally is None:
            continue
        labels = _labels(known)
        for outcome, number in tally.runs.items():
            runs.add_metric([*labels, outcome], number)
        for action, number in tally.changes.items():
            changes.add_metric([*labels, action], number)
        retries.add_metric(labels, tally.retries)
        rejected.add_metric(labels, tally.rejected)
        if tally.contacts is not None:
            contacts.add_metric(labels, tally.contacts)
        if tally.certificate_expires_at:
            expiry.add_metric(labels, tally.certificate_expires_at.timestamp())
        if tally.client_certificate_expires_at:
            client_expiry.add_metric(labels, tally.client_certificate_expires_at.timestamp())
    yield from (runs, changes, retries, rejected, contacts, expiry, client_expiry)


def _labels(known: DefinitionSnapshot) -> list[str]:
    return [known.folder, known.definition]


def _at(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None


def _contacts_after(report: RunReport, before: int | None) -> int | None:
    """How many contacts the definition has after a run, as far as the run knows."""
    plan, counts = report.plan, report.counts
    if plan is None and report.outcome is Outcome.UNCHANGED and report.mode is Mode.FULL:
        # A full run without a plan has recognised every contact.
        return counts.unchanged
    contacts = before if plan is None or plan.contacts is None else plan.contacts
    if report.outcome is Outcome.CHANGED and contacts is not None:
        return contacts + counts.inserted - counts.deleted
    return contacts
