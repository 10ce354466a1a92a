"""Incremental runs against a real Active Directory, and folders that follow it live."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import ldap3
import pytest

from contactsync.dispatch.live import listener
from contactsync.ldap.changes import usn as usnchanges
from contactsync.model import Mode, Outcome, Trigger
from tests.integration.dispatch.test_live import Following
from tests.support.definitions import RARE
from tests.support.folder import SyncedFolder
from tests.support.samba import DISABLED, NORMAL, SUFFIX, PrivateSamba
from tests.support.waiting import wait_until

Folders = Callable[..., SyncedFolder]
_units = count(1)
_USN_CHANGED = "bf967a6f-0de6-11d0-a285-00aa003049e2"
"""Its schemaIDGUID."""
_PEOPLE = "(&(objectCategory=person)(|(objectClass=user)(objectClass=contact)))"


@pytest.fixture
def unit(samba: PrivateSamba) -> str:
    """Make an organizational unit with three people for one test; another person was deleted before."""
    unit = samba.unit(f"Increments {next(_units)}")
    for name in ("Anna", "Bert", "Carl", "Gone"):
        samba.add(name, under=unit)
    samba.delete(f"CN=Gone,{unit}")
    return unit


@pytest.fixture
def folder_of(make_folder: Folders) -> Folders:
    """Make folders for a base, with a user who may read deleted objects."""

    def make(server: PrivateSamba, base: str, **columns: Any) -> SyncedFolder:
        usual = {"query": f"{server.tls_url}/{base}", "bind_user": server.admin_dn, "mode": "incremental"}
        folder = make_folder(server, **(usual | {"max_delete_share": 1} | columns))
        folder.set_password(server.admin_password)
        return folder

    return make


@pytest.fixture
def folder(samba: PrivateSamba, unit: str, folder_of: Folders) -> SyncedFolder:
    """Fill a folder; the next run can be an incremental one."""
    folder = folder_of(samba, unit)
    folder.expect_full()
    return folder


def test_adds_edits_renames_moves_deletes_and_restores_come_as_increments(
    samba: PrivateSamba, unit: str, folder: SyncedFolder
) -> None:
    """A restored person is the same contact, and the octets are those of a full search."""
    assert folder.expect_increment().outcome is Outcome.UNCHANGED
    dn = samba.add("Dora", under=unit)
    assert folder.expect_increment(inserted=1).counts.entries == 1
    (before,) = folder.query("SELECT contact_id FROM contactsync.contacts WHERE source_dn = %s", dn)
    samba.set(dn, info="Changed")
    assert folder.expect_increment(updated=1).counts.entries == 1
    samba.move(dn, rdn="CN=Dorothea")
    folder.expect_increment(updated=1)
    renamed = f"CN=Dorothea,{unit}"
    samba.move(renamed, under=samba.people_base)
    folder.expect_increment(deleted=1)
    samba.move(f"CN=Dorothea,{samba.people_base}", under=unit)
    folder.expect_increment(inserted=1)
    samba.delete(renamed)
    folder.expect_increment(deleted=1)
    samba.restore(renamed, sAMAccountName="dorothea", userAccountControl=NORMAL | 0x20)
    folder.expect_increment(inserted=1)
    (after,) = folder.query("SELECT contact_id FROM contactsync.contacts WHERE source_dn = %s", renamed)
    assert after == before
    folder.query("UPDATE contactsync.sync_cursors SET full_at = now() - interval '2 days'")
    report = folder.expect_full("48.0 hours")
    assert (report.outcome, report.counts.unchanged) == (Outcome.UNCHANGED, 4)


def test_a_rename_or_move_of_a_unit_takes_its_people_along(
    samba: PrivateSamba, unit: str, folder: SyncedFolder
) -> None:
    """Active Directory changes the USN of the unit only."""
    inner = samba.unit("Inner", under=unit)
    deep = samba.unit("Deep", under=inner)
    for name in ("Emil", "Fritz"):
        samba.add(name, under=deep)
    folder.expect_increment(inserted=2)
    samba.move(inner, rdn="OU=Renamed")
    folder.expect_increment(updated=2)
    samba.move(f"OU=Renamed,{unit}", under=samba.people_base)
    folder.expect_increment(deleted=2)
    samba.move(f"OU=Renamed,{samba.people_base}", under=unit)
    folder.expect_increment(inserted=2)


def test_an_entry_that_enters_or_leaves_the_filter(
    samba: PrivateSamba, unit: str, folder: SyncedFolder, folder_of: Folders
) -> None:
    """Also with the preset's filter: a disabled person leaves."""
    dn = f"CN=Anna,{unit}"
    wanted = folder_of(samba, unit, filter="(info=wanted)", allow_empty=True)
    wanted.run()

    def counts(folder: SyncedFolder, **attributes: Any) -> tuple[Mode, int, int]:
        samba.set(dn, **attributes)
        report = folder.run()
        return report.mode, report.counts.inserted, report.counts.deleted

    assert counts(wanted, info="wanted") == (Mode.INCREMENTAL, 1, 0)
    assert counts(wanted, info=[]) == (Mode.INCREMENTAL, 0, 1)
    assert counts(folder, userAccountControl=DISABLED | 0x20) == (Mode.INCREMENTAL, 0, 1)
    assert counts(folder, userAccountControl=NORMAL | 0x20) == (Mode.INCREMENTAL, 1, 0)


