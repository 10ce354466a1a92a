"""Runs against a real 389 Directory Server: they read nothing if it has counted no change, else all entries."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from typing import Any

import ldap3
import pytest
from ldap3.core.exceptions import LDAPException, LDAPOperationResult

from contactsync.checks.check import check
from contactsync.checks.context import CheckLimits
from contactsync.checks.result import Status, StepResult
from contactsync.ldap.changes import counters_389 as counters
from contactsync.model import Mode, Outcome, RunReport
from tests.support.folder import BRISK, PEOPLE_FILTER, SyncedFolder, parent_of, someone
from tests.support.ns_slapd import NsSlapd, running, why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

Folders = Callable[..., SyncedFolder]
_numbers = count(9000)


@pytest.fixture(scope="module")
def server() -> Iterator[NsSlapd]:
    """Run a server of twenty people that numbers its changes."""
    with running(20, numbers=True) as server:
        yield server


@pytest.fixture(autouse=True)
def _settled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accept counters at once, except in the tests about that."""
    monkeypatch.setattr(counters, "SETTLED", timedelta(0))


@pytest.fixture
def admin(server: NsSlapd) -> Iterator[ldap3.Connection]:
    """Change the directory; its newest number is then larger than the numbers that a test's failures take back."""
    server.start()
    connection = server.connection()
    for number in range(10):
        change(connection, server.reader_dn, f"before {number}")
    yield connection
    connection.unbind()


@pytest.fixture
def folder(make_folder: Folders, server: NsSlapd, admin: ldap3.Connection) -> SyncedFolder:
    """Fill a folder, after enough changes of the directory."""
    assert admin.bound
    folder = make_folder(server, mode="incremental", max_delete_share=1)
    folder.expect_full()
    unread(folder)
    return folder


def change(admin: ldap3.Connection, dn: str, description: str) -> None:
    """Edit an entry's description."""
    admin.modify(dn, {"description": [(ldap3.MODIFY_REPLACE, [description])]})


def unread(folder: SyncedFolder) -> RunReport:
    """Make a run that correctly reads nothing."""
    report = folder.run()
    assert (report.mode, report.full_reason, report.outcome) == (Mode.COUNTERS, None, Outcome.UNCHANGED)
    assert report.counts.entries == 0
    assert folder.contacts() == folder.people()
    assert folder.row(report.run_id)["mode"] == "counters"
    return report


def checked(folder: SyncedFolder) -> StepResult:
    """The step "changes" of a check."""
    password = folder.slapd.reader_password
    steps = check(folder.definition, lambda: password, BRISK, limits=CheckLimits(step_seconds=20))
    return {step.name: step for step in steps}["changes"]


def test_a_run_reads_all_entries_after_a_change_and_nothing_otherwise(
    folder: SyncedFolder, server: NsSlapd, admin: ldap3.Connection
) -> None:
    """Adds, edits, renames, moves of people and units, and deletes."""
    person, unit = someone(), f"ou=unit {next(_numbers)},{server.suffix}"
    renamed = f"uid=renamed,{parent_of(person.dn)}"
    for step, (inserted, updated, deleted) in (
        (lambda: admin.add(person.dn, attributes=person.attributes), (1, 0, 0)),
        (lambda: change(admin, person.dn, "Changed"), (0, 1, 0)),
        (lambda: admin.modify_dn(person.dn, "uid=renamed"), (0, 1, 0)),
        (lambda: admin.add(unit, "organizationalUnit"), (0, 0, 0)),
        (lambda: admin.modify_dn(renamed, "uid=renamed", new_superior=unit), (0, 1, 0)),
        (lambda: admin.modify_dn(unit, "ou=moved", new_superior=server.people_base), (0, 1, 0)),
        (lambda: admin.delete(f"uid=renamed,ou=moved,{server.people_base}"), (0, 0, 1)),
        (lambda: admin.delete(f"ou=moved,{server.people_base}"), (0, 0, 0)),
    ):
        step()
        counts = folder.expect_full("counted writes since the last run").counts
        assert (counts.inserted, counts.updated, counts.deleted) == (inserted, updated, deleted)
        unread(folder)
    unread(folder)


