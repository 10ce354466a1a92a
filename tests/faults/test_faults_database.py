"""Runs while the connection to PostgreSQL is delayed, stalled, cut, reset, refused, corrupted or slowed down."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
import pytest

from contactsync.model import Counts, Outcome
from contactsync.store.pool import open_pool
from contactsync.sync.runner import Runner
from tests.faults.expected import brought, recomputed
from tests.faults.trial import Trial, faults, repeatable
from tests.faults.world import World
from tests.support.folder import BRISK
from tests.support.proxy import Fault, Harm

STUCK = {Harm.STALL, Harm.CORRUPT}
"""A message that is not understood is not answered either."""
READING = {"search", "fingerprints", "stage"}
"""In these stages a second thread reads fingerprints and stages new rows."""


def test_faults_between_the_daemon_and_postgresql(troubled: World, seed: str, times: int) -> None:
    """Whatever happens at any octet, the folder is the old or the new one, and the run says which."""
    folder = troubled.folder("plain")
    trial = Trial(troubled, folder, troubled.database)
    assert folder.run().outcome is Outcome.CHANGED
    spans = trial.measure()
    with open_pool(troubled.through, max_size=1, timeout=2, silence=0.5) as impatient:
        patient, hasty = (Runner(pool, folder.passwords, BRISK) for pool in (troubled.pool, impatient))
        footprint = troubled.footprint()
        for fault in faults(seed, spans, each=times):
            troubled.pool.timeout = 0.3 if fault.harm is Harm.REFUSE else 10
            with repeatable(fault, seed):
                trial.run(fault, runner=hasty if fault.harm in STUCK else patient)
        impatient.check()
        troubled.expect_footprint(footprint)
    stages = trial.tried.stages.keys()
    assert stages >= {"begin", "plan"}, trial.tried
    assert stages & READING, trial.tried
    assert {Outcome.CHANGED, Outcome.FAILED} <= trial.tried.outcomes.keys()


@pytest.mark.parametrize("harm", [Harm.CUT, Harm.REFUSE])
def test_a_mapping_that_is_undone_after_a_run_whose_end_was_lost(troubled: World, harm: Harm) -> None:
    """The commit arrived and its response did not: the mapping of the contacts is recorded all the same.

    Either the run itself records it, or the next one, which closes the run's row.
    """
    folder = troubled.folder("plain")
    assert folder.run().outcome is Outcome.CHANGED
    # It requests the same attributes, so that no entry differs.
    folder.edit(mapping={"fields": {"title": "sn", "nickname": "title"}})

    def progress(stage: str, _counts: Counts) -> None:
        if stage == "apply":
            troubled.database.arm(Fault(harm, to_server=False, at=b"COMMIT\0"))

    troubled.pool.timeout = 0.3 if harm is Harm.REFUSE else 10
    report = folder.run(progress)
    assert troubled.database.struck
    troubled.database.heal()
    troubled.pool.timeout = 10
    assert folder.row(report.run_id)["outcome"] == "changed"
    assert all(contact["title"] == contact["family_name"] for contact in brought(folder).values())
    folder.edit(mapping=None)
    assert folder.run().outcome is Outcome.CHANGED
    assert brought(folder) == recomputed(troubled.slapd)


@contextmanager
def another_client(conninfo: str) -> Iterator[None]:
    """Query the database all the time, on a connection of its own."""
    over = threading.Event()

    def query() -> None:
        with suppress(psycopg.OperationalError), psycopg.connect(conninfo) as connection:
            while not over.is_set():
                connection.execute("SELECT")

    thread = threading.Thread(target=query)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_server_that_answers_a_copy_twice(troubled: World) -> None:
    """It refuses a damaged message of the rows, and then ends the connection."""
    folder = troubled.folder("plain")
    before = folder.rows()
    with another_client(troubled.through):
        troubled.database.arm(Fault(Harm.CORRUPT, to_server=True, at=b"COPY pg_temp.staged"))
        report = folder.run()
    assert troubled.database.struck
    folder.expect_failure(report, "database.unavailable", "The connection to PostgreSQL broke")
    assert folder.rows() == before
