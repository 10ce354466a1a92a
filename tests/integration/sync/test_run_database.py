"""Whole runs while PostgreSQL crashes, disconnects or has no room: the folder is the old one or the new one."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from threading import Thread

import psycopg
import pytest
from psycopg import sql

from contactsync.errors import DatabaseUnavailable
from contactsync.model import Counts, Outcome, RunReport
from contactsync.settings.schema import MappingLimits
from contactsync.store.pool import connection_of, open_pool
from contactsync.sync.runner import Runner
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import BRISK, SyncedFolder, change, people
from tests.support.observers import once
from tests.support.postgres import FragilePostgres
from tests.support.resources import short_directory
from tests.support.waiting import wait_until

MIB = 1 << 20
PHOTOS, PHOTO_BYTES = 3, 7 * MIB
LARGE = MappingLimits(photo_bytes=8 * MIB)
WAL_SEGMENT_BYTES = 16 * MIB
"""A file that PostgreSQL must be able to write whole: it gives up altogether otherwise."""


@pytest.fixture(scope="module")
def postgres() -> Iterator[FragilePostgres]:
    """Run a server for this module."""
    with short_directory() as state_dir, FragilePostgres(state_dir) as server:
        yield server


@pytest.fixture(scope="module")
def photo_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateSlapd]:
    """Run a directory of three people whose photos are larger than one file of PostgreSQL."""
    ldif = ""
    for number in range(PHOTOS):
        photo = b"\xff\xd8\xff" + Random(number).randbytes(PHOTO_BYTES)  # noqa: S311 -- just not compressible
        ldif += (
            f"dn: uid=p{number},ou=people,dc=example,dc=test\nobjectClass: inetOrgPerson\nuid: p{number}\n"
            f"cn: Person {number}\nsn: Person\njpegPhoto:: {base64.b64encode(photo).decode()}\n\n"
        )
    with PrivateSlapd(tmp_path_factory.mktemp("photos") / "slapd", ldif=ldif) as server:
        yield server


@pytest.fixture(scope="module")
def fragile_database(postgres: FragilePostgres) -> str:
    """Give the conninfo of a migrated database of that server."""
    return postgres.new_database()


@pytest.fixture
def fragile_folder(
    postgres: FragilePostgres, fragile_database: str, directory: PrivateSlapd, caplog: pytest.LogCaptureFixture
) -> Iterator[SyncedFolder]:
    """Fill a folder there and change the directory. No library logs a traceback meanwhile."""
    postgres.start()
    with open_pool(fragile_database, max_size=4, timeout=15) as pool:
        folder = SyncedFolder(fragile_database, pool, directory)
        assert folder.run().outcome is Outcome.CHANGED
        change(directory)
        yield folder
    assert not [record for record in caplog.records if record.exc_info]


def backends(folder: SyncedFolder, application_name: str = "contactsync") -> list[int]:
    """The processes of the sessions of a pool, by default that of the folder's runs."""
    query = (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND application_name = %s"
    )
    return [row["pid"] for row in folder.query(query, application_name)]


def expect_lost(folder: SyncedFolder, report: RunReport) -> None:
    """The run reports a broken connection and no changes."""
    folder.expect_failure(report, "database.unavailable", "The connection to PostgreSQL broke", "the next run")
    assert (report.counts.inserted, report.counts.updated, report.counts.deleted) == (0, 0, 0)
    # A session that was ended tells its client first and frees its locks then.
    locks = (
        "SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = database"
        " WHERE locktype = 'advisory' AND datname = current_database()"
    )
    wait_until(lambda: not folder.query(locks), "the locks to be freed")


@pytest.mark.parametrize("stage", ["fingerprints", "stage", "plan", "apply"])
def test_a_crash_of_postgresql_and_its_return(
    fragile_folder: SyncedFolder, postgres: FragilePostgres, stage: str
) -> None:
    """The run fails, its row says so, and the folder is unchanged."""
    folder, before = fragile_folder, fragile_folder.rows()

    def crash() -> None:
        postgres.crash()
        postgres.start()

    expect_lost(folder, folder.run(once(stage, crash)))
    assert folder.rows() == before
    folder.expect_in_sync()


@pytest.mark.parametrize("stage", ["stage", "apply"])
def test_a_crash_of_postgresql_that_stays_away(
    fragile_folder: SyncedFolder, postgres: FragilePostgres, stage: str
) -> None:
    """The log has the outcome that the row lacks. The next run marks the row."""
    folder, before = fragile_folder, fragile_folder.rows()
    folder.pool.timeout = 0.5
    report = folder.run(once(stage, postgres.crash))
    assert (report.outcome, report.error_code) == (Outcome.FAILED, "database.unavailable")
    folder.expect_sentences(report.error, "The connection to PostgreSQL broke")
    (unrecorded,) = [line for line in folder.log if "run.unrecorded" in line]
    assert "PostgreSQL cannot be reached" in unrecorded

    postgres.start()
    folder.pool.timeout = 10
    assert folder.rows() == before
    assert folder.row(report.run_id)["outcome"] is None
    folder.expect_in_sync()
    row = folder.row(report.run_id)
    assert (row["outcome"], row["error_code"]) == ("interrupted", "run.interrupted")
    folder.expect_sentences(row["error"], "ended before")


