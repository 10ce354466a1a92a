"""The metrics: what runs come to, how definitions do, and no more series than there are definitions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from prometheus_client.parser import text_string_to_metric_families

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
"""What the database says of one definition."""


def of_staff(name: str, **labels: str) -> str:
    """The name of one of its samples, with labels."""
    return labelled(f"contactsync_{name}", {"folder": "anna/Staff", "definition": "directory", **labels})


def labelled(name: str, labels: dict[str, str]) -> str:
    """A sample's name with its labels in order."""
    within = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{within}}}" if within else name


class Daemon:
    """A daemon whose state a test sets."""

    def __init__(self) -> None:
        self.now = DaemonSnapshot(
            definitions=[STAFF],
            workers=8,
            workers_busy=2,
            waiting=5,
            reconnects=1,
            live=LiveSnapshot(3, 4, 0.5, 6),
        )
        self.metrics = Metrics(lambda: self.now)

    def run_finished(self, outcome: Outcome, **details: object) -> None:
        """Have a run of the definition ended."""
        definition = Definition(folder_id=1, definition_id=3, folder="Staff", owner="anna")
        report = RunReport(
            7, definition, Trigger.SCHEDULE, NOON, outcome=outcome, seconds={"search": 2.0, "apply": 1.0}
        )
        for name, value in details.items():
            setattr(report, name, value)
        self.metrics.finished(report)

    def samples(self) -> dict[str, float]:
        """Every sample as Prometheus would read it, by its name with its labels."""
        found = {}
        for family in text_string_to_metric_families(self.metrics.render().decode()):
            for sample in family.samples:
                found[labelled(sample.name, sample.labels)] = sample.value
        return found


@pytest.fixture
def daemon() -> Daemon:
    """Give a daemon with one definition."""
    return Daemon()


def test_runs_are_counted_by_definition_and_outcome(daemon: Daemon) -> None:
    """Attempts beyond the first are retries; what was changed counts, what was held does not."""
    counts = Counts(inserted=3, updated=2, deleted=1, rejected=4)
    plan = Plan(inserts=3, updates=2, deletes=1, contacts=40)
    daemon.run_finished(Outcome.CHANGED, counts=counts, plan=plan, attempts=3)
    daemon.run_finished(Outcome.CHANGED, counts=counts, plan=plan, attempts=1)
    daemon.run_finished(Outcome.HELD, counts=counts, plan=plan, attempts=1)
    samples = daemon.samples()
    assert samples[of_staff("runs_total", outcome="changed")] == 2
    assert samples[of_staff("runs_total", outcome="held")] == 1
    assert samples[of_staff("retries_total")] == 2
    assert samples[of_staff("changes_total", action="delete")] == 2
    assert samples[of_staff("rejected_entries")] == 4


@pytest.mark.parametrize(
    ("outcome", "plan", "contacts"),
    [
        (Outcome.UNCHANGED, None, 38),
        (Outcome.CHANGED, Plan(inserts=3, deletes=1, contacts=40), 42),
        (Outcome.HELD, Plan(inserts=3, deletes=30, contacts=40), 40),
    ],
)
def test_contacts_are_those_after_the_run(daemon: Daemon, outcome: Outcome, plan: Plan | None, contacts: int) -> None:
    """With a plan or without; a failure afterwards leaves the number as it is."""
    daemon.run_finished(outcome, counts=Counts(unchanged=38, inserted=3, deleted=1), plan=plan)
    daemon.run_finished(Outcome.FAILED)
    assert daemon.samples()[of_staff("contacts")] == contacts


@pytest.mark.parametrize(
    ("outcome", "mode", "plan", "contacts"),
    [
        (Outcome.UNCHANGED, Mode.INCREMENTAL, None, 40),
        (Outcome.UNCHANGED, Mode.COUNTERS, None, 40),
        (Outcome.CHANGED, Mode.INCREMENTAL, Plan(inserts=3, deletes=1), 42),
        (Outcome.HELD, Mode.INCREMENTAL, Plan(deletes=30, contacts=39), 39),
        (Outcome.CHANGED, Mode.UNDO, None, 42),
    ],
)
def test_contacts_follow_runs_that_do_not_count_them(
    daemon: Daemon, outcome: Outcome, mode: Mode, plan: Plan | None, contacts: int
) -> None:
    """An increment sees only those that changed."""
    daemon.run_finished(Outcome.UNCHANGED, counts=Counts(unchanged=40))
    daemon.run_finished(outcome, mode=mode, counts=Counts(inserted=3, deleted=1), plan=plan)
    assert daemon.samples()[of_staff("contacts")] == contacts


def test_seconds_are_observed_for_each_stage_and_in_all(daemon: Daemon) -> None:
    """A run's time is the sum of its stages."""
    daemon.run_finished(Outcome.UNCHANGED)
    samples = daemon.samples()
    assert samples['contactsync_run_stage_seconds_sum{stage="search"}'] == 2
    assert (samples["contactsync_run_seconds_sum"], samples["contactsync_run_seconds_count"]) == (3, 1)


def test_states_and_times_are_looked_up(daemon: Daemon) -> None:
    """They hold from the first scrape after a start; a time that is not known has no sample."""
    samples = daemon.samples()
    assert (samples[of_staff("held")], samples[of_staff("locked")]) == (1, 0)
    assert samples[of_staff("last_success_timestamp_seconds")] == NOON.timestamp()
    assert of_staff("success_due_timestamp_seconds") not in samples
    assert (samples["contactsync_workers"], samples["contactsync_workers_busy"]) == (8, 2)
    assert (samples["contactsync_definitions_waiting"], samples["contactsync_database_reconnects_total"]) == (5, 1)
    live = [
        samples[f"contactsync_live_{name}"]
        for name in ("listening", "not_listening", "behind_seconds", "auto_scheduled")
    ]
    assert live == [3, 4, 0.5, 6]


def test_a_certificate_stays_known_between_runs(daemon: Daemon) -> None:
    """A run that did not get as far as TLS does not forget it."""
    daemon.run_finished(Outcome.UNCHANGED, certificates=Certificates(NOON, NOON))
    daemon.run_finished(Outcome.FAILED)
    for name in ("certificate_expiry_timestamp_seconds", "client_certificate_expiry_timestamp_seconds"):
        assert daemon.samples()[of_staff(name)] == NOON.timestamp()


def test_a_removed_definition_takes_its_series_along(daemon: Daemon) -> None:
    """And one with the same id does not inherit them."""
    daemon.run_finished(Outcome.UNCHANGED)
    daemon.now = replace(daemon.now, definitions=[])
    assert not [name for name in daemon.samples() if "anna" in name]
    daemon.now = replace(daemon.now, definitions=[STAFF])
    assert not [name for name in daemon.samples() if name.startswith("contactsync_runs_total")]


def test_without_a_database_what_was_known_stays(daemon: Daemon) -> None:
    """An outage is said by one gauge, and makes no other series vanish."""
    before = daemon.samples()
    daemon.now = replace(daemon.now, definitions=None)
    after = daemon.samples()
    assert (before["contactsync_database_up"], after["contactsync_database_up"]) == (1, 0)
    assert of_staff("held") in after


def test_names_that_people_gave_cannot_break_the_format(daemon: Daemon) -> None:
    """Quotes, backslashes and line breaks in a folder's name come back as they are."""
    name = 'a"b\\c\nd{e}'
    daemon.now = replace(daemon.now, definitions=[replace(STAFF, folder=name)])
    families = text_string_to_metric_families(daemon.metrics.render().decode())
    held = next(family for family in families if family.name == "contactsync_held")
    assert held.samples[0].labels["folder"] == name
