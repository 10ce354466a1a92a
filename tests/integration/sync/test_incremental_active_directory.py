"""Runs that ask a real Active Directory only for what changed, and folders that follow it at once."""

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

from contactsync.ldap.changes import usn as usnchanges
from contactsync.model import Mode, Outcome, RunReport, Trigger
from contactsync.testing.private_server import PrivateServer
from tests.integration.dispatch.test_live import Following
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
    """Make an organizational unit for one test, with three people in it; somebody else was deleted once."""
    unit = samba.unit(f"Increments {next(_units)}")
    for name in ("Anna", "Bert", "Carl", "Gone"):
        samba.add(name, under=unit)
    samba.delete(f"CN=Gone,{unit}")
    return unit


@pytest.fixture
def folder_of(make_folder: Folders) -> Folders:
    """Make folders for what is below a base, of a user who may see what was deleted."""

    def make(server: PrivateSamba, base: str, **columns: Any) -> SyncedFolder:
        usual = {"query": f"{server.tls_url}/{base}", "bind_user": server.admin_dn, "mode": "incremental"}
        folder = make_folder(server, **(usual | {"max_delete_share": 1} | columns))
        folder.set_password(server.admin_password)
        return folder

    return make


@pytest.fixture
def folder(samba: PrivateSamba, unit: str, folder_of: Folders) -> SyncedFolder:
    """Fill one; the next run can ask for what changed."""
    folder = folder_of(samba, unit)
    full(folder, unit)
    return folder


def people(server: PrivateServer, base: str) -> set[tuple[str, str]]:
    """DN and identity of everybody below a base."""
    connection = server.connection()
    connection.search(base, _PEOPLE, attributes=["objectGUID"])
    found = [entry for entry in connection.response if entry["type"] == "searchResEntry"]
    connection.unbind()
    return {(entry["dn"], str(uuid.UUID(bytes_le=entry["raw_attributes"]["objectGUID"][0]))) for entry in found}


def expect_as_in(folder: SyncedFolder, base: str) -> None:
    """The folder holds who is in the directory, where they are."""
    assert {(dn, key) for dn, key, _ in folder.contacts()} == people(folder.slapd, base)


def increment(folder: SyncedFolder, base: str, **counts: int) -> RunReport:
    """Make a run that asks for what changed, does so many changes, and has the folder in step."""
    report = folder.run()
    assert (report.mode, report.full_reason) == (Mode.INCREMENTAL, None), report.error
    done = {name: getattr(report.counts, name) for name in ("inserted", "updated", "deleted")}
    assert done == {"inserted": 0, "updated": 0, "deleted": 0} | counts
    expect_as_in(folder, base)
    return report


def full(folder: SyncedFolder, base: str, *words: str) -> RunReport:
    """Make a run that reads everything, for a reason with these words, and has the folder in step."""
    report = folder.run()
    assert report.mode is Mode.FULL, report.error
    for word in words:
        assert word in (report.full_reason or "")
    expect_as_in(folder, base)
    return report


def test_adds_edits_renames_moves_deletes_and_restores_come_as_increments(
    samba: PrivateSamba, unit: str, folder: SyncedFolder
) -> None:
    """Each of them; whoever comes back is the same contact; and their octets are those of a full search."""
    assert increment(folder, unit).outcome is Outcome.UNCHANGED
    dn = samba.add("Dora", under=unit)
    assert increment(folder, unit, inserted=1).counts.entries == 1
    (before,) = folder.query("SELECT contact_id FROM contactsync.contacts WHERE source_dn = %s", dn)
    samba.set(dn, info="Changed")
    assert increment(folder, unit, updated=1).counts.entries == 1
    samba.move(dn, rdn="CN=Dorothea")
    increment(folder, unit, updated=1)
    renamed = f"CN=Dorothea,{unit}"
    samba.move(renamed, under=samba.people_base)
    increment(folder, unit, deleted=1)
    samba.move(f"CN=Dorothea,{samba.people_base}", under=unit)
    increment(folder, unit, inserted=1)
    samba.delete(renamed)
    increment(folder, unit, deleted=1)
    samba.restore(renamed, sAMAccountName="dorothea", userAccountControl=NORMAL | 0x20)
    increment(folder, unit, inserted=1)
    (after,) = folder.query("SELECT contact_id FROM contactsync.contacts WHERE source_dn = %s", renamed)
    assert after == before
    folder.query("UPDATE contactsync.sync_cursors SET full_at = now() - interval '2 days'")
    report = full(folder, unit, "48.0 hours")
    assert (report.outcome, report.counts.unchanged) == (Outcome.UNCHANGED, 4)


