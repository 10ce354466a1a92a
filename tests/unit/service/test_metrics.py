"""The metrics of runs, definitions and the daemon; the series of a definition exist as long as it does."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from contactsync.dispatch.live.status import LiveSnapshot
from contactsync.metrics.exporter import Metrics
from contactsync.metrics.snapshot import DaemonSnapshot, DefinitionSnapshot
from contactsync.model import Certificates, Counts, Definition, Mode, Outcome, Plan, RunReport, Trigger

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

STAFF = DefinitionSnapshot(
    definition_id=3,
    folder="anna/Staff",
    definition="directory",
    state="held",
    last_success_at=NOON,
    success_due_at=None,
)
"""A definition whose last run is held."""


STAFF_LABELS = {"folder": "anna/Staff", "definition": "directory"}


class Daemon:
    """A daemon with this state."""

    def __init__(self) -> None:
        live = LiveSnapshot(3, 4, 0.5, 6)
        self.state = DaemonSnapshot(
            definitions=[STAFF], workers=8, workers_busy=2, waiting=5, reconnects=1, database_waits=3, live=live
        )
        self.metrics = Metrics(lambda: self.state)

    def run_finished(self, outcome: Outcome, **details: object) -> None:
        """Report the end of a run of the definition."""
        definition = Definition(folder_id=1, definition_id=3, folder="Staff", owner="anna")
        report = RunReport(
            7, definition, Trigger.SCHEDULE, NOON, outcome=outcome, seconds={"search": 2.0, "apply": 1.0}
        )
        for name, value in details.items():
            setattr(report, name, value)
        self.metrics.finished(report)

    def samples(self) -> list[Sample]:
        """All samples, as Prometheus reads them."""
        families = text_string_to_metric_families(self.metrics.render().decode())
        return [sample for family in families for sample in family.samples]

    def value(self, name: str, **labels: str) -> float | None:
        """The value of a sample with these labels and no others; None if there is none."""
        values = [each.value for each in self.samples() if (each.name, each.labels) == (f"contactsync_{name}", labels)]
        return values[0] if values else None

    def of_staff(self, name: str, **labels: str) -> float | None:
        """The value of a sample of the definition."""
        return self.value(name, **STAFF_LABELS, **labels)


@pytest.fixture
def daemon() -> Daemon:
    """Give a daemon with one definition."""
    return Daemon()


def test_runs_are_counted_by_definition_and_outcome(daemon: Daemon) -> None:
    """Attempts after the first are retries. Changes of a held run are not counted."""
    counts = Counts(inserted=3, updated=2, deleted=1, rejected=4)
    plan = Plan(inserts=3, updates=2, deletes=1, contacts=40)
    for outcome, attempts in ((Outcome.CHANGED, 3), (Outcome.CHANGED, 1), (Outcome.HELD, 1)):
        daemon.run_finished(outcome, counts=counts, plan=plan, attempts=attempts)
    assert daemon.of_staff("runs_total", outcome="changed") == 2
    assert daemon.of_staff("runs_total", outcome="held") == 1
    assert daemon.of_staff("retries_total") == 2
    assert daemon.of_staff("changes_total", action="delete") == 2
    assert daemon.of_staff("rejected_entries") == 4


@pytest.mark.parametrize(
    ("outcome", "mode", "plan", "contacts"),
    [
        (Outcome.UNCHANGED, Mode.FULL, None, 38),
        (Outcome.CHANGED, Mode.FULL, Plan(inserts=3, deletes=1, contacts=30), 32),
        (Outcome.HELD, Mode.FULL, Plan(inserts=3, deletes=30, contacts=30), 30),
        # Runs that do not count the contacts.
        (Outcome.UNCHANGED, Mode.INCREMENTAL, None, 40),
        (Outcome.UNCHANGED, Mode.COUNTERS, None, 40),
        (Outcome.CHANGED, Mode.INCREMENTAL, Plan(inserts=3, deletes=1), 42),
        (Outcome.HELD, Mode.INCREMENTAL, Plan(deletes=30, contacts=39), 39),
        (Outcome.CHANGED, Mode.UNDO, None, 42),
    ],
)
def test_contacts_after_a_run(daemon: Daemon, outcome: Outcome, mode: Mode, plan: Plan | None, contacts: int) -> None:
    """By the number before it if the run does not know it; a failure afterwards does not change it."""
    daemon.run_finished(Outcome.UNCHANGED, counts=Counts(unchanged=40))
    daemon.run_finished(outcome, mode=mode, counts=Counts(unchanged=38, inserted=3, deleted=1), plan=plan)
    daemon.run_finished(Outcome.FAILED)
    assert daemon.of_staff("contacts") == contacts


def test_seconds_are_observed_by_stage_and_in_total(daemon: Daemon) -> None:
    """The time of a run is the sum of its stages."""
    daemon.run_finished(Outcome.UNCHANGED)
    assert daemon.value("run_stage_seconds_sum", stage="search") == 2
    assert (daemon.value("run_seconds_sum"), daemon.value("run_seconds_count")) == (3, 1)


def test_states_and_times_are_those_of_the_snapshot(daemon: Daemon) -> None:
    """From the first scrape on; an unknown time has no sample."""
    assert (daemon.of_staff("held"), daemon.of_staff("locked")) == (1, 0)
    assert daemon.of_staff("last_success_timestamp_seconds") == NOON.timestamp()
    assert daemon.of_staff("success_due_timestamp_seconds") is None
    assert (daemon.value("workers"), daemon.value("workers_busy")) == (8, 2)
    assert (daemon.value("definitions_waiting"), daemon.value("database_reconnects_total")) == (5, 1)
    assert daemon.value("database_waiting") == 3
    names = ("listening", "not_listening", "behind_seconds", "auto_scheduled")
    assert [daemon.value(f"live_{name}") for name in names] == [3, 4, 0.5, 6]


def test_a_certificate_stays_known_between_runs(daemon: Daemon) -> None:
    """Also after a run that failed before TLS."""
    daemon.run_finished(Outcome.UNCHANGED, certificates=Certificates(NOON, NOON))
    daemon.run_finished(Outcome.FAILED)
    for name in ("certificate_expiry_timestamp_seconds", "client_certificate_expiry_timestamp_seconds"):
        assert daemon.of_staff(name) == NOON.timestamp()


def test_the_series_of_a_removed_definition_disappear(daemon: Daemon) -> None:
    """Another one with the same id does not inherit them."""
    daemon.run_finished(Outcome.UNCHANGED)
    daemon.state = replace(daemon.state, definitions=[])
    assert not [sample for sample in daemon.samples() if "anna/Staff" in sample.labels.values()]
    daemon.state = replace(daemon.state, definitions=[STAFF])
    assert not [sample for sample in daemon.samples() if sample.name == "contactsync_runs_total"]


def test_without_a_database_the_last_series_stay(daemon: Daemon) -> None:
    """One gauge shows the outage."""
    assert (daemon.value("database_up"), daemon.of_staff("held")) == (1, 1)
    daemon.state = replace(daemon.state, definitions=None)
    assert (daemon.value("database_up"), daemon.of_staff("held")) == (0, 1)


def test_names_are_escaped(daemon: Daemon) -> None:
    """Quotes, backslashes and line breaks in the name of a folder are read back unchanged."""
    name = 'a"b\\c\nd{e}'
    daemon.state = replace(daemon.state, definitions=[replace(STAFF, folder=name)])
    assert daemon.value("held", folder=name, definition="directory") == 1


def test_a_node_of_a_fleet_names_itself(daemon: Daemon) -> None:
    """In what is about its process. What comes from the database is the same on all nodes."""
    daemon.metrics = Metrics(lambda: daemon.state, "node-a")
    daemon.run_finished(Outcome.UNCHANGED)
    assert daemon.value("workers", node="node-a") == 8
    assert daemon.value("run_seconds_count", node="node-a") == 1
    assert daemon.of_staff("runs_total", outcome="unchanged", node="node-a") == 1
    assert daemon.value("definitions_waiting") == 5
    assert (daemon.of_staff("held"), daemon.of_staff("held", node="node-a")) == (1, None)