def test_a_crash_of_postgresql_while_a_statement_of_the_apply_runs(
    fragile_folder: SyncedFolder, postgres: FragilePostgres
) -> None:
    """The deletions were made and half of the inserts; none of it remains."""
    folder, before = fragile_folder, fragile_folder.rows()
    folder.query(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NULL; END'"
    )
    folder.query("CREATE TRIGGER slow AFTER INSERT ON contactsync.contacts EXECUTE FUNCTION slow()")
    sleeping = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"

    def crash() -> None:
        wait_until(lambda: folder.query(sleeping), "the statement to run")
        postgres.crash()
        postgres.start()

    crasher = Thread(target=crash)
    report = folder.run(once("apply", crasher.start))
    crasher.join()
    expect_lost(folder, report)
    folder.query("DROP FUNCTION slow CASCADE")
    assert folder.rows() == before
    folder.expect_in_sync()


@pytest.mark.parametrize("stage", ["connect", "search", "stage", "plan", "apply"])
def test_a_terminated_backend(fragile_folder: SyncedFolder, stage: str) -> None:
    """An administrator ends the session; a page that was staged before is not used."""
    folder, before = fragile_folder, fragile_folder.rows()

    def terminate() -> None:
        for pid in backends(folder):
            folder.query("SELECT pg_terminate_backend(%s, 5000)", pid)

    expect_lost(folder, folder.run(once(stage, terminate)))
    assert folder.rows() == before
    folder.expect_in_sync()


@pytest.mark.parametrize("when", ["AFTER DELETE", "AFTER UPDATE", "AFTER INSERT", "at the commit"])
def test_a_backend_terminated_inside_the_apply(fragile_folder: SyncedFolder, when: str) -> None:
    """At each of its statements, and during the commit."""
    folder, before = fragile_folder, fragile_folder.rows()
    folder.query(
        "CREATE FUNCTION hang_up() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END'"
    )
    kind, event = ("TRIGGER", when) if when != "at the commit" else ("CONSTRAINT TRIGGER", "AFTER INSERT")
    rows = "" if kind == "TRIGGER" else "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
    folder.query(f"CREATE {kind} hang_up {event} ON contactsync.contacts {rows} EXECUTE FUNCTION hang_up()")
    report = folder.run()
    folder.query("DROP FUNCTION hang_up CASCADE")
    expect_lost(folder, report)
    assert folder.rows() == before
    folder.expect_in_sync()


@pytest.mark.parametrize("stage", ["connect", "fingerprints", "stage", "plan", "apply"])
def test_a_silent_postgresql(fragile_folder: SyncedFolder, fragile_database: str, stage: str) -> None:
    """As after a lost network connection: the run ends after some time, and the next one connects again."""
    folder, before = fragile_folder, fragile_folder.rows()
    frozen: list[int] = []

    def freeze() -> None:
        for pid in backends(folder, "frozen"):
            os.kill(pid, signal.SIGSTOP)
            frozen.append(pid)

    with open_pool(fragile_database, max_size=2, timeout=15, silence=0.3, application_name="frozen") as pool:
        runner = Runner(pool, folder.passwords, BRISK)
        try:
            report = folder.run(once(stage, freeze), runner=runner)
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
    expect_lost(folder, report)
    folder.expect_sentences(report.error, "it did not answer within 0.3 seconds")
    assert folder.rows() == before
    folder.expect_in_sync()


def test_a_cancelled_statement(fragile_folder: SyncedFolder) -> None:
    """An administrator cancels a slow statement: the run fails, and its session stays."""
    folder, before = fragile_folder, fragile_folder.rows()
    folder.query(
        "CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_cancel_backend(pg_backend_pid()); PERFORM pg_sleep(60); RETURN NULL; END'"
    )
    folder.query("CREATE TRIGGER stop AFTER UPDATE ON contactsync.contacts EXECUTE FUNCTION stop()")
    report = folder.run()
    folder.query("DROP FUNCTION stop CASCADE")
    folder.expect_failure(report, "database", "PostgreSQL ended a statement before its answer: canceling statement")
    assert folder.rows() == before
    folder.expect_in_sync()


def test_a_user_edits_a_contact_during_the_apply(fragile_folder: SyncedFolder) -> None:
    """The run makes its plan again after the edit; the next run reads contacts that it did not plan to write."""
    folder = fragile_folder
    edit = "UPDATE contactsync.contacts SET notes = 'mine' WHERE definition_id = %s"
    report = folder.run(once("apply", lambda: folder.query(edit, folder.definition_id)))
    assert (report.outcome, report.error) == (Outcome.CHANGED, None)
    assert [notes for _, _, notes in folder.contacts() if str(notes).startswith("Changed")]
    folder.expect_in_sync()