def test_a_number_that_is_taken_back_hides_no_change(
    folder: SyncedFolder, server: NsSlapd, admin: ldap3.Connection
) -> None:
    """A denied write and a failed add; the next change gets a number that was used before."""
    nobody = ldap3.Connection(admin.server, server.nobody_dn, server.nobody_password, auto_bind=True)
    person = someone()
    admin.add(person.dn, attributes=person.attributes)
    folder.expect_full()

    def denied() -> None:
        assert not nobody.modify(person.dn, {"description": [(ldap3.MODIFY_REPLACE, ["denied"])]})

    def double() -> None:
        with pytest.raises(LDAPOperationResult):
            admin.add(person.dn, attributes=person.attributes)

    for take_back in (denied, double):
        before = newest(admin)
        take_back()
        assert newest(admin) == before - 1
        change(admin, person.dn, f"Changed {next(_numbers)} times")
        assert newest(admin) == before
        assert folder.expect_full("counted writes").counts.updated == 1
        unread(folder)
    before = newest(admin)
    double()
    admin.delete(person.dn)
    assert newest(admin) == before
    assert folder.expect_full("counted writes").counts.deleted == 1
    nobody.unbind()


def newest(admin: ldap3.Connection) -> int:
    """The number of the newest change, as the server reports it."""
    admin.search("", "(objectClass=*)", "BASE", attributes=["lastusn"])
    return int(admin.response[0]["raw_attributes"]["lastusn;userroot"][0])


def test_a_change_by_a_bind_is_counted(folder: SyncedFolder, server: NsSlapd, admin: ldap3.Connection) -> None:
    """The server stores a wrong password at the entry, although no client has written it."""
    admin.modify("cn=config", {"passwordLockout": [(ldap3.MODIFY_REPLACE, ["on"])]})
    folder.expect_full()
    unread(folder)
    try:
        wrong = ldap3.Connection(admin.server, server.nobody_dn, "wrong")
        assert not wrong.bind()
        wrong.unbind()
        folder.expect_full("counted writes")
    finally:
        admin.modify("cn=config", {"passwordLockout": [(ldap3.MODIFY_REPLACE, ["off"])]})


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_restarted_server_is_read(folder: SyncedFolder, server: NsSlapd, admin: ldap3.Connection, how: str) -> None:
    """It counts from the beginning; a person who was deleted before the restart leaves."""
    person = someone()
    admin.add(person.dn, attributes=person.attributes)
    folder.expect_full()
    admin.delete(person.dn)
    getattr(server, how)()
    server.start()
    assert folder.expect_full("was restarted").counts.deleted == 1
    unread(folder)


def test_an_import_and_a_restored_backup_are_detected(
    folder: SyncedFolder, server: NsSlapd, admin: ldap3.Connection
) -> None:
    """While the server runs: an import restarts the count, a backup keeps the number."""
    export, backup = server.directory / "ldif" / f"{next(_numbers)}.ldif", server.directory / "bak" / "one"
    server.task("export", nsInstance="userRoot", nsFilename=export)
    person = someone()
    admin.add(person.dn, attributes=person.attributes)
    folder.expect_full()
    server.task("import", nsInstance="userRoot", nsFilename=export)
    assert folder.expect_full("no write was counted since an import").counts.deleted == 1
    change(admin, server.reader_dn, "after the import")
    folder.expect_full()
    unread(folder)
    server.task("backup", nsArchiveDir=backup, nsDatabaseType="ldbm database")
    admin.add(person.dn, attributes=person.attributes)
    assert folder.expect_full().counts.inserted == 1
    unread(folder)
    before = newest(admin)
    server.task("restore", nsArchiveDir=backup, nsDatabaseType="ldbm database")
    assert newest(admin) == before
    assert folder.expect_full("counted writes").counts.deleted == 1
    admin.modify("cn=config", {"nsslapd-entryusn-import-initval": [(ldap3.MODIFY_REPLACE, ["7"])]})
    server.task("import", nsInstance="userRoot", nsFilename=export)
    folder.expect_full("more entries have its newest number")
    admin.modify("cn=config", {"nsslapd-entryusn-import-initval": [(ldap3.MODIFY_REPLACE, ["0"])]})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"hello", "never gave"),
        (b"", "never gave"),
        (b"counted=,reads=,first=,read=", "never gave"),
        (b"\xff\xfe", "never gave"),
        (
            b"counted=00000000000000000000000000000000,reads=1,first=20260101000000,read=20260102000000",
            "counted writes",
        ),
        (b"counted=00000000000000000000000000000000,reads=1,first=20269901000000,read=20260102000000", "never gave"),
    ],
    ids=["garbage", "empty", "none", "octets", "other-counts", "no-time"],
)
def test_a_cursor_that_cannot_be_true_is_not_used(folder: SyncedFolder, value: bytes, words: str) -> None:
    """All entries are read."""
    spoil = "UPDATE contactsync.sync_cursors SET value = %s WHERE definition_id = %s"
    folder.query(spoil, value, folder.definition_id)
    folder.expect_full(words)
    unread(folder)


