"""One definition, one role, one open transaction: each has no effect beyond its own definition."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import sql

from contactsync.testing.slapd import PrivateSlapd
from tests.acceptance.test_daemon import daemon as daemon  # noqa: PLC0414 -- a fixture
from tests.support.definitions import Person, define, outcomes
from tests.support.waiting import wait_until


@pytest.mark.parametrize("payload", ["9" * 25, "9" * 5000, "-1", "٣", "1e3", "", "x" * 7000])
def test_no_notification_stops_the_watch(
    daemon: Any, person: Person, directory: PrivateSlapd, database: str, payload: str
) -> None:
    """A role without any right may send one on either channel; edits are followed as before. An empty one runs all."""
    assert daemon
    with psycopg.connect(database, user="postgres", autocommit=True) as anybody:
        for channel in ("contactsync_definitions", "contactsync_requests"):
            anybody.execute("SELECT pg_notify(%s, %s)", [channel, payload])
    definition_id = define(person, directory)
    wait_until(lambda: outcomes(person, definition_id)[:1] == ["changed"], "the first run")
    assert not daemon.events("database.watch_crashed")


def test_an_open_transaction_stops_no_other_folder(
    daemon: Any, person: Person, directory: PrivateSlapd, database: str
) -> None:
    """An application has requested a run of one folder and does not commit: edits and runs of the others go on."""
    assert daemon
    busy = define(person, directory, "Busy", schedule="every 1s")
    other = define(person, directory, "Other")
    wait_until(lambda: outcomes(person, busy) and outcomes(person, other), "the first runs")
    with psycopg.connect(database) as application:
        application.execute("SELECT contactsync.request_sync('Busy')")
        person.execute("UPDATE contactsync.sync_definitions SET schedule = 'every 2s' WHERE definition_id = %s", [busy])
        done = len(outcomes(person, other))
        person.execute("SELECT contactsync.request_sync('Other')")
        wait_until(lambda: len(outcomes(person, other)) > done, "the run of the other folder")
        third = define(person, directory, "Third")
        wait_until(lambda: outcomes(person, third) == ["changed"], "the run of a new folder")
    done = len(outcomes(person, busy))
    wait_until(lambda: len(outcomes(person, busy)) > done, "the folder itself, once the transaction has ended")


def test_a_locked_contact_fails_the_run_of_its_folder_in_time(
    daemon: Any, person: Person, directory: PrivateSlapd, database: str
) -> None:
    """A transaction that was left open on a contact: the run says so soon, and the next one after its end works."""
    definition_id = define(person, directory)
    wait_until(lambda: outcomes(person, definition_id) == ["changed"], "the first run")
    with psycopg.connect(database) as editor:
        locked = editor.execute("SELECT contact_id FROM contactsync.contacts LIMIT 1 FOR UPDATE").fetchone()
        person.execute(
            sql.SQL("UPDATE contactsync.sync_definitions SET mapping = '{}' WHERE definition_id = {}").format(
                sql.SQL('{"fields": {"notes": "cn"}}'), definition_id
            )
        )
        (line,) = daemon.wait_for_event("run.finished", outcome="failed")
        assert "Another session holds a lock" in line["error"]
        assert locked
    done = len(outcomes(person, definition_id))
    person.execute("SELECT contactsync.request_sync('Staff')")
    wait_until(lambda: outcomes(person, definition_id)[done:] == ["changed"], "the run after the transaction")
