"""Incremental runs against a real OpenLDAP: whatever happens there, the folder equals the directory."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import ldap3
import pytest

from contactsync.checks.check import check
from contactsync.checks.result import Status
from contactsync.ldap.changes.position import Position, csns_of
from contactsync.model import Actor, Counts, Mode, Outcome, RunReport
from contactsync.operations.undo import undo
from contactsync.store.record.holds import decide, read_held_plan
from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import DEBIAN_PROGRAMS, PrivateSlapd
from tests.support.folder import BRISK, SyncedFolder, hide, parent_of, someone
from tests.support.observers import once

PEOPLE = 40
DELETE_ONE = (
    "DELETE FROM contactsync.contacts WHERE contact_id ="
    " (SELECT min(contact_id) FROM contactsync.contacts WHERE definition_id = %s)"
)
DELETE_ALL = "DELETE FROM contactsync.contacts WHERE source_dn LIKE 'uid=%%' AND definition_id = %s"
_numbers = count(1000)


@pytest.fixture(
    scope="module",
    params=[{"session_log": 0}, {"session_log": 50}, {"session_log": 0, "access_log": True}],
    ids=["present", "session-log", "access-log"],
)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateSlapd]:
    """Run a directory without a log of deletions, one with a short log in memory, and one with a long log on disk."""
    directory = tmp_path_factory.mktemp("sync") / "slapd"
    with PrivateSlapd(directory, ldif=people_ldif(PEOPLE), **request.param) as slapd:
        yield slapd


@pytest.fixture
def folder(make_folder: Callable[..., SyncedFolder], server: PrivateSlapd) -> SyncedFolder:
    """Fill a folder; the next run can be an incremental one."""
    folder = make_folder(server, mode="incremental", max_delete_share=1)
    assert folder.run().mode is Mode.FULL
    return folder


def test_adds_edits_renames_moves_and_deletes_come_as_increments(folder: SyncedFolder, admin: ldap3.Connection) -> None:
    """Each alone and all together; no other entry is read."""
    assert folder.expect_increment().outcome is Outcome.UNCHANGED
    first, second = someone(), someone()
    admin.add(first.dn, attributes=first.attributes)
    assert folder.expect_increment(inserted=1).counts.entries == 1
    ids = {row["source_key"]: row["contact_id"] for row in folder.rows()["contacts"]}
    admin.modify(first.dn, {"description": [(ldap3.MODIFY_REPLACE, ["Changed"])]})
    assert folder.expect_increment(updated=1).counts.entries == 1
    admin.modify_dn(first.dn, "uid=renamed")
    folder.expect_increment(updated=1)
    renamed = f"uid=renamed,{parent_of(first.dn)}"
    admin.modify_dn(renamed, "uid=renamed", new_superior=folder.slapd.people_base)
    folder.expect_increment(updated=1)
    admin.add(second.dn, attributes=second.attributes)
    admin.delete(f"uid=renamed,{folder.slapd.people_base}")
    folder.expect_increment(inserted=1, deleted=1)
    admin.delete(second.dn)
    folder.expect_increment(deleted=1)
    assert folder.expect_increment().outcome is Outcome.UNCHANGED
    left = {row["source_key"]: row["contact_id"] for row in folder.rows()["contacts"]}
    assert left.items() <= ids.items()
    mum = [row for row in folder.rows()["contacts"] if row["display_name"] == "Mum"]
    assert len(mum) == 1


def test_an_entry_that_enters_or_leaves_the_filter(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, admin: ldap3.Connection
) -> None:
    """An edit of the entry is an insert or a delete of the contact."""
    person = someone()
    admin.add(person.dn, attributes=person.attributes)
    folder = make_folder(server, mode="incremental", filter="(description=wanted)", allow_empty=True)
    folder.run()

    def counts(**description: list[Any]) -> tuple[Mode, int, int]:
        admin.modify(person.dn, description)
        report = folder.run()
        return report.mode, report.counts.inserted, report.counts.deleted

    assert counts(description=[(ldap3.MODIFY_REPLACE, ["wanted"])]) == (Mode.INCREMENTAL, 1, 0)
    assert counts(description=[(ldap3.MODIFY_REPLACE, ["unwanted"])]) == (Mode.INCREMENTAL, 0, 1)
    assert counts(description=[(ldap3.MODIFY_REPLACE, ["wanted"])]) == (Mode.INCREMENTAL, 1, 0)
    admin.delete(person.dn)
    assert folder.run().counts.deleted == 1


def test_the_only_person_may_be_replaced(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, admin: ldap3.Connection
) -> None:
    """A folder of whoever is on duty is not held at each change of the shift."""
    leaves, comes = someone(), someone()
    for person in (leaves, comes):
        admin.add(person.dn, attributes=person.attributes)
    folder = make_folder(server, mode="incremental", filter="(description=one of few)")
    admin.modify(leaves.dn, {"description": [(ldap3.MODIFY_REPLACE, ["one of few"])]})
    assert folder.run().counts.inserted == 1
    admin.modify(leaves.dn, {"description": [(ldap3.MODIFY_REPLACE, ["gone"])]})
    admin.modify(comes.dn, {"description": [(ldap3.MODIFY_REPLACE, ["one of few"])]})
    report = folder.run()
    assert (report.mode, report.outcome) == (Mode.INCREMENTAL, Outcome.CHANGED), report.held_reason
    assert (report.counts.inserted, report.counts.deleted) == (1, 1)
    for person in (leaves, comes):
        admin.delete(person.dn)


def test_a_restarted_server_and_a_log_that_is_too_short_lose_nothing(
    folder: SyncedFolder, server: PrivateSlapd
) -> None:
    """Sixty changes, of which the log keeps fifty; a restarted server is read completely."""
    staff = [someone() for _ in range(60)]
    admin = server.connection()
    for person in staff:
        admin.add(person.dn, attributes=person.attributes)
    folder.expect_increment(inserted=60)
    for person in staff[:55]:
        admin.delete(person.dn)
    folder.expect_increment(deleted=55)
    admin.delete(staff[55].dn)
    admin.unbind()
    start_anew(server, server.stop)
    assert folder.expect_full("was restarted").counts.deleted == 1
    admin = server.connection()
    for person in staff[56:]:
        admin.delete(person.dn)
    admin.unbind()
    folder.expect_increment(deleted=4)


def test_a_deletion_just_before_the_server_is_killed(folder: SyncedFolder, server: PrivateSlapd) -> None:
    """The server has lost its log, and no entry is newer than the cursor."""
    person = someone()
    admin = server.connection()
    admin.add(person.dn, attributes=person.attributes)
    admin.unbind()
    start_anew(server, server.stop)
    assert folder.expect_full().counts.inserted == 1
    admin = server.connection()
    admin.delete(person.dn)
    admin.unbind()
    start_anew(server, server.kill)
    assert folder.expect_full("was restarted").counts.deleted == 1
    folder.expect_increment()


def start_anew(server: PrivateSlapd, end: Callable[[], None]) -> None:
    """Stop a server and start it in another second than before, since it reports its start in seconds."""
    end()
    time.sleep(1.1)
    server.start()


def certain_at(*csns: str) -> bytes:
    """A cursor with nothing missing up to these CSNs."""
    return Position.certain_at(csns_of(csns)).encode()


@pytest.mark.parametrize(
    "cookie",
    [
        b"hello",
        b"",
        b"csn= certain= pending= at=0",
        b"rid=000,csn=20260101000000.000000Z#000000#000#000000",
        certain_at("20260101000000.000000Z#000000#0f0#000000"),
        certain_at("29990101000000.000000Z#000000#000#000000"),
        b"\xff\xfe",
    ],
    ids=["garbage", "empty", "none", "a-cookie", "another-server", "future", "octets"],
)
def test_a_cursor_that_cannot_be_true_is_not_used(folder: SyncedFolder, admin: ldap3.Connection, cookie: bytes) -> None:
    """All entries are read, and deleted people leave the folder."""
    person = someone()
    admin.add(person.dn, attributes=person.attributes)
    folder.expect_increment(inserted=1)
    admin.delete(person.dn)
    spoil = "UPDATE contactsync.sync_cursors SET value = %s WHERE definition_id = %s"
    folder.query(spoil, cookie, folder.definition_id)
    assert folder.expect_full(folder.definition.query.split("/")[2]).counts.deleted == 1
    folder.expect_increment()


def test_an_edit_of_the_request_leads_to_a_full_run(folder: SyncedFolder, server: PrivateSlapd) -> None:
    """Filter, base, mapping, user; incremental runs follow."""
    for columns in (
        {"filter": "(objectClass=person)"},
        {"base": server.people_base},
        {"mapping": {"fields": {"title": ["title", "carLicense"]}}},
        {"bind_user": server.admin_dn},
    ):
        folder.edit(**columns)
        if "bind_user" in columns:
            folder.set_password(server.admin_password)
        folder.expect_full("has changed since the last run")
        folder.expect_increment()


def test_a_contact_that_a_user_edited_is_corrected(folder: SyncedFolder) -> None:
    """Only a full run can do that, since the directory has not changed."""
    folder.query(
        "UPDATE contactsync.contacts SET notes = 'mine', title = 'mine' WHERE contact_id ="
        " (SELECT min(contact_id) FROM contactsync.contacts WHERE definition_id = %s)",
        folder.definition_id,
    )
    assert folder.expect_full("A contact was changed here").counts.updated == 1
    folder.expect_increment()


def test_a_contact_that_a_user_deleted_comes_back(folder: SyncedFolder) -> None:
    """By a full run, since the directory has not changed."""
    folder.query(DELETE_ONE, folder.definition_id)
    assert folder.expect_full().counts.inserted == 1
    folder.expect_increment()


def test_a_contact_that_is_deleted_during_an_increment_comes_back(
    folder: SyncedFolder, admin: ldap3.Connection
) -> None:
    """The run does not store a cursor in place of the one that the deletion has removed."""
    person = someone()
    admin.add(person.dn, attributes=person.attributes)
    assert folder.run(once("search", lambda: folder.query(DELETE_ALL, folder.definition_id))).mode is Mode.INCREMENTAL
    assert folder.expect_full("No earlier run").counts.inserted > 1
    folder.expect_increment()


@pytest.mark.parametrize("changes", [0, 1], ids=["unchanged", "changed"])
def test_a_contact_that_is_deleted_during_a_full_run_comes_back(
    folder: SyncedFolder, admin: ldap3.Connection, changes: int
) -> None:
    """The run matched its entry to a contact that was gone when it ended, so it stores no cursor."""
    overdue(folder)
    for person in [someone() for _ in range(changes)]:
        admin.add(person.dn, attributes=person.attributes)
    deletion = once("search", lambda: folder.query(DELETE_ALL, folder.definition_id))
    stages: list[str] = []

    def delete(stage: str, counts: Counts) -> None:
        stages.append(stage)
        if "fingerprints" in stages:
            deletion(stage, counts)

    assert folder.run(delete).mode is Mode.FULL
    assert folder.expect_full("No earlier run").counts.inserted > 1
    folder.expect_increment()


def test_a_contact_whose_deletion_is_committed_during_a_full_run_comes_back(folder: SyncedFolder) -> None:
    """Neither waits for the other, and there is no cursor yet that the deletion could remove."""
    folder.query(DELETE_ONE, folder.definition_id)
    with folder.connection() as person:
        person.autocommit = False
        person.execute(DELETE_ONE, [folder.definition_id])

        def commit(stage: str, _counts: Counts) -> None:
            if stage == "map":
                person.commit()

        assert folder.run(commit).mode is Mode.FULL
    assert folder.expect_full("No earlier run").counts.inserted == 1
    folder.expect_increment()


def test_a_table_of_contacts_that_was_emptied_is_filled_again(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd
) -> None:
    """TRUNCATE fires no trigger for each row."""
    folder = make_folder(server, mode="incremental")
    folder.run()
    folder.expect_increment()
    folder.query("TRUNCATE contactsync.contacts CASCADE")
    assert folder.expect_full("No earlier run").counts.inserted == len(folder.contacts())
    folder.expect_increment()


def overdue(folder: SyncedFolder) -> None:
    """Make the next run a full one."""
    folder.query(
        "UPDATE contactsync.sync_cursors SET full_at = now() - interval '2 days' WHERE definition_id = %s",
        folder.definition_id,
    )


def test_a_full_run_follows_at_its_own_interval(folder: SyncedFolder) -> None:
    """Also if all incremental runs succeed."""
    folder.expect_increment()
    overdue(folder)
    folder.expect_full("48.0 hours")
    folder.expect_increment()


def test_a_mass_deletion_is_held_and_decided_after_a_full_run(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, admin: ldap3.Connection
) -> None:
    """The guard is the same; the decision is about the plan of a full run."""
    staff = [someone() for _ in range(30)]
    for person in staff:
        admin.add(person.dn, attributes=person.attributes)
    folder = make_folder(server, mode="incremental")
    folder.run()
    for person in staff:
        admin.delete(person.dn)
    report = folder.run()
    assert (report.mode, report.outcome) == (Mode.INCREMENTAL, Outcome.HELD)
    folder.expect_held(report, "30 of")
    again = folder.run()
    assert (again.mode, again.outcome, again.counts.deleted) == (Mode.FULL, Outcome.HELD, 30)
    folder.edit(max_delete_share=1)
    assert folder.expect_full().counts.deleted == 30


def test_an_increment_counts_the_contacts_only_to_say_why_it_is_held(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, admin: ldap3.Connection
) -> None:
    """Its time must not depend on the size of the folder; a few deletions need only a few other contacts."""
    staff = [someone() for _ in range(12)]
    for person in staff:
        admin.add(person.dn, attributes=person.attributes)
    folder = make_folder(server, mode="incremental", max_delete_count=10, max_delete_share=1)
    before = folder.run().counts.inserted

    def counted(number: int) -> tuple[RunReport, int | None]:
        for _ in range(number):
            admin.delete(staff.pop().dn)
        report = folder.run()
        assert (report.mode, report.counts.deleted) == (Mode.INCREMENTAL, number)
        return report, report.plan.contacts if report.plan else None

    assert counted(1)[1] is None
    report, contacts = counted(11)
    folder.expect_held(report, f"11 of {before - 1} contacts", "the limit is 10")
    assert contacts == before - 1
    folder.edit(max_delete_count=500)
    folder.expect_full()


def test_a_mass_deletion_in_small_parts_is_held(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, admin: ldap3.Connection
) -> None:
    """Together they exceed the limit of a run; an approval allows them and resets the count."""
    staff = [someone() for _ in range(16)]
    for person in staff:
        admin.add(person.dn, attributes=person.attributes)
    folder = make_folder(server, mode="incremental", max_delete_count=10)
    folder.run()

    def leave(number: int) -> RunReport:
        for _ in range(number):
            admin.delete(staff.pop().dn)
        return folder.run()

    for _ in range(2):
        assert leave(4).counts.deleted == 4
    report = leave(4)
    assert report.mode is Mode.INCREMENTAL
    folder.expect_held(report, "4 of", "after 8 in the last 24 hours", "the limit is 10")
    again = folder.run()
    assert again.mode is Mode.FULL
    folder.expect_held(again, "4 of", "after 8 in the last 24 hours", "the limit is 10")
    with folder.connection() as connection:
        plan = read_held_plan(connection, again.run_id)
        assert plan
        assert decide(connection, plan, "approved", by="test")
    assert folder.run().counts.deleted == 4
    assert leave(4).outcome is Outcome.CHANGED
    assert folder.contacts() == folder.people()


def test_undone_deletions_do_not_count_unless_the_undo_is_undone(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, admin: ldap3.Connection
) -> None:
    """At any depth."""
    staff = [someone() for _ in range(12)]
    for person in staff:
        admin.add(person.dn, attributes=person.attributes)
    folder = make_folder(server, mode="incremental", max_delete_count=7, max_delete_share=1)
    folder.run()
    for person in staff[:4]:
        admin.delete(person.dn)
    last = folder.expect_increment(deleted=4).run_id
    for person in staff[4:]:
        admin.delete(person.dn)
    for deletions in ("8 of", "12 of", "8 of", "12 of"):
        reason = folder.runner().preview(folder.definition).report.held_reason or ""
        assert deletions in reason
        assert ("after 4 in the last 24 hours" in reason) is (deletions == "8 of")
        last = undo(folder.pool, last, Actor("unix", "anna", "cli")).run.run_id or 0


def test_deletions_of_the_day_before_do_not_count(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, admin: ldap3.Connection
) -> None:
    """Each day has its own limit."""
    staff = [someone() for _ in range(12)]
    for person in staff:
        admin.add(person.dn, attributes=person.attributes)
    folder = make_folder(server, mode="incremental", max_delete_count=10)
    folder.run()
    for person in staff[:9]:
        admin.delete(person.dn)
    folder.expect_increment(deleted=9)
    for person in staff[9:]:
        admin.delete(person.dn)
    folder.expect_held(folder.run(), "3 of", "after 9", "the limit is 10")
    yesterday = (
        "UPDATE contactsync.sync_runs SET started_at = started_at - interval '25 hours' WHERE definition_id = %s"
    )
    folder.query(yesterday, folder.definition_id)
    assert folder.run().counts.deleted == 3
    assert folder.contacts() == folder.people()


def test_small_folders_are_read_completely_in_mode_auto(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd
) -> None:
    """One page takes no longer than a request for changes; larger folders are read incrementally."""
    folder = make_folder(server, page_size=1000)
    for _ in range(2):
        assert (folder.run().mode, folder.run().full_reason) == (Mode.FULL, None)
    large = make_folder(server, page_size=10)
    large.expect_full("No earlier run")
    large.expect_increment()
    never = make_folder(server, page_size=10, mode="full")
    never.expect_full()
    never.expect_full("mode is full")


def test_a_directory_without_content_synchronization_is_read_completely(
    make_folder: Callable[..., SyncedFolder], directory: PrivateSlapd
) -> None:
    """The run says why."""
    folder = make_folder(directory, mode="incremental")
    folder.expect_full()
    folder.expect_full("does not offer content synchronization")


def test_a_full_run_reports_the_changes_that_increments_missed(
    folder: SyncedFolder, server: PrivateSlapd, admin: ldap3.Connection, request: pytest.FixtureRequest
) -> None:
    """It corrects them and logs an error. Changes since the last increment are not reported.

    A server without a session log reports which entries exist, so a missed deletion cannot be detected there.
    """
    lost, left, changed, leaves, comes = (someone() for _ in range(5))
    for person in (left, changed, leaves):
        admin.add(person.dn, attributes=person.attributes)
    folder.expect_increment(inserted=3)
    # As if the server had told nothing of these two: the cursor is moved past them by hand.
    admin.delete(left.dn)
    admin.add(lost.dn, attributes=lost.attributes)
    admin.search(server.suffix, "(objectClass=organization)", attributes=["contextCSN"])
    folder.query(
        "UPDATE contactsync.sync_cursors SET value = %s, full_at = now() - interval '2 days' WHERE definition_id = %s",
        certain_at(admin.response[0]["raw_attributes"]["contextCSN"][0].decode()),
        folder.definition_id,
    )
    admin.modify(changed.dn, {"description": [(ldap3.MODIFY_REPLACE, ["Changed"])]})
    admin.delete(leaves.dn)
    admin.add(comes.dn, attributes=comes.attributes)
    report = folder.expect_full("48.0 hours")
    assert (report.counts.inserted, report.counts.updated, report.counts.deleted) == (2, 1, 2)
    missed = {"insert"} if "present" in request.node.name else {"insert", "delete"}
    (event,) = folder.events("run.missed")
    assert (event["level"], event["count"]) == ("error", len(missed))
    assert {what.partition(" ")[0] for what in event["contacts"]} == missed
    folder.expect_increment()


def test_check_says_how_runs_read_changes(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, directory: PrivateSlapd
) -> None:
    """On this server and for this user, and why not in a better way."""

    def said(slapd: PrivateSlapd, mode: str, schedule: str = "manual", most: int = 7) -> tuple[Status, str]:
        folder = make_folder(slapd, mode=mode, schedule=schedule)
        options = replace(BRISK, auto_live_folders=most)
        steps = {step.name: step for step in check(folder.definition, lambda: slapd.reader_password, options)}
        return steps["changes"].status, steps["changes"].text

    assert said(server, "full") == (Status.OK, "Every run is full, because the definition's mode is full.")
    for mode in ("auto", "incremental", "live"):
        status, text = said(server, mode)
        assert status is Status.OK
        assert "read only changes" in text
    for mode, expected in (("auto", Status.OK), ("incremental", Status.WARNING), ("live", Status.WARNING)):
        status, text = said(directory, mode)
        assert status is expected
        assert "does not offer content synchronization" in text
    for slapd, schedule, most, words in (
        (server, "every 1h", 7, "runs at each change if it is one of the 7"),
        (server, "every 1h", 0, "runs by its schedule (auto_live_folders is 0)"),
        (server, "manual", 7, "has no schedule and does not run automatically"),
        (directory, "every 1h", 7, "runs by its schedule, because the server does not report"),
    ):
        status, text = said(slapd, "auto", schedule, most)
        assert status is Status.OK
        assert words in text


def test_a_rename_or_move_of_a_unit_takes_its_people_along(
    make_folder: Callable[..., SyncedFolder], folder: SyncedFolder, server: PrivateSlapd, admin: ldap3.Connection
) -> None:
    """The server reports no change of their entries, so all entries are read."""
    number = next(_numbers)
    base, away = f"ou=base {number},{server.people_base}", f"ou=away {number},{server.people_base}"
    for dn in (base, away):
        admin.add(dn, "organizationalUnit")
    team = f"ou=team,{base}"
    admin.add(team, "organizationalUnit")
    person = someone()
    admin.add(f"uid=member,{team}", attributes=person.attributes | {"uid": ["member"]})
    folder.expect_full("may have moved with it")
    part = make_folder(server, mode="incremental", base=base, allow_empty=True, max_delete_share=1)
    assert part.run().counts.inserted == 1
    folder.expect_increment()

    admin.modify_dn(team, "ou=crew")
    assert folder.expect_full("may have moved with it").counts.updated == 1
    part.run()
    admin.modify_dn(f"ou=crew,{base}", "ou=crew", new_superior=away)
    assert part.run().counts.deleted == 1
    folder.expect_full("may have moved with it")
    admin.modify_dn(f"ou=crew,{away}", "ou=crew", new_superior=base)
    assert part.run().counts.inserted == 1
    folder.expect_full("may have moved with it")
    folder.expect_increment()
    for dn in (f"uid=member,ou=crew,{base}", f"ou=crew,{base}", base, away):
        admin.delete(dn)


def test_a_server_that_was_restored_from_a_backup_is_read_completely(
    folder: SyncedFolder, server: PrivateSlapd
) -> None:
    """People added since the backup are gone; also if it has changed as often since then."""
    backup = dump(server)
    folder.run()
    lost, stays = someone(), someone()
    admin = server.connection()
    admin.add(lost.dn, attributes=lost.attributes)
    admin.unbind()
    folder.expect_increment(inserted=1)
    load(server, backup)
    assert folder.expect_full("may have been restored").counts.deleted == 1
    admin = server.connection()
    admin.add(stays.dn, attributes=stays.attributes)
    folder.expect_increment(inserted=1)
    admin.unbind()


def test_another_server_at_the_same_address_is_read_completely(folder: SyncedFolder, server: PrivateSlapd) -> None:
    """It has the same names but other entries, and its CSNs are newer than the cursor."""
    backup = dump(server)
    made_by_servers = re.compile(
        rb"^(entryUUID|entryCSN|contextCSN|structuralObjectClass|creat|modif)\w*:.*\n", re.MULTILINE
    )
    load(server, made_by_servers.sub(b"", backup))
    folder.expect_full("other data")
    load(server, backup)
    folder.expect_full()
    folder.expect_increment()


def test_a_new_provider_of_changes_is_read_completely(folder: SyncedFolder, server: PrivateSlapd) -> None:
    """Its changes may reach the server late, and then are older than the cursor of the others."""
    csn = re.compile(rb"^(contextCSN: [^#]+#[^#]+#)000(#.*\n)", re.MULTILINE)
    backup = dump(server)
    load(server, csn.sub(rb"\g<0>\g<1>001\g<2>", backup))
    folder.expect_full()
    folder.expect_increment()
    (cursor,) = folder.query(
        "SELECT value FROM contactsync.sync_cursors WHERE definition_id = %s", folder.definition_id
    )
    position = Position.parse(bytes(cursor["value"]))
    assert position is not None
    assert len(position.newest) == 2
    before = Position.certain_at({sid: csn for sid, csn in position.newest.items() if "#001#" not in csn}).encode()
    spoil = "UPDATE contactsync.sync_cursors SET value = %s WHERE definition_id = %s"
    folder.query(spoil, before, folder.definition_id)
    folder.expect_full("another provider")
    folder.expect_increment()
    load(server, backup)
    folder.expect_full()


def test_a_user_without_a_right_to_the_context_csn_reads_all_entries(
    folder: SyncedFolder, server: PrivateSlapd, admin: ldap3.Connection
) -> None:
    """Until the server grants the right again."""
    person = someone()
    admin.add(person.dn, attributes=person.attributes)
    folder.expect_increment(inserted=1)
    hide(server, "contextCSN")
    server.start()
    folder.expect_full("does not show this user all of", "contextCSN")
    again = server.connection()
    again.delete(person.dn)
    again.unbind()

    start_anew(server, lambda: hide(server, ""))
    assert folder.expect_full().counts.deleted == 1


def test_a_killed_server_hides_no_change(folder: SyncedFolder, server: PrivateSlapd) -> None:
    """Its contextCSN is then older than its entries, and it does not report these entries."""
    start_anew(server, server.stop)
    folder.expect_full()
    admin = server.connection()
    staff = [someone() for _ in range(5)]
    for person in staff[:4]:
        admin.add(person.dn, attributes=person.attributes)
    admin.unbind()
    start_anew(server, server.kill)
    assert folder.expect_full("was restarted").counts.inserted == 4
    folder.expect_full("newer than its contextCSN")
    admin = server.connection()
    admin.add(staff[4].dn, attributes=staff[4].attributes)
    admin.unbind()
    folder.expect_increment(inserted=1)


def dump(server: PrivateSlapd) -> bytes:
    """The content of the server, as its own backup tools write it."""
    server.stop()
    tool = [f"{DEBIAN_PROGRAMS}/slapcat", "-f", f"{server.directory}/slapd.conf", "-b", server.suffix]
    backup = subprocess.run(tool, check=True, capture_output=True).stdout
    server.start()
    return backup


def load(server: PrivateSlapd, backup: bytes) -> None:
    """Replace the content of the server; its log is lost."""
    server.stop()
    for name in ("db", "log"):
        for file in (server.directory / name).glob("*.mdb"):
            file.unlink()
    tool = [f"{DEBIAN_PROGRAMS}/slapadd", "-q", "-f", f"{server.directory}/slapd.conf", "-b", server.suffix]
    subprocess.run(tool, check=True, capture_output=True, input=backup)
    server.start()