def test_a_cursor_from_the_future_is_not_used(folder: SyncedFolder) -> None:
    """The server's clock was set back, or it is another server."""
    folder.query(
        "UPDATE contactsync.sync_cursors SET value ="
        " convert_to(regexp_replace(convert_from(value, 'UTF8'), 'read=20..', 'read=2999'), 'UTF8')"
        " WHERE definition_id = %s",
        folder.definition_id,
    )
    folder.expect_full("older than the cursor")
    unread(folder)


def test_a_server_that_has_stopped_counting_is_not_trusted(
    folder: SyncedFolder, server: NsSlapd, admin: ldap3.Connection
) -> None:
    """It reports old numbers: then not even our own searches are counted."""
    admin.modify("cn=config", {"nsslapd-counters": [(ldap3.MODIFY_REPLACE, ["off"])]})
    try:
        folder.expect_full()
        change(admin, server.reader_dn, f"{next(_numbers)}")
        folder.expect_full()
    finally:
        admin.modify("cn=config", {"nsslapd-counters": [(ldap3.MODIFY_REPLACE, ["on"])]})
    reads = (
        "UPDATE contactsync.sync_cursors SET value = convert_to(regexp_replace(convert_from(value, 'UTF8'),"
        " 'reads=[0-9]+', 'reads=' || %s), 'UTF8') WHERE definition_id = %s"
    )
    folder.expect_full()
    unread(folder)
    folder.query(reads, "999999", folder.definition_id)
    folder.expect_full("did not count our own searches")
    unread(folder)


def test_another_server_of_the_same_name_is_read(folder: SyncedFolder) -> None:
    """Whatever it has counted."""
    other = "UPDATE contactsync.sync_cursors SET server = 'another' WHERE definition_id = %s"
    folder.query(other, folder.definition_id)
    folder.expect_full("another server")
    unread(folder)