def test_a_deleted_manager_is_corrected_by_the_full_run(samba: PrivateSamba, unit: str, folder: SyncedFolder) -> None:
    """The directory changes the entries of the employees without a report, so this is no error of the increments."""
    samba.set(f"CN=Bert,{unit}", manager=f"CN=Anna,{unit}")
    folder.expect_increment(updated=1)
    samba.delete(f"CN=Anna,{unit}")
    folder.expect_increment(deleted=1)
    folder.query("UPDATE contactsync.sync_cursors SET full_at = now() - interval '2 days'")
    samba.set(f"CN=Carl,{unit}", info="Changed")
    report = folder.expect_full("48.0 hours")
    assert report.counts.updated == 2
    assert not folder.events("run.missed")


def test_more_changes_than_fit_into_one_search_arrive(samba: PrivateSamba, unit: str, folder: SyncedFolder) -> None:
    """They are requested in hundreds."""
    with samba.changes() as connection:
        for number in range(110):
            connection.add(f"CN=Many {number},{unit}", "contact")
    folder.expect_increment(inserted=110)
    with samba.changes() as connection:
        for number in range(105):
            connection.delete(f"CN=Many {number},{unit}")
    folder.expect_increment(deleted=105)


@pytest.mark.parametrize(
    ("cookie", "words"),
    [
        (b"hello", "never gave"),
        (b"", "never gave"),
        (b"usn=-1,at=20260101000000", "never gave"),
        (b"usn=10,at=20269901000000", "never gave"),
        (b"usn=999999999,at=20260101000000", "restored from a backup"),
        (b"usn=10,at=29990101000000", "restored from a backup"),
        (b"usn=10,at=20100101000000", "may have removed"),
        (b"\xff\xfe", "never gave"),
    ],
    ids=["garbage", "empty", "negative", "no-time", "future", "late", "old", "octets"],
)
def test_a_cursor_that_cannot_be_true_is_not_used(
    samba: PrivateSamba, unit: str, folder: SyncedFolder, cookie: bytes, words: str
) -> None:
    """All entries are read, and deleted people leave the folder."""
    samba.delete(f"CN=Anna,{unit}")
    spoil = "UPDATE contactsync.sync_cursors SET value = %s WHERE definition_id = %s"
    folder.query(spoil, cookie, folder.definition_id)
    assert folder.expect_full(words).counts.deleted == 1
    folder.expect_increment()


def test_another_domain_controller_is_not_asked_with_the_cursor_of_the_first(folder: SyncedFolder) -> None:
    """Its USNs count other changes, also if it has the same name."""
    folder.query(
        "UPDATE contactsync.sync_cursors SET server = %s WHERE definition_id = %s",
        uuid.uuid4().bytes,
        folder.definition_id,
    )
    folder.expect_full("another domain controller")
    folder.expect_increment()


def test_a_user_who_may_not_read_deleted_objects_reads_all_entries(
    samba: PrivateSamba, unit: str, make_folder: Folders
) -> None:
    """The run says why; a live folder gets deletions with the next change that the user may read."""
    query = f"{samba.tls_url}/{unit}"
    folder = make_folder(samba, query=query, bind_user=samba.reader_user, mode="incremental", max_delete_share=1)
    folder.expect_full("shows this user no deleted objects")
    samba.delete(f"CN=Anna,{unit}")
    assert folder.expect_full("shows this user no deleted objects").counts.deleted == 1
    folder.edit(mode="live")
    live = Following(folder.runner(), [folder])
    try:
        live.expect_listening()
        samba.delete(f"CN=Bert,{unit}")  # of which this user hears nothing
        samba.add("Dora", under=unit)
        wait_until(lambda: folder.contacts() == folder.people())
    finally:
        live.stop()


