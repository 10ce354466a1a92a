"""The daemon as a process, with a slapd and a PostgreSQL; definitions are edited by SQL."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

from contactsync.store.embedded import embedded_server
from contactsync.store.health import WATCH_NAME
from contactsync.store.migration import migration_names
from contactsync.testing.slapd import PrivateSlapd
from tests.support.definitions import RARE, Person, count, define, outcomes, state
from tests.support.peers import silent_server
from tests.support.processes import CommandLine
from tests.support.resources import database_of
from tests.support.waiting import wait_until


@pytest.fixture
def daemon(database: str, make_daemon: Callable[..., Any], directory: PrivateSlapd) -> Any:
    """Start a daemon with the reader's password in its environment."""
    daemon = make_daemon(database, READER=directory.reader_password)
    daemon.start()
    return daemon


def test_a_definition_that_is_added_fills_its_folder(daemon: Any, person: Person, directory: PrivateSlapd) -> None:
    """An INSERT is enough, and the run is one line in the log."""
    definition_id = define(person, directory)
    wait_until(lambda: count(person) == 40, "forty contacts")
    (line,) = wait_until(lambda: daemon.events("run.finished", definition=definition_id), "the run's line")
    assert line["folder"] == "Staff"
    assert (line["outcome"], line["inserted"], line["level"]) == ("changed", 40, "info")


def test_a_schedule_brings_changes(daemon: Any, person: Person, directory: PrivateSlapd) -> None:
    """With a schedule of a second, a deletion in the directory arrives."""
    assert daemon
    define(person, directory, schedule="every 1s")
    wait_until(lambda: count(person) == 40, "forty contacts")
    row = person.execute("SELECT source_dn FROM contactsync.contacts LIMIT 1").fetchone()
    connection = directory.connection()
    connection.delete(row[0] if row else "")
    connection.unbind()
    wait_until(lambda: count(person) == 39, "the deletion to arrive")


def test_an_edited_schedule_takes_effect_at_once(daemon: Any, person: Person, directory: PrivateSlapd) -> None:
    """From hourly to every second, and back to manual, by UPDATE."""
    assert daemon
    definition_id = define(person, directory)
    wait_until(lambda: outcomes(person, definition_id) == ["changed"], "the first run")
    person.execute("UPDATE contactsync.sync_definitions SET schedule = 'every 1s'")
    wait_until(lambda: len(outcomes(person, definition_id)) >= 3, "runs every second")
    person.execute("UPDATE contactsync.sync_definitions SET schedule = 'manual'")
    wait_until(
        lambda: person.execute("SELECT FROM contactsync.sync_status WHERE next_run_at IS NULL").fetchone() is not None,
        "no next run",
    )


@pytest.mark.parametrize(
    ("wrong", "correction", "word"),
    [
        ({"schedule": "whenever"}, "schedule = '@hourly'", "whenever"),
        ({"password_ref": None}, "password_ref = 'env:READER'", "no password"),
    ],
)
def test_a_definition_that_is_not_valid_does_not_run_and_the_others_do(
    daemon: Any,
    person: Person,
    directory: PrivateSlapd,
    wrong: dict[str, Any],
    correction: LiteralString,
    word: str,
) -> None:
    """The view and the log give the reason; it runs once it is corrected."""
    bad = define(person, directory, "Bad", **wrong)
    good = define(person, directory, "Good")
    wait_until(lambda: outcomes(person, good) == ["changed"], "the good definition")
    wait_until(lambda: state(person, bad)[0] == "invalid", "its state")
    assert word in state(person, bad)[1]
    assert daemon.wait_for_event("definition.invalid", folder="Bad", reason=state(person, bad)[1])
    person.execute("NOTIFY contactsync_requests, 'Bad'")
    person.execute("NOTIFY contactsync_requests, 'Good'")
    wait_until(lambda: len(outcomes(person, good)) > 1, "the requested run of the good one")
    assert outcomes(person, bad) == []
    person.execute(f"UPDATE contactsync.sync_definitions SET {correction} WHERE definition_id = %s", [bad])  # noqa: S608
    wait_until(lambda: outcomes(person, bad) == ["changed"], "a run after the correction")
    wait_until(lambda: state(person, bad) == ("ok", None), "its state")


def test_a_deleted_definition_is_gone_with_its_contacts(daemon: Any, person: Person, directory: PrivateSlapd) -> None:
    """A DELETE is enough."""
    definition_id = define(person, directory, schedule="every 1s")
    wait_until(lambda: count(person) == 40, "forty contacts")
    person.execute("DELETE FROM contactsync.sync_definitions")
    assert count(person) == 0
    wait_until(lambda: daemon.events("definition.removed", definition=definition_id), "the daemon to notice")