def test_a_number_is_trusted_only_after_some_time(
    folder: SyncedFolder, admin: ldap3.Connection, server: NsSlapd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write in progress is counted, but a search may not find it yet."""
    monkeypatch.setattr(counters, "SETTLED", timedelta(hours=1))
    change(admin, server.reader_dn, f"{next(_numbers)}")
    folder.expect_full("counted writes")
    time.sleep(2)  # the server's clock shows seconds
    folder.expect_full("in the middle of a write")
    monkeypatch.setattr(counters, "SETTLED", timedelta(seconds=1))
    unread(folder)


def test_a_contact_that_a_user_edited_or_deleted_is_corrected(folder: SyncedFolder) -> None:
    """The directory has counted no change."""
    (first,) = folder.query(
        "SELECT min(contact_id) FROM contactsync.contacts WHERE definition_id = %s", folder.definition_id
    )
    folder.query("UPDATE contactsync.contacts SET notes = 'mine' WHERE contact_id = %s", first["min"])
    assert folder.expect_full("A contact was changed here").counts.updated == 1
    folder.query("DELETE FROM contactsync.contacts WHERE contact_id = %s", first["min"])
    assert folder.expect_full().counts.inserted == 1
    unread(folder)


def test_an_edit_and_the_interval_of_full_runs_lead_to_a_full_run(folder: SyncedFolder) -> None:
    """Whatever is counted."""
    folder.edit(filter="(objectClass=person)")
    folder.expect_full("has changed since the last run")
    unread(folder)
    folder.query("UPDATE contactsync.sync_cursors SET full_at = now() - interval '2 days'")
    folder.expect_full("48.0 hours")
    assert not folder.events("run.missed")
    unread(folder)


def test_a_full_run_reports_the_changes_that_the_counters_missed(folder: SyncedFolder) -> None:
    """A contact differs from the directory, although no user has edited it."""
    with folder.connection() as connection, connection.transaction():
        connection.execute("SET LOCAL contactsync.applying = 'on'")
        connection.execute(
            "UPDATE contactsync.contacts SET title = 'wrong', fingerprint = decode(repeat('00', 16), 'hex')"
            " WHERE contact_id = (SELECT min(contact_id) FROM contactsync.contacts WHERE definition_id = %s)",
            [folder.definition_id],
        )
    unread(folder)
    folder.query("UPDATE contactsync.sync_cursors SET full_at = now() - interval '2 days'")
    folder.expect_full("48.0 hours")
    assert [event["count"] for event in folder.events("run.missed")] == [1]


def test_check_says_what_the_counters_allow_and_what_is_missing(
    folder: SyncedFolder, make_folder: Folders, server: NsSlapd
) -> None:
    """For a user who may read them, and for one who may read people only."""
    step = checked(folder)
    assert (step.status, step.data["counters"], step.data["increments"]) == (Status.OK, True, False)
    assert "reads nothing while the server counts no change" in step.text
    admin = server.connection()
    admin.search(server.suffix, "(objectClass=*)", "BASE", attributes=["aci"])
    (rule,) = admin.response[0]["attributes"]["aci"]
    hidden = rule.replace('targetattr="*"', 'targetattr!="entryusn"')
    admin.modify(server.suffix, {"aci": [(ldap3.MODIFY_REPLACE, [hidden])]})
    try:
        folder.expect_full("does not show this user nsUniqueId and entryusn")
        step = checked(folder)
        assert step.status is Status.WARNING
        assert "entryusn" in step.text
    finally:
        admin.modify(server.suffix, {"aci": [(ldap3.MODIFY_REPLACE, [rule])]})
        admin.unbind()
    live = make_folder(server, mode="live")
    assert "reads nothing while the server counts no change" in checked(live).text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "plugin USN is not enabled"),
        ({"numbers": True, "settings": "nsslapd-counters: off\n"}, "configured not to count"),
    ],
    ids=["no-numbers", "no-counters"],
)
def test_a_server_that_does_not_count_is_read(make_folder: Folders, options: dict[str, Any], words: str) -> None:
    """The run says why, and deletions arrive."""
    with running(5, **options) as server:
        folder = make_folder(server, mode="incremental", max_delete_share=1)
        folder.expect_full(words)
        admin = server.connection()
        admin.search(server.suffix, PEOPLE_FILTER, attributes=["1.1"])
        admin.delete(admin.response[0]["dn"])
        admin.unbind()
        assert folder.expect_full(words).counts.deleted == 1


def test_one_number_for_all_databases_is_enough(make_folder: Folders) -> None:
    """As in FreeIPA."""
    with running(20, numbers=True, settings="nsslapd-entryusn-global: on\n") as server:
        admin = server.connection()
        change(admin, server.reader_dn, "first")
        folder = make_folder(server, mode="incremental", max_delete_share=1)
        folder.expect_full()
        unread(folder)
        change(admin, server.reader_dn, "second")
        folder.expect_full("counted writes")
        unread(folder)
        admin.unbind()


def test_a_database_of_another_server_is_not_counted(make_folder: Folders) -> None:
    """Entries below a database link may change without a write here."""
    with running(20, numbers=True) as server:
        admin = server.connection()
        far = f"ou=far,{server.suffix}"
        link = {
            "objectClass": ["top", "extensibleObject", "nsBackendInstance"],
            "nsslapd-suffix": far,
            "nsFarmServerURL": "ldap://127.0.0.1:1/",
            "nsMultiplexorBindDN": server.reader_dn,
            "nsMultiplexorCredentials": "none",
        }
        admin.add("cn=link,cn=chaining database,cn=plugins,cn=config", attributes=link)
        change(admin, server.reader_dn, "first")
        folder = make_folder(server, mode="incremental", base=server.people_base)
        report = folder.run()
        assert "another server's database" in (report.full_reason or "")
        with pytest.raises(LDAPException):
            admin.delete(far)
        admin.unbind()