def test_a_user_who_may_not_read_usn_changed_reads_all_entries(
    samba: PrivateSamba, unit: str, folder_of: Folders
) -> None:
    """A search for larger USNs would find no entry."""
    administrators = f"CN=Administrators,CN=Builtin,{SUFFIX}"
    folder = folder_of(samba, unit, bind_user=samba.reader_user)
    folder.set_password(samba.reader_password)
    with samba.changes() as connection:
        connection.modify(administrators, {"member": [(ldap3.MODIFY_ADD, [samba.reader_dn])]})
    try:
        folder.expect_full()
        folder.expect_increment()
        samba.hide(unit, _USN_CHANGED)
        samba.set(f"CN=Anna,{unit}", info="Changed")
        assert folder.expect_full("does not show this user uSNChanged of people").counts.updated == 1
    finally:
        with samba.changes() as connection:
            connection.modify(administrators, {"member": [(ldap3.MODIFY_DELETE, [samba.reader_dn])]})


def test_a_user_who_loses_a_right_reads_all_entries_again(samba: PrivateSamba, unit: str, folder_of: Folders) -> None:
    """The increments before had it."""
    administrators = f"CN=Administrators,CN=Builtin,{SUFFIX}"
    folder = folder_of(samba, unit, bind_user=samba.reader_user)
    folder.set_password(samba.reader_password)
    with samba.changes() as connection:
        connection.modify(administrators, {"member": [(ldap3.MODIFY_ADD, [samba.reader_dn])]})
    folder.expect_full()
    folder.expect_increment()
    with samba.changes() as connection:
        connection.modify(administrators, {"member": [(ldap3.MODIFY_DELETE, [samba.reader_dn])]})
    samba.delete(f"CN=Anna,{unit}")
    assert folder.expect_full("shows this user no deleted objects").counts.deleted == 1


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"filter": f"(memberOf=CN=Domain Users,CN=Users,{SUFFIX})"}, "memberOf changes with other entries"),
        ({"mapping": {"fields": {"extra.reports": "directReports"}}}, "directReports changes with other entries"),
        ({"mapping": {"identity": "sAMAccountName"}}, "the key is not objectGUID"),
    ],
    ids=["filter", "mapping", "identity"],
)
def test_a_mapping_that_usns_cannot_follow_reads_all_entries(
    samba: PrivateSamba, unit: str, folder_of: Folders, columns: dict[str, Any], words: str
) -> None:
    """A back link changes with another entry, and a deleted entry keeps no identity but its objectGUID."""
    folder = folder_of(samba, unit, **columns)
    for _ in range(2):
        report = folder.run()
        assert report.mode is Mode.FULL
        assert words in (report.full_reason or "")


def test_a_global_catalogue_is_read_completely(samba: PrivateSamba, unit: str, folder_of: Folders) -> None:
    """It has only a part of the attributes."""
    folder = folder_of(samba, unit, query=f"GC://{samba.address}/{unit}")
    folder.expect_full("global catalogue")
    folder.expect_full("global catalogue")


@pytest.fixture
def private(domain: Path, tmp_path: Path) -> Iterator[PrivateSamba]:
    """Run a domain controller that can be stopped and restored."""
    with PrivateSamba(tmp_path / "dc", domain) as server:
        yield server


def test_restarts_lose_nothing_and_a_restored_backup_is_detected(
    private: PrivateSamba, tmp_path: Path, folder_of: Folders
) -> None:
    """The USN goes on after a restart, and goes back with a backup."""
    copy = partial(shutil.copytree, ignore=shutil.ignore_patterns("ldapi"))
    unit = private.unit("Restored")
    for name in ("Anna", "Bert", "Gone"):
        private.add(name, under=unit)
    private.delete(f"CN=Gone,{unit}")
    folder = folder_of(private, unit)
    folder.expect_full()
    private.restart()
    private.add("Carl", under=unit)
    folder.expect_increment(inserted=1)
    private.restart(before=lambda: copy(private.directory / "private", tmp_path / "backup"))
    for name in ("Dora", "Emil"):
        private.add(name, under=unit)
    folder.expect_increment(inserted=2)

    def restore() -> None:
        shutil.rmtree(private.directory / "private")
        copy(tmp_path / "backup", private.directory / "private")

    private.restart(before=restore)
    assert folder.expect_full("restored from a backup").counts.deleted == 2
    private.add("Fritz", under=unit)
    folder.expect_increment(inserted=1)
    live = Following(folder.runner(), [folder])
    try:
        folder.edit(mode="live")
        live.follow()
        live.expect_listening()
        private.restart()
        private.add("Gerd", under=unit)
        wait_until(lambda: folder.contacts() == folder.people())
    finally:
        live.stop()


