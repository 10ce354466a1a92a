"""A rolling upgrade: the nodes of an older program are replaced one by one, while folders sync."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support.fleet import Fleet, FleetNode, running_fleet
from tests.support.fleet_storm import overlaps
from tests.support.older import older_package
from tests.support.resources import database_of
from tests.support.waiting import wait_until

_FAILED = """
    SELECT node, run_id, outcome, error FROM contactsync.sync_runs WHERE outcome NOT IN ('changed', 'unchanged')
"""


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of the older program's package."""
    return older_package(tmp_path_factory.mktemp("older"))


def package_of(node: FleetNode) -> Path:
    """The folder of the program that a node would start now."""
    code = "import contactsync; print(contactsync.__file__)"
    done = subprocess.run([sys.executable, "-c", code], env=node.environ, capture_output=True, text=True, check=True)
    return Path(done.stdout.strip()).parents[1]


def made_runs(fleet: Fleet, name: str, after: int) -> bool:
    """Whether a node has made a run since this one."""
    statement = "SELECT count(*) FROM contactsync.sync_runs WHERE node = %s AND run_id > %s AND finished_at IS NOT NULL"
    return bool(fleet.value(statement, name, after))


def test_nodes_are_upgraded_one_by_one(older: Path, postgres_server: str, short_path: Path) -> None:
    """Both programs make runs of the same folders, none overlaps, none fails, and each node shows the other's."""
    with (
        PrivateSlapd(short_path / "slapd", ldif=people_ldif(40, seed=7)) as directory,
        database_of(postgres_server) as database,
        running_fleet(database, directory, short_path, 2, PYTHONPATH=str(older)) as fleet,
    ):
        assert {package_of(node) for node in fleet.nodes} == {older}
        definitions = [fleet.define(f"Folder {number}", schedule="every 1s") for number in range(6)]
        for node in fleet.nodes:
            wait_until(partial(made_runs, fleet, node.name, 0), f"a run of {node.name}")
        of_older, logged = {}, {}
        for node in fleet.nodes:
            assert node.stop() == 0
            of_older[node.name] = fleet.value("SELECT max(run_id) FROM contactsync.sync_runs")
            logged[node.name] = len(node.lines())
            del node.environ["PYTHONPATH"]
            assert package_of(node) != older
            node.start()
            last = fleet.value("SELECT max(run_id) FROM contactsync.sync_runs")
            for each in fleet.nodes:
                wait_until(partial(made_runs, fleet, each.name, last), f"a run of {each.name}")
                assert each.run(definitions[0])["outcome"] == "unchanged"
                listed = each.get("/v1/fleet")["nodes"]
                assert {row["name"] for row in listed if not row["ended_at"]} == {"node-1", "node-2"}
        failed = fleet.rows(_FAILED)
        # The older program may cancel a run that it begins while it stops.
        assert [row for row in failed if row[2] != "cancelled" or row[1] > of_older[row[0]]] == []
        assert overlaps(fleet) == 0
        assert fleet.rows("SELECT DISTINCT count(*) FROM contactsync.contacts GROUP BY folder_id") == [(40,)]
        for node in fleet.nodes:
            after = node.lines()[logged[node.name] :]
            assert not [line for line in after if line["level"] == "error"], node.text()