def test_a_renamed_and_a_moved_unit_take_along_who_is_below(
    samba: PrivateSamba, unit: str, folder: SyncedFolder
) -> None:
    """Active Directory changes the number of the unit alone, however deep they are."""
    inner = samba.unit("Inner", under=unit)
    deep = samba.unit("Deep", under=inner)
    for name in ("Emil", "Fritz"):
        samba.add(name, under=deep)
    increment(folder, unit, inserted=2)
    samba.move(inner, rdn="OU=Renamed")
    increment(folder, unit, updated=2)
    samba.move(f"OU=Renamed,{unit}", under=samba.people_base)
    increment(folder, unit, deleted=2)
    samba.move(f"OU=Renamed,{samba.people_base}", under=unit)
    increment(folder, unit, inserted=2)


def test_who_enters_and_leaves_the_filter_comes_and_goes(
    samba: PrivateSamba, unit: str, folder: SyncedFolder, folder_of: Folders
) -> None:
    """Also where the filter is the preset's own: who is disabled leaves."""
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


def test_a_manager_who_leaves_is_not_told_and_is_set_right_by_the_full_run(
    samba: PrivateSamba, unit: str, folder: SyncedFolder
) -> None:
    """The directory changes the people below without a word: no fault of the increments, so that no error is logged."""
    samba.set(f"CN=Bert,{unit}", manager=f"CN=Anna,{unit}")
    increment(folder, unit, updated=1)
    samba.delete(f"CN=Anna,{unit}")
    increment(folder, unit, deleted=1)
    folder.query("UPDATE contactsync.sync_cursors SET full_at = now() - interval '2 days'")
    samba.set(f"CN=Carl,{unit}", info="Changed")
    report = full(folder, unit, "48.0 hours")
    assert report.counts.updated == 2
    assert not folder.events("run.missed")


def test_more_changes_than_fit_into_one_question_arrive(samba: PrivateSamba, unit: str, folder: SyncedFolder) -> None:
    """They are asked for by a hundred."""
    with samba.changes() as connection:
        for number in range(110):
            connection.add(f"CN=Many {number},{unit}", "contact")
    increment(folder, unit, inserted=110)
    with samba.changes() as connection:
        for number in range(105):
            connection.delete(f"CN=Many {number},{unit}")
    increment(folder, unit, deleted=105)


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
def test_a_cursor_that_cannot_be_true_is_not_believed(
    samba: PrivateSamba, unit: str, folder: SyncedFolder, cookie: bytes, words: str
) -> None:
    """Everything is read, and who left meanwhile leaves the folder."""
    samba.delete(f"CN=Anna,{unit}")
    spoil = "UPDATE contactsync.sync_cursors SET value = %s WHERE definition_id = %s"
    folder.query(spoil, cookie, folder.definition_id)
    assert full(folder, unit, words).counts.deleted == 1
    increment(folder, unit)


def test_another_domain_controller_is_not_asked_with_the_cursor_of_the_first(unit: str, folder: SyncedFolder) -> None:
    """Its numbers count something else, whatever its name is."""
    folder.query(
        "UPDATE contactsync.sync_cursors SET server = %s WHERE definition_id = %s",
        uuid.uuid4().bytes,
        folder.definition_id,
    )
    full(folder, unit, "another domain controller")
    increment(folder, unit)