def test_twelve_live_folders_share_one_notification(samba: PrivateSamba, unit: str, folder_of: Folders) -> None:
    """Adds, edits and deletes arrive in each, also if a person leaves the base."""
    folders = [folder_of(samba, unit, mode="live") for _ in range(12)]
    live = Following(folders[0].runner(), folders)

    def arrives() -> None:
        for folder in folders:
            wait_until(lambda: folder.contacts() == folder.people())  # noqa: B023

    try:
        live.expect_listening()
        arrives()
        dn = samba.add("Dora", under=unit)
        arrives()
        samba.move(dn, under=samba.people_base)
        arrives()
        samba.delete(f"CN=Anna,{unit}")
        arrives()
        live.expect_listening()
    finally:
        live.stop()
    assert {report.outcome for report in live.reports} <= {Outcome.CHANGED, Outcome.UNCHANGED}


def test_a_change_elsewhere_is_no_run_of_a_live_folder(
    samba: PrivateSamba, unit: str, folder_of: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a change in its base, of one of its people, or of a unit. After some others a run moves the cursor."""
    monkeypatch.setattr(listener, "_MOST_PASSED", 25)
    elsewhere = samba.unit(f"Elsewhere {next(_units)}")
    folder, other = (folder_of(samba, base, mode="live", allow_empty=True) for base in (unit, elsewhere))
    live = Following(folder.runner(), [folder, other])

    def arrives() -> list[Outcome]:
        """Wait until both are in sync; returns the outcomes of the first one's runs since the last call."""
        wait_until(lambda: all(each.contacts() == each.people() for each in (folder, other)))
        live.expect_listening()
        outcomes = [each.outcome for each in live.reports if each.definition.definition_id == folder.definition_id]
        live.reports.clear()
        return outcomes

    try:
        live.expect_listening()
        arrives()
        dn = samba.add("Dora", under=elsewhere)
        for number in range(5):
            samba.set(dn, info=f"Changed {number}")
            assert arrives() == []
        samba.add(f"Group {next(_units)}", under=unit, kind="group")
        samba.set(dn, info="Changed beside a group")
        assert arrives() == []
        samba.move(dn, under=unit)
        assert Outcome.CHANGED in arrives()
        samba.move(f"CN=Dora,{unit}", under=elsewhere)
        assert Outcome.CHANGED in arrives()
        samba.delete(f"CN=Anna,{unit}")
        assert Outcome.CHANGED in arrives()
        (bert,) = folder.query("SELECT * FROM contactsync.contacts WHERE source_dn = %s", f"CN=Bert,{unit}")
        inner = samba.unit(f"Inner {next(_units)}")
        samba.move(bert["source_dn"], under=inner)
        assert Outcome.CHANGED in arrives()
        before = folder.query(
            "SELECT value FROM contactsync.sync_cursors WHERE definition_id = %s", folder.definition_id
        )
        for number in range(25):
            samba.set(dn, info=f"Changed again {number}")
        wait_until(
            lambda: (
                before
                != folder.query(
                    "SELECT value FROM contactsync.sync_cursors WHERE definition_id = %s", folder.definition_id
                )
            )
        )
    finally:
        live.stop()


def test_auto_is_live_for_a_user_with_the_rights(
    samba: PrivateSamba, unit: str, folder_of: Folders, make_folder: Folders
) -> None:
    """After its first run. Without the right to read deleted objects the folder runs by its schedule."""
    folder = folder_of(samba, unit, mode="auto", schedule=RARE)
    query = f"{samba.tls_url}/{unit}"
    blind = make_folder(samba, query=query, bind_user=samba.reader_user, schedule=RARE)
    live = Following(folder.runner(), [folder, blind], auto=2)
    try:
        for one in (folder, blind):
            live.dispatcher.request(one.definition_id, Trigger.SCHEDULE, awaited=True).result()
        wait_until(lambda: live.live.snapshot.listening == 1)
        why = "shows this user no deleted objects"
        wait_until(lambda: why in (live.live.states[blind.definition_id].reason or ""))
        assert (live.live.snapshot.listening, live.live.snapshot.not_listening, live.live.snapshot.auto_scheduled) == (
            1,
            0,
            1,
        )
        samba.add("Dora", under=unit)
        wait_until(lambda: folder.contacts() == folder.people())
        assert live.reports[-1].mode is Mode.INCREMENTAL
    finally:
        live.stop()


def test_too_many_changes_lead_to_a_full_run(
    samba: PrivateSamba, unit: str, folder: SyncedFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the same connection, where pages of changes may be outstanding, and in the same attempt."""
    monkeypatch.setattr(usnchanges, "MOST_CHANGED", 3)
    monkeypatch.setattr(usnchanges, "PAGE_SIZE", 2)
    for number in range(8):
        samba.add(f"One of many {number}", under=unit)
    report = folder.expect_full("more than 3 changed objects")
    assert (report.counts.inserted, report.attempts) == (8, 1)
