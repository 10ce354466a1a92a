"""A database for the queues of nodes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contactsync.fleet.jobs.schema import prepare_queue
from tests.support.resources import database_of


@pytest.fixture(scope="module")
def queue_database(postgres_server: str, migrated_template: str) -> Iterator[str]:
    """Make a database with the queue's tables, which every test leaves empty."""
    with database_of(postgres_server, template=migrated_template) as database:
        prepare_queue(database)
        yield database