def test_who_may_not_see_deleted_objects_reads_everything(samba: PrivateSamba, unit: str, make_folder: Folders) -> None:
    """It says why, and deletions arrive; to a live folder with the next change that its user may see."""
    query = f"{samba.tls_url}/{unit}"
    folder = make_folder(samba, query=query, bind_user=samba.reader_user, mode="incremental", max_delete_share=1)
    full(folder, unit, "shows this user no deleted objects")
    samba.delete(f"CN=Anna,{unit}")
    assert full(folder, unit, "shows this user no deleted objects").counts.deleted == 1
    folder.edit(mode="live")
    live = Following(folder.runner(), [folder])
    try:
        live.expect_listening()
        samba.delete(f"CN=Bert,{unit}")  # of which this user hears nothing
        samba.add("Dora", under=unit)
        wait_until(lambda: {(dn, key) for dn, key, _ in folder.contacts()} == people(samba, unit))
    finally:
        live.stop()


def test_who_may_not_see_the_numbers_of_people_reads_everything(
    samba: PrivateSamba, unit: str, folder_of: Folders
) -> None:
    """Else a search for larger numbers would find nobody, as if nothing had changed."""
    administrators = f"CN=Administrators,CN=Builtin,{SUFFIX}"
    folder = folder_of(samba, unit, bind_user=samba.reader_user)
    folder.set_password(samba.reader_password)
    with samba.changes() as connection:
        connection.modify(administrators, {"member": [(ldap3.MODIFY_ADD, [samba.reader_dn])]})
    try:
        full(folder, unit)
        increment(folder, unit)
        samba.hide(unit, _USN_CHANGED)
        samba.set(f"CN=Anna,{unit}", info="Changed")
        assert full(folder, unit, "does not show this user uSNChanged of people").counts.updated == 1
    finally:
        with samba.changes() as connection:
            connection.modify(administrators, {"member": [(ldap3.MODIFY_DELETE, [samba.reader_dn])]})


def test_a_right_that_is_lost_has_everything_read_again(samba: PrivateSamba, unit: str, folder_of: Folders) -> None:
    """It was there for the increments before."""
    administrators = f"CN=Administrators,CN=Builtin,{SUFFIX}"
    folder = folder_of(samba, unit, bind_user=samba.reader_user)
    folder.set_password(samba.reader_password)
    with samba.changes() as connection:
        connection.modify(administrators, {"member": [(ldap3.MODIFY_ADD, [samba.reader_dn])]})
    full(folder, unit)
    increment(folder, unit)
    with samba.changes() as connection:
        connection.modify(administrators, {"member": [(ldap3.MODIFY_DELETE, [samba.reader_dn])]})
    samba.delete(f"CN=Anna,{unit}")
    assert full(folder, unit, "shows this user no deleted objects").counts.deleted == 1


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"filter": f"(memberOf=CN=Domain Users,CN=Users,{SUFFIX})"}, "memberOf changes with other entries"),
        ({"mapping": {"fields": {"extra.reports": "directReports"}}}, "directReports changes with other entries"),
        ({"mapping": {"identity": "sAMAccountName"}}, "the key is not objectGUID"),
    ],
    ids=["filter", "mapping", "identity"],
)
def test_what_leaves_no_trace_at_the_entry_has_everything_read(
    samba: PrivateSamba, unit: str, folder_of: Folders, columns: dict[str, Any], words: str
) -> None:
    """A back link changes with the entry at its other end, and a deleted entry keeps no key but its objectGUID."""
    folder = folder_of(samba, unit, **columns)
    for _ in range(2):
        report = folder.run()
        assert report.mode is Mode.FULL
        assert words in (report.full_reason or "")


def test_the_global_catalogue_is_read_as_a_whole(samba: PrivateSamba, unit: str, folder_of: Folders) -> None:
    """What it is told of a change is a part."""
    folder = folder_of(samba, unit, query=f"GC://{samba.address}/{unit}")
    full(folder, unit, "global catalogue")
    full(folder, unit, "global catalogue")


@pytest.fixture
def private(domain: Path, tmp_path: Path) -> Iterator[PrivateSamba]:
    """Run one to be stopped and restored."""
    with PrivateSamba(tmp_path / "dc", domain) as server:
        yield server


