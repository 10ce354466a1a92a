"""A rolling upgrade: the nodes of an older program are replaced one by one, while folders sync."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
from functools import partial
from pathlib import Path

import pytest

import contactsync
from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support.fleet import Fleet, FleetNode, running_fleet
from tests.support.fleet_storm import overlaps
from tests.support.resources import database_of
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[3]
OLDER = "c88d5853dc50fc8d42de252f9d24b5cf92fb4b26"
"""The commit of the older program: that of the last release, once there is one."""
MIGRATIONS = Path("contactsync/store/migrations")
_SERVES = re.compile(r"^-- serves: ([0-9]{4})$", re.MULTILINE)
_FAILED = """
    SELECT node, run_id, outcome, error FROM contactsync.sync_runs WHERE outcome NOT IN ('changed', 'unchanged')
"""


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of the older program's package."""
    command = ["git", "-C", str(ROOT), "archive", "--format=tar", OLDER, "daemon"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"This clone has no commit {OLDER[:7]}, whose program would be the older one.")
    place = tmp_path_factory.mktemp("older")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(place, filter="data")
    if not _served(place / "daemon"):
        pytest.skip("A migration since then serves no older program.")
    return place / "daemon"


def _served(older: Path) -> bool:
    """Whether the older program works with each migration that it does not know."""
    known = {file.name for file in (older / MIGRATIONS).glob("*.sql")}
    level = max(known)[:4]
    files = Path(contactsync.__file__).parents[1].joinpath(MIGRATIONS).glob("*.sql")
    texts = [file.read_text(encoding="utf-8") for file in files if file.name not in known]
    return all((match := _SERVES.search(text)) and match[1] <= level for text in texts)


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
        of_older = {}
        for node in fleet.nodes:
            assert node.stop() == 0
            of_older[node.name] = fleet.value("SELECT max(run_id) FROM contactsync.sync_runs")
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
            assert not [line for line in node.lines() if line["level"] == "error"], node.text()