def test_a_user_edits_a_contact_at_every_attempt(fragile_folder: SyncedFolder) -> None:
    """The run fails and changes nothing; the next run follows the directory again."""
    folder = fragile_folder

    def edit(stage: str, _counts: Counts) -> None:
        if stage == "apply":
            folder.query(
                "UPDATE contactsync.contacts SET notes = 'mine' WHERE definition_id = %s", folder.definition_id
            )

    report = folder.run(edit)
    folder.expect_failure(report, "database.conflict", "at the same time", "the next run tries again")
    assert {notes for _, _, notes in folder.contacts()} == {"mine"}
    folder.expect_in_sync()


@pytest.mark.parametrize("stage", ["stage", "apply"])
def test_files_that_may_not_grow(
    fragile_database: str, postgres: FragilePostgres, photo_directory: PrivateSlapd, stage: str
) -> None:
    """As with a quota: the run fails with PostgreSQL's message, and succeeds when there is room."""
    with open_pool(fragile_database, max_size=4, timeout=15) as pool:
        folder = SyncedFolder(fragile_database, pool, photo_directory)
        leave_for(stage, folder)
        before = folder.rows()

        def limit(octets: int | None) -> None:
            for pid in backends(folder):
                postgres.limit_files(pid, octets)

        report = folder.run(once(stage, lambda: limit(WAL_SEGMENT_BYTES)), map_limits=LARGE)
        folder.expect_failure(report, "database", "File too large", "Nothing was changed", "server's log")
        assert report.counts.inserted == 0
        assert folder.rows() == before
        limit(None)
        expect_photos(folder)


@pytest.mark.parametrize(("mebibytes", "stage"), [(24, "stage"), (44, "apply")])
def test_a_full_disk(postgres: FragilePostgres, photo_directory: PrivateSlapd, mebibytes: int, stage: str) -> None:
    """During staging and during the apply: nothing is lost, and the run succeeds when there is room."""
    with small_disk(postgres, mebibytes) as (conninfo, enlarge), open_pool(conninfo, max_size=4, timeout=15) as pool:
        folder = SyncedFolder(conninfo, pool, photo_directory)
        leave_for(stage, folder)
        before = folder.rows()
        report = folder.run(map_limits=LARGE)
        folder.expect_failure(report, "database", "No space left on device", "Nothing was changed", "Free or add")
        assert list(report.seconds)[-1] == stage
        assert folder.rows() == before
        enlarge()
        expect_photos(folder)


def leave_for(stage: str, folder: SyncedFolder) -> None:
    """Prevent an early load, which has no separate apply: a folder with departed contacts is no first load."""
    if stage == "apply":
        folder.query(
            "INSERT INTO contactsync.departed_contacts (folder_id, definition_id, source_key, contact_id)"
            " VALUES (%s, %s, 'somebody', 0)",
            folder.folder_id,
            folder.definition_id,
        )


@contextmanager
def small_disk(postgres: FragilePostgres, mebibytes: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """A database on a disk of that size: its conninfo, and a function that enlarges the disk."""
    account, place = postgres.account, Path(tempfile.mkdtemp(prefix="contactsync-disk-"))
    options = f"size={mebibytes}m,uid={account.uid},gid={account.gid},mode=700"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True, check=False)
    if mounted.returncode:
        place.rmdir()
        pytest.skip("only the root of a machine can mount a small disk; a limit on files is tried instead")
    try:
        postgres.as_superuser(sql.SQL("CREATE TABLESPACE small LOCATION {}").format(str(place)))
        conninfo = postgres.new_database("small")
        yield conninfo, lambda: subprocess.run(["mount", "-o", "remount,size=1g", place], check=True)
    finally:
        postgres.as_superuser(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(postgres.newest)))
        postgres.as_superuser(sql.SQL("DROP TABLESPACE small"))
        subprocess.run(["umount", "--lazy", place], check=True)
        place.rmdir()


def expect_photos(folder: SyncedFolder) -> None:
    """Every person arrives with the photo."""
    report = folder.run(map_limits=LARGE)
    assert (report.outcome, report.counts.inserted) == (Outcome.CHANGED, PHOTOS)
    assert folder.contacts() == people(folder.slapd)
    assert [len(row["photo"]) for row in folder.rows()["photos"]] == [PHOTO_BYTES + 3] * PHOTOS


def test_a_connection_after_a_long_outage_is_immediate(postgres: FragilePostgres) -> None:
    """The pauses of the pool's own attempts grow during the outage; a request does not wait for them."""
    database = postgres.new_database()
    with open_pool(database, max_size=2, timeout=2) as pool:
        with connection_of(pool) as connection:
            postgres.crash()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT")
        for _ in range(4):
            with pytest.raises(DatabaseUnavailable), connection_of(pool):
                pass
        postgres.start()
        with connection_of(pool) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
