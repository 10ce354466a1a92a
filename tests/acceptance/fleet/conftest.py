"""Three nodes, for the tests that leave all of them alive."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support.fleet import Fleet, running_fleet
from tests.support.resources import database_of, short_directory
from tests.support.waiting import wait_until


@pytest.fixture(scope="session")
def nodes(postgres_server: str, migrated_template: str) -> Iterator[Fleet]:
    """Start three nodes with a directory of forty people."""
    with (
        short_directory() as place,
        PrivateSlapd(place / "slapd", ldif=people_ldif(40, seed=7), session_log=1000) as directory,
        database_of(postgres_server, template=migrated_template) as database,
        running_fleet(
            database,
            directory,
            place,
            CONTACTSYNC_SCHEDULER__DRAIN_SECONDS="1",
            ADMIN=directory.admin_password,
            LIMITED=directory.limited_password,
            CONTACTSYNC_SECRETS__REFERENCES="env:* file:* credential:*",
        ) as fleet,
    ):
        yield fleet


@pytest.fixture(scope="module")
def fleet(nodes: Fleet) -> Iterator[Fleet]:
    """The nodes, without definitions of other files."""
    yield nodes
    nodes.person.execute("DELETE FROM contactsync.sync_definitions")
    wait_until(lambda: nodes.value("SELECT count(*) FROM contactsync.fleet_listeners") == 0, "the listeners to end")
