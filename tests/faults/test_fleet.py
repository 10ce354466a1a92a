"""Three nodes under kills, stops, drains, ends and lost sessions, while their schedules run."""

from __future__ import annotations

import random
import signal
import time
from contextlib import suppress

import httpx
import pytest

from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support.fleet import Fleet, FleetNode, running_fleet
from tests.support.resources import database_of, short_directory
from tests.support.waiting import wait_until

PER_SERVER = 2
DEFINITIONS = 12
HARMS = 6
"""Per --faults."""

OVERLAPS = """
    SELECT a.run_id, b.run_id FROM contactsync.sync_runs AS a
    JOIN contactsync.sync_runs AS b ON b.definition_id = a.definition_id AND b.run_id > a.run_id
    WHERE b.started_at < a.finished_at
"""
AT_ONCE = """
    SELECT coalesce(max(n), 0) FROM (
        SELECT count(*) AS n FROM contactsync.sync_runs AS a
        JOIN contactsync.sync_runs AS b ON b.started_at <= a.started_at AND b.finished_at > a.started_at
        GROUP BY a.run_id) AS each
"""


def test_no_harm_makes_runs_overlap(postgres_server: str, migrated_template: str, pytestconfig: pytest.Config) -> None:
    """At most `per_server` runs at once, none of a definition twice, and every folder is in sync in the end."""
    chances = random.Random(pytestconfig.getoption("--fault-seed"))  # noqa: S311 -- no secret
    limits = {"CONTACTSYNC_SCHEDULER__PER_SERVER": str(PER_SERVER), "CONTACTSYNC_SCHEDULER__DRAIN_SECONDS": "2"}
    with (
        short_directory() as place,
        PrivateSlapd(place / "slapd", ldif=people_ldif(40, seed=7)) as directory,
        database_of(postgres_server, template=migrated_template) as database,
        running_fleet(database, directory, place, 3, **limits) as fleet,
    ):
        definitions = [fleet.define(f"Folder {number}", schedule="every 1s") for number in range(DEFINITIONS)]
        for _ in range(HARMS * pytestconfig.getoption("--faults")):
            harm(fleet, chances)
            time.sleep(chances.uniform(0.0, 2.0))
        fleet.person.execute("UPDATE contactsync.sync_definitions SET schedule = 'manual'")
        calm = "SELECT count(*) FROM contactsync_queue.procrastinate_jobs"
        wait_until(lambda: fleet.value(calm) == 0, lambda: f"the queue to be empty: {fleet.value(calm)}")
        assert fleet.rows(OVERLAPS) == []
        assert fleet.value(AT_ONCE) <= PER_SERVER
        runs = [fleet[0].run(definition) for definition in definitions]
        assert {run["outcome"] for run in runs} == {"unchanged"}
        contacts = "SELECT DISTINCT count(*) FROM contactsync.contacts GROUP BY folder_id"
        assert fleet.rows(contacts) == [(40,)]
        assert fleet.value("SELECT count(*) FROM contactsync.sync_runs WHERE finished_at IS NULL") == 0
        for node in fleet.nodes:
            assert not [line for line in node.lines() if line["event"].endswith("crashed")], node.text()


def harm(fleet: Fleet, chances: random.Random) -> None:
    """Do something bad to one node; afterwards it is there again, or about to join again."""
    node = chances.choice(fleet.nodes)
    kind = chances.choice(["kill", "stop", "end", "drain", "sessions"])
    if kind == "kill":
        node.kill()
        node.start()
    elif kind == "end":
        assert node.stop() == 0
        node.start()
    elif kind == "stop":
        node.send(signal.SIGSTOP)
        time.sleep(chances.uniform(1.0, 9.0))
        node.send(signal.SIGCONT)
    elif kind == "drain":
        post(node, "drain")
        time.sleep(chances.uniform(0.0, 2.0))
        post(node, "resume")
    else:
        fleet.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE %s",
            f"contactsync {node.name} %",
        )


def post(node: FleetNode, deed: str) -> None:
    """Drain or resume a node; it may be about to join again."""
    with suppress(httpx.HTTPError):
        node.http.post(f"/v1/fleet/{deed}", params={"node": node.name})
