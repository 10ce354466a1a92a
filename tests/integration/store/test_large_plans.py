"""Large plans right after the run that wrote their rows, before PostgreSQL has statistics of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import LiteralString

import psycopg

from contactsync.model import Actor, Outcome
from contactsync.operations.decisions import approve, open_plan
from contactsync.operations.undo import undo
from contactsync.store.plan.run_tables import make_run_tables
from contactsync.store.pool import open_pool
from contactsync.store.statements import statement
from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import SyncedFolder
from tests.support.waiting import wait_until

PEOPLE = 1500
READS = 30
"""How often each row may be read: several times by each of some statements, and not once for each other row."""
ANNA = Actor("unix", "anna", "cli")
_ROWS_READ = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables"
_HELD = """
INSERT INTO contactsync.held_changes (folder_id, run_id, contact_id, action, changes)
SELECT 1, 1, n, 'delete', '{}' FROM generate_series(1, %s) AS n
"""
_PLANNED = "INSERT INTO pg_temp.planned (action, contact_id) SELECT 'delete', n FROM generate_series(1, %s) AS n"
_OTHERS = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def rows_read(database: str) -> int:
    """How many rows all sessions have read; they report it at the latest when they end."""
    with psycopg.connect(database, autocommit=True) as connection:
        wait_until(lambda: not connection.execute(_OTHERS).fetchone(), "the sessions to end")
        row = connection.execute(_ROWS_READ).fetchone()
    assert row
    return int(row[0])


@contextmanager
def linear(database: str, folder: SyncedFolder) -> Iterator[None]:
    """What is done with the folder reads no more rows than an amount of work that grows with the folder may read."""
    before = rows_read(database)
    with open_pool(database, max_size=4, timeout=30) as folder.pool:
        yield
    read = wait_until(lambda: max(0, rows_read(database) - before), "the numbers of rows that were read")
    assert PEOPLE < read < READS * PEOPLE


def test_approved_deletions_and_their_undo_read_each_row_a_few_times(
    make_slapd: Callable[..., PrivateSlapd], database: str
) -> None:
    """Joined row by row, an undo of 12,000 deletions took a minute."""
    slapd = make_slapd(ldif=people_ldif(PEOPLE))
    with open_pool(database, max_size=4, timeout=30) as pool:
        folder = SyncedFolder(database, pool, slapd)
        assert folder.run().counts.inserted == PEOPLE
    folder.edit(filter="(sn=nobody)", allow_empty=True)
    with linear(database, folder):
        held = folder.run()
        assert held.outcome is Outcome.HELD
    with folder.connection() as connection:
        approve(connection, open_plan(connection, held.run_id), ANNA)
    with linear(database, folder):
        done = folder.run()
        assert done.counts.deleted == PEOPLE
    with linear(database, folder):
        assert undo(folder.pool, done.run_id, ANNA).run.inserted == PEOPLE


def test_the_deletions_of_an_approval_are_not_compared_row_by_row(database: str) -> None:
    """The rows of a nested loop over stored rows are not counted, so the plan itself is read. It took a minute, too."""
    query: LiteralString = "EXPLAIN " + statement("not_approved")
    with psycopg.connect(database) as connection:
        make_run_tables(connection)
        connection.execute(_HELD, [PEOPLE])
        connection.execute(_PLANNED, [PEOPLE])
        lines = connection.execute(query, {"folder_id": 1, "approved": 1}).fetchall()
    plan = "\n".join(line for (line,) in lines)
    assert "hashed SubPlan" in plan
    assert "Nested Loop" not in plan