def test_restarts_lose_nothing_and_a_restored_backup_is_noticed(
    private: PrivateSamba, tmp_path: Path, folder_of: Folders
) -> None:
    """The counter goes on after a restart, and goes back with a backup that keeps the controller's identity."""
    copy = partial(shutil.copytree, ignore=shutil.ignore_patterns("ldapi"))
    unit = private.unit("Restored")
    for name in ("Anna", "Bert", "Gone"):
        private.add(name, under=unit)
    private.delete(f"CN=Gone,{unit}")
    folder = folder_of(private, unit)
    full(folder, unit)
    private.restart()
    private.add("Carl", under=unit)
    increment(folder, unit, inserted=1)
    private.restart(before=lambda: copy(private.directory / "private", tmp_path / "backup"))
    for name in ("Dora", "Emil"):
        private.add(name, under=unit)
    increment(folder, unit, inserted=2)

    def restore() -> None:
        shutil.rmtree(private.directory / "private")
        copy(tmp_path / "backup", private.directory / "private")

    private.restart(before=restore)
    assert full(folder, unit, "restored from a backup").counts.deleted == 2
    private.add("Fritz", under=unit)
    increment(folder, unit, inserted=1)
    live = Following(folder.runner(), [folder])
    try:
        folder.edit(mode="live")
        live.follow()
        live.expect_listening()
        private.restart()
        private.add("Gerd", under=unit)
        wait_until(lambda: {(dn, key) for dn, key, _ in folder.contacts()} == people(private, unit))
    finally:
        live.stop()


def test_twelve_folders_follow_at_once_over_one_notification(
    samba: PrivateSamba, unit: str, folder_of: Folders
) -> None:
    """Adds, edits and deletes arrive in each by themselves, also where somebody leaves the base."""
    folders = [folder_of(samba, unit, mode="live") for _ in range(12)]
    live = Following(folders[0].runner(), folders)

    def arrives() -> None:
        for folder in folders:
            wait_until(lambda: {(dn, key) for dn, key, _ in folder.contacts()} == people(samba, unit))  # noqa: B023

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


def test_auto_follows_at_once_who_may_see_enough(
    samba: PrivateSamba, unit: str, folder_of: Folders, make_folder: Folders
) -> None:
    """After its first run; who may not see what was deleted is left to the schedule, and is told why."""
    folder = folder_of(samba, unit, mode="auto", schedule="every 1h")
    query = f"{samba.tls_url}/{unit}"
    blind = make_folder(samba, query=query, bind_user=samba.reader_user, schedule="every 1h")
    live = Following(folder.runner(), [folder, blind], auto=2)
    try:
        for one in (folder, blind):
            live.dispatcher.request(one.definition_id, Trigger.SCHEDULE).result()
        wait_until(lambda: live.live.snapshot.listening == 1)
        why = "shows this user no deleted objects"
        wait_until(lambda: why in (live.live.states[blind.definition_id].reason or ""))
        assert (live.live.snapshot.listening, live.live.snapshot.not_listening, live.live.snapshot.auto_scheduled) == (
            1,
            0,
            1,
        )
        samba.add("Dora", under=unit)
        wait_until(lambda: {(dn, key) for dn, key, _ in folder.contacts()} == people(samba, unit))
        assert live.reports[-1].mode is Mode.INCREMENTAL
    finally:
        live.stop()


def test_more_changes_than_are_worth_asking_for_have_everything_read(
    samba: PrivateSamba, unit: str, folder: SyncedFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the same connection, on which pages of changes may be on their way; at the first attempt."""
    monkeypatch.setattr(usnchanges, "MOST_CHANGED", 3)
    monkeypatch.setattr(usnchanges, "PAGE_SIZE", 2)
    for number in range(8):
        samba.add(f"One of many {number}", under=unit)
    report = full(folder, unit, "more than 3 changed objects")
    assert (report.counts.inserted, report.attempts) == (8, 1)
