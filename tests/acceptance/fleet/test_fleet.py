"""Three daemons share one set of definitions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support.fleet import Fleet, running_fleet
from tests.support.resources import database_of, short_directory


@pytest.fixture(scope="module")
def fleet(postgres_server: str, migrated_template: str) -> Iterator[Fleet]:
    """Three nodes, for the tests that end none."""
    with (
        short_directory() as place,
        PrivateSlapd(place / "slapd", ldif=people_ldif(40, seed=7)) as directory,
        database_of(postgres_server, template=migrated_template) as database,
        running_fleet(database, directory, place) as fleet,
    ):
        yield fleet


def test_any_node_starts_a_run_and_awaits_it(fleet: Fleet) -> None:
    """Whichever node makes the run, the one that was asked answers with its result."""
    definition = fleet.define("Any")
    fleet.wait_for_definitions(1)
    runs = [node.run(definition) for node in fleet.nodes]
    assert [run["outcome"] for run in runs] == ["changed", "unchanged", "unchanged"]
    assert {run["node"] for run in runs} <= {"node-1", "node-2", "node-3"}