def test_a_paused_definition_does_not_run(daemon: Any, person: Person, directory: PrivateSlapd) -> None:
    """It is added paused, and runs when it is resumed."""
    assert daemon
    definition_id = define(person, directory, enabled=False)
    other = define(person, directory, "Other")
    wait_until(lambda: outcomes(person, other) == ["changed"], "the other one")
    assert outcomes(person, definition_id) == []
    person.execute("UPDATE contactsync.sync_definitions SET enabled = true WHERE definition_id = %s", [definition_id])
    wait_until(lambda: outcomes(person, definition_id) == ["changed"], "the resumed one")


def test_edits_are_followed_after_the_listening_connection_was_lost(
    daemon: Any, person: Person, directory: PrivateSlapd
) -> None:
    """After a lost notification the daemon reads the definitions again."""
    listening = len(daemon.events("database.listening"))
    person.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'contactsync-watch' AND datname = current_database()"
    )
    define(person, directory)
    wait_until(lambda: count(person) == 40, "forty contacts")
    wait_until(lambda: len(daemon.events("database.listening")) > listening, "the event in the log")


def test_edits_are_followed_after_postgresql_was_restarted(
    make_daemon: Callable[..., Any], directory: PrivateSlapd, short_path: Path
) -> None:
    """After the server was killed and started again."""
    with embedded_server(short_path) as conninfo:
        daemon = make_daemon(conninfo, READER=directory.reader_password)
        daemon.start()
        with psycopg.connect(conninfo, user="postgres", autocommit=True) as admin:
            row = admin.execute("SELECT pg_read_file('postmaster.pid')").fetchone()
        os.kill(int(str(row[0] if row else "").split()[0]), signal.SIGQUIT)
        wait_until(lambda: daemon.events("database.lost"), "the daemon to notice")
        with embedded_server(short_path), psycopg.connect(conninfo, autocommit=True) as person:
            define(person, directory)
            wait_until(lambda: count(person) == 40, "forty contacts")
        assert daemon.stop() == 0


def test_a_missed_run_is_made_up_once(daemon: Any, person: Person, directory: PrivateSlapd) -> None:
    """However often it was due while the daemon was down; a definition that was not due does not run."""
    missed = define(person, directory, "Missed", schedule=RARE)
    waits = define(person, directory, "Waits", schedule=RARE)
    wait_until(lambda: outcomes(person, missed) == outcomes(person, waits) == ["changed"], "the first runs")
    assert daemon.stop() == 0
    person.execute(
        "UPDATE contactsync.sync_status SET last_started_at = now() - interval '3 years' WHERE definition_id = %s",
        [missed],
    )
    person.execute(
        "UPDATE contactsync.sync_status SET last_started_at = now() + interval '1 minute' WHERE definition_id = %s",
        [waits],
    )
    daemon.start()
    wait_until(lambda: len(outcomes(person, missed)) == 2, "the missed run")
    third = define(person, directory, "Third")
    wait_until(lambda: outcomes(person, third) == ["changed"], "another run after it")
    assert outcomes(person, missed) == ["changed", "unchanged"]
    assert outcomes(person, waits) == ["changed"]
    (trigger,) = person.execute(
        "SELECT trigger FROM contactsync.sync_runs WHERE definition_id = %s ORDER BY run_id DESC LIMIT 1", [missed]
    ).fetchone() or (None,)
    assert trigger == "catch-up"


