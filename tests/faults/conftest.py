"""Fixtures of the tests with faults: servers behind proxies, the seed and the number of faults."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contactsync.testing.people import people_ldif
from tests.faults.world import World, world

PEOPLE = 60


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Run a directory of sixty people and a PostgreSQL, both behind proxies."""
    with world(tmp_path_factory.mktemp("troubled"), people_ldif(PEOPLE)) as servers:
        yield servers


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> str:
    """The seed of everything that is random."""
    return str(pytestconfig.getoption("--fault-seed"))


@pytest.fixture(scope="session")
def times(pytestconfig: pytest.Config) -> int:
    """How many times as many faults as usual to try."""
    return int(pytestconfig.getoption("--faults"))