@pytest.mark.parametrize("mode", ["full", "incremental"])
def test_an_edit_made_while_the_daemon_is_down_is_followed_by_the_start(
    daemon: Any, person: Person, directory: PrivateSlapd, mode: str
) -> None:
    """The run is held as after any edit of the query, long before the schedule; an edit of nothing brings no run."""
    edited = define(person, directory, "Edited", schedule="@yearly", mode=mode)
    other = define(person, directory, "Other", schedule="@yearly", mode=mode)
    wait_until(lambda: outcomes(person, edited) == outcomes(person, other) == ["changed"], "the first runs")
    daemon.stop(signal.SIGKILL)
    person.execute("UPDATE contactsync.sync_definitions SET filter = '(sn=nobody)' WHERE definition_id = %s", [edited])
    daemon.start()
    wait_until(lambda: outcomes(person, edited) == ["changed", "held"], "the run that follows the edit")
    third = define(person, directory, "Third")
    wait_until(lambda: outcomes(person, third) == ["changed"], "another run after it")
    assert outcomes(person, other) == ["changed"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_daemon_and_cancels_its_runs(
    daemon: Any, person: Person, directory: PrivateSlapd, number: int
) -> None:
    """With exit code 0; a run that waits for a silent directory is recorded as cancelled."""
    with silent_server() as port:
        definition_id = define(person, directory, query=f"127.0.0.1:{port}", base="dc=x")
        wait_until(lambda: outcomes(person, definition_id) == [None], "the run to begin")
        assert daemon.stop(number) == 0
    assert outcomes(person, definition_id) == ["cancelled"]
    assert daemon.events("daemon.stopped")
    assert not daemon.events("daemon.drain_exceeded")


def test_a_killed_daemon_leaves_nothing_half_done(daemon: Any, person: Person, directory: PrivateSlapd) -> None:
    """After SIGKILL the next start marks the run as interrupted and runs again."""
    with silent_server() as port:
        definition_id = define(person, directory, query=f"127.0.0.1:{port}", base="dc=x")
        wait_until(lambda: outcomes(person, definition_id) == [None], "the run to begin")
        daemon.stop(signal.SIGKILL)
    assert outcomes(person, definition_id) == [None]
    query = f"{directory.url}/{directory.suffix}"
    person.execute("UPDATE contactsync.sync_definitions SET base = NULL, query = %s", [query])
    daemon.start()
    wait_until(lambda: outcomes(person, definition_id) == ["interrupted", "changed"], "the mark and a new run")
    assert daemon.wait_for_event("run.interrupted", folder="Staff")
    assert count(person) == 40


def test_two_daemons_may_start_at_once(postgres_server: str, make_daemon: Callable[..., Any]) -> None:
    """Only one of them migrates the empty database, and both run."""
    with database_of(postgres_server) as empty:
        daemons = [make_daemon(empty), make_daemon(empty)]
        threads = [threading.Thread(target=daemon.start) for daemon in daemons]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(len(daemon.events("database.migrated")) for daemon in daemons) == 1
        assert [daemon.stop() for daemon in daemons] == [0, 0]


def test_the_password_is_in_no_log(daemon: Any, person: Person, directory: PrivateSlapd) -> None:
    """Neither after a successful run nor after a refused bind."""
    define(person, directory)
    define(person, directory, "Wrong", bind_user="cn=nobody,dc=example,dc=test")
    wait_until(lambda: len(daemon.events("run.finished")) == 2, "both runs")
    assert all(directory.reader_password not in str(line) for line in daemon.lines())


def test_an_embedded_postgresql_that_died_is_started_again(
    make_daemon: Callable[..., Any], directory: PrivateSlapd, short_path: Path
) -> None:
    """The daemon starts it, without an administrator, and goes on."""
    embedded = {"CONTACTSYNC_DATABASE__URL": "", "CONTACTSYNC_STATE__DIRECTORY": str(short_path)}
    daemon = make_daemon("", READER=directory.reader_password, **embedded)
    daemon.start()
    postmaster = int((short_path / "postgresql/data/postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGKILL)
    wait_until(lambda: daemon.events("database.revived"), "the daemon to start it again")
    with embedded_server(short_path) as conninfo, psycopg.connect(conninfo, autocommit=True) as person:
        define(person, directory)
        wait_until(lambda: count(person) == 40, "forty contacts")
    assert daemon.stop() == 0


def test_a_restore_under_a_running_daemon_is_followed(
    database: str, make_daemon: Callable[..., Any], person: Person, directory: PrivateSlapd, cli: CommandLine
) -> None:
    """The definitions of the dump replace those that the daemon knew, also with the same ids and revisions."""
    daemon = make_daemon(database, READER=directory.reader_password, CONTACTSYNC_SCHEDULER__RESCAN_SECONDS="1")
    daemon.start()
    define(person, directory, schedule="manual")
    dump = Path(daemon.state).with_name("contactsync.dump")
    cli.ok("dump", str(dump))
    person.execute("DELETE FROM contactsync.folders")
    define(person, directory, "Other")
    wait_until(lambda: daemon.events("run.finished", folder="Other"), "the run of the other folder")
    assert "Restart the daemon." in cli.ok("restore", str(dump), "--replace", "--yes")
    wait_until(lambda: daemon.events("definition.removed", folder="Other"), "the folder that the dump lacks to go")
    with psycopg.connect(database) as application:
        application.execute("SELECT contactsync.request_sync('Staff')")
    wait_until(lambda: count(person) == 40, "the run of the restored folder")


def test_a_dump_of_an_older_release_under_a_running_daemon_is_named(daemon: Any, person: Person) -> None:
    """The daemon is not ready, and says what to do. Nothing migrates while it runs."""
    missing = migration_names()[-1]
    person.execute("DELETE FROM contactsync.schema_migrations WHERE name = %s", [missing])
    watch = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s AND datname = %s"
    person.execute(watch, [WATCH_NAME, person.info.dbname])
    wait_until(
        lambda: any(
            f"an older release: it lacks {missing}" in line["error"] for line in daemon.events("database.lost")
        ),
        "the reason in the log",
    )
