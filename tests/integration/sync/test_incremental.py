"""Runs that ask a real OpenLDAP only for what changed: whatever happens in it, the folder is what it is."""

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
from contactsync.model import Counts, Mode, Outcome, RunReport
from contactsync.operations.undo import undo
from contactsync.store.record.holds import decide, read_held_plan
from contactsync.testing.people import Person, make_people, people_ldif
from contactsync.testing.slapd import DEBIAN_PROGRAMS, PrivateSlapd
from tests.support.folder import BRISK, SyncedFolder, parent_of, people

PEOPLE = 40
_numbers = count(1000)


@pytest.fixture(
    scope="module",
    params=[{"session_log": 0}, {"session_log": 50}, {"session_log": 0, "access_log": True}],
    ids=["present", "session-log", "access-log"],
)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateSlapd]:
    """Run one directory without a log of deletions, one with a short one in memory, and one with a long one on disk."""
    directory = tmp_path_factory.mktemp("sync") / "slapd"
    with PrivateSlapd(directory, ldif=people_ldif(PEOPLE), **request.param) as slapd:
        yield slapd


@pytest.fixture
def admin(server: PrivateSlapd) -> Iterator[ldap3.Connection]:
    """Change the directory."""
    server.start()
    connection = server.connection()
    yield connection
    connection.unbind()


@pytest.fixture
def folder(make_folder: Callable[..., SyncedFolder], server: PrivateSlapd) -> SyncedFolder:
    """Fill a folder; the next run can ask for what changed."""
    folder = make_folder(server, mode="incremental", max_delete_share=1)
    assert folder.run().mode is Mode.FULL
    return folder


def someone() -> Person:
    """A person whom no directory has yet."""
    (person,) = make_people(1, start=next(_numbers))
    return person


def increment(folder: SyncedFolder, **counts: int) -> RunReport:
    """Make a run that asks for what changed, does so many changes, and has the folder in step."""
    report = folder.run()
    assert (report.mode, report.full_reason) == (Mode.INCREMENTAL, None)
    done = {name: getattr(report.counts, name) for name in ("inserted", "updated", "deleted")}
    assert done == {"inserted": 0, "updated": 0, "deleted": 0} | counts
    assert folder.contacts() == people(folder.slapd)
    assert folder.row(report.run_id)["mode"] == "incremental"
    return report


def full(folder: SyncedFolder, *words: str) -> RunReport:
    """Make a run that reads everything, for a reason with these words, and has the folder in step."""
    report = folder.run()
    assert report.mode is Mode.FULL
    for word in words:
        assert word in (report.full_reason or "")
    assert folder.row(report.run_id)["full_reason"] == report.full_reason
    assert folder.contacts() == people(folder.slapd)
    return report


def test_adds_edits_renames_moves_and_deletes_come_as_increments(folder: SyncedFolder, admin: ldap3.Connection) -> None:
    """Each of them, alone and together; nothing else is read."""
    assert increment(folder).outcome is Outcome.UNCHANGED
    first, second = someone(), someone()
    admin.add(first.dn, attributes=first.attributes)
    assert increment(folder, inserted=1).counts.entries == 1
    ids = {row["source_key"]: row["contact_id"] for row in folder.rows()["contacts"]}
    admin.modify(first.dn, {"description": [(ldap3.MODIFY_REPLACE, ["Changed"])]})
    assert increment(folder, updated=1).counts.entries == 1
    admin.modify_dn(first.dn, "uid=renamed")
    increment(folder, updated=1)
    renamed = f"uid=renamed,{parent_of(first.dn)}"
    admin.modify_dn(renamed, "uid=renamed", new_superior=folder.slapd.people_base)
    increment(folder, updated=1)
    admin.add(second.dn, attributes=second.attributes)
    admin.delete(f"uid=renamed,{folder.slapd.people_base}")
    increment(folder, inserted=1, deleted=1)
    admin.delete(second.dn)
    increment(folder, deleted=1)
    assert increment(folder).outcome is Outcome.UNCHANGED
    left = {row["source_key"]: row["contact_id"] for row in folder.rows()["contacts"]}
    assert left.items() <= ids.items()
    mum = [row for row in folder.rows()["contacts"] if row["display_name"] == "Mum"]
    assert len(mum) == 1


def test_who_enters_and_leaves_the_filter_comes_and_goes(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, admin: ldap3.Connection
) -> None:
    """An edit of an entry is an insert or a delete where the filter makes it so."""
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


def test_all_may_leave_while_others_come(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, admin: ldap3.Connection
) -> None:
    """The directory is not empty then, and nothing is to be held for that."""
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
    """Sixty come and go where fifty are remembered, and a server that was started anew is read as a whole."""
    staff = [someone() for _ in range(60)]
    admin = server.connection()
    for person in staff:
        admin.add(person.dn, attributes=person.attributes)
    increment(folder, inserted=60)
    for person in staff[:55]:
        admin.delete(person.dn)
    increment(folder, deleted=55)
    admin.delete(staff[55].dn)
    admin.unbind()
    start_anew(server, server.stop)
    assert full(folder, "was restarted").counts.deleted == 1
    admin = server.connection()
    for person in staff[56:]:
        admin.delete(person.dn)
    admin.unbind()
    increment(folder, deleted=4)


def test_who_was_deleted_just_before_the_server_was_killed_leaves_the_folder(
    folder: SyncedFolder, server: PrivateSlapd
) -> None:
    """It comes back with no memory of it, and nothing in it is newer than the cursor."""
    person = someone()
    admin = server.connection()
    admin.add(person.dn, attributes=person.attributes)
    admin.unbind()
    start_anew(server, server.stop)
    assert full(folder).counts.inserted == 1
    admin = server.connection()
    admin.delete(person.dn)
    admin.unbind()
    start_anew(server, server.kill)
    assert full(folder, "was restarted").counts.deleted == 1
    increment(folder)


def start_anew(server: PrivateSlapd, end: Callable[[], None]) -> None:
    """End a server and start it, in another second than before: it tells its start to the second."""
    end()
    time.sleep(1.1)
    server.start()


def certain_at(*csns: str) -> bytes:
    """A cursor that says that nothing up to these CSNs is missing."""
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
def test_a_cursor_that_cannot_be_true_is_not_believed(
    folder: SyncedFolder, admin: ldap3.Connection, cookie: bytes
) -> None:
    """Everything is read, and who left meanwhile leaves the folder."""
    person = someone()
    admin.add(person.dn, attributes=person.attributes)
    increment(folder, inserted=1)
    admin.delete(person.dn)
    spoil = "UPDATE contactsync.sync_cursors SET value = %s WHERE definition_id = %s"
    folder.query(spoil, cookie, folder.definition_id)
    assert full(folder, folder.definition.query.split("/")[2]).counts.deleted == 1
    increment(folder)


def test_every_edit_of_what_is_asked_for_has_everything_read(folder: SyncedFolder, server: PrivateSlapd) -> None:
    """Filter, base, mapping, user; and each is followed by increments again."""
    for columns in (
        {"filter": "(objectClass=person)"},
        {"base": server.people_base},
        {"mapping": {"fields": {"title": ["title", "carLicense"]}}},
        {"bind_user": server.admin_dn},
    ):
        folder.edit(**columns)
        if "bind_user" in columns:
            folder.set_password(server.admin_password)
        full(folder, "has changed since the last run")
        increment(folder)


def test_a_contact_that_a_person_changed_is_set_right(folder: SyncedFolder) -> None:
    """The directory did not change, so that only a full run can tell."""
    folder.query(
        "UPDATE contactsync.contacts SET notes = 'mine', title = 'mine' WHERE contact_id ="
        " (SELECT min(contact_id) FROM contactsync.contacts WHERE definition_id = %s)",
        folder.definition_id,
    )
    assert full(folder, "A contact was changed here").counts.updated == 1
    increment(folder)


def test_a_contact_that_somebody_deleted_here_comes_back(folder: SyncedFolder) -> None:
    """As it does by a full run; that it left is nothing that the directory could tell."""
    folder.query(
        "DELETE FROM contactsync.contacts WHERE contact_id ="
        " (SELECT min(contact_id) FROM contactsync.contacts WHERE definition_id = %s)",
        folder.definition_id,
    )
    assert full(folder).counts.inserted == 1
    increment(folder)


def test_a_contact_that_is_deleted_here_during_an_increment_comes_back(
    folder: SyncedFolder, admin: ldap3.Connection
) -> None:
    """The run's own cursor does not take the place of the one that the deletion has made void."""
    person = someone()
    admin.add(person.dn, attributes=person.attributes)
    deletions = iter(["DELETE FROM contactsync.contacts WHERE source_dn LIKE 'uid=%%' AND definition_id = %s"])

    def delete(stage: str, _counts: Counts) -> None:
        for statement in deletions if stage == "search" else ():
            folder.query(statement, folder.definition_id)

    assert folder.run(delete).mode is Mode.INCREMENTAL
    assert full(folder, "No earlier run").counts.inserted > 1
    increment(folder)


@pytest.mark.parametrize("changes", [0, 1], ids=["unchanged", "changed"])
def test_a_contact_that_is_deleted_here_during_a_full_run_comes_back(
    folder: SyncedFolder, admin: ldap3.Connection, changes: int
) -> None:
    """The run recognised the entry by a contact that was gone when it ended: no cursor says that all is in step."""
    overdue(folder)
    for person in [someone() for _ in range(changes)]:
        admin.add(person.dn, attributes=person.attributes)
    deletions = iter(["DELETE FROM contactsync.contacts WHERE source_dn LIKE 'uid=%%' AND definition_id = %s"])
    stages: list[str] = []

    def delete(stage: str, _counts: Counts) -> None:
        stages.append(stage)
        for statement in deletions if stage == "search" and "fingerprints" in stages else ():
            folder.query(statement, folder.definition_id)

    assert folder.run(delete).mode is Mode.FULL
    assert full(folder, "No earlier run").counts.inserted > 1
    increment(folder)


def test_a_contact_that_is_being_deleted_here_when_a_full_run_begins_comes_back(folder: SyncedFolder) -> None:
    """Its deletion is committed in the middle; neither waits for the other, and there is no cursor to make void."""
    delete = (
        "DELETE FROM contactsync.contacts WHERE contact_id ="
        " (SELECT min(contact_id) FROM contactsync.contacts WHERE definition_id = %s)"
    )
    folder.query(delete, folder.definition_id)
    with folder.connection() as person:
        person.autocommit = False
        person.execute(delete, [folder.definition_id])

        def commit(stage: str, _counts: Counts) -> None:
            if stage == "map":
                person.commit()

        assert folder.run(commit).mode is Mode.FULL
    assert full(folder, "No earlier run").counts.inserted == 1
    increment(folder)


def test_a_table_of_contacts_that_was_emptied_is_filled_again(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd
) -> None:
    """TRUNCATE says of no contact that it goes."""
    folder = make_folder(server, mode="incremental")
    folder.run()
    increment(folder)
    folder.query("TRUNCATE contactsync.contacts CASCADE")
    assert full(folder, "No earlier run").counts.inserted == len(folder.contacts())
    increment(folder)


def overdue(folder: SyncedFolder) -> None:
    """Have the next run read everything, whatever changed."""
    folder.query(
        "UPDATE contactsync.sync_cursors SET full_at = now() - interval '2 days' WHERE definition_id = %s",
        folder.definition_id,
    )


def test_a_full_run_follows_at_its_own_interval(folder: SyncedFolder) -> None:
    """However well the increments go."""
    increment(folder)
    folder.query(
        "UPDATE contactsync.sync_cursors SET full_at = now() - interval '25 hours' WHERE definition_id = %s",
        folder.definition_id,
    )
    full(folder, "25.0 hours")
    increment(folder)


def test_a_mass_deletion_is_held_and_then_decided_over_everything(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, admin: ldap3.Connection
) -> None:
    """The guard is the same; what it holds is shown as a full run sees it."""
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
    assert full(folder).counts.deleted == 30


def test_an_increment_counts_the_contacts_only_to_say_why_it_is_held(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, admin: ldap3.Connection
) -> None:
    """Else its time would depend on how many there are; few deletions need no more than some others to be there."""
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
    full(folder)


def test_a_mass_deletion_that_trickles_in_is_held(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, admin: ldap3.Connection
) -> None:
    """Few at a time, but together more than one run may; an approval lets them pass and begins the count anew."""
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
    assert folder.contacts() == people(server)


def test_what_was_taken_back_does_not_count_unless_that_was_taken_back(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, admin: ldap3.Connection
) -> None:
    """The guard counts the deletions of a run again after its undo was undone, and so on."""
    staff = [someone() for _ in range(12)]
    for person in staff:
        admin.add(person.dn, attributes=person.attributes)
    folder = make_folder(server, mode="incremental", max_delete_count=7, max_delete_share=1)
    folder.run()
    for person in staff[:4]:
        admin.delete(person.dn)
    last = increment(folder, deleted=4).run_id
    for person in staff[4:]:
        admin.delete(person.dn)
    for deletions in ("8 of", "12 of", "8 of", "12 of"):
        reason = folder.runner().preview(folder.definition).report.held_reason or ""
        assert deletions in reason
        assert ("after 4 in the last 24 hours" in reason) is (deletions == "8 of")
        last = undo(folder.pool, last).run.run_id or 0


def test_what_was_deleted_the_day_before_does_not_count(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, admin: ldap3.Connection
) -> None:
    """Each day has its own."""
    staff = [someone() for _ in range(12)]
    for person in staff:
        admin.add(person.dn, attributes=person.attributes)
    folder = make_folder(server, mode="incremental", max_delete_count=10)
    folder.run()
    for person in staff[:9]:
        admin.delete(person.dn)
    increment(folder, deleted=9)
    for person in staff[9:]:
        admin.delete(person.dn)
    folder.expect_held(folder.run(), "3 of", "after 9", "the limit is 10")
    yesterday = (
        "UPDATE contactsync.sync_runs SET started_at = started_at - interval '25 hours' WHERE definition_id = %s"
    )
    folder.query(yesterday, folder.definition_id)
    assert folder.run().counts.deleted == 3
    assert folder.contacts() == people(server)


def test_small_folders_are_read_whole_unless_told_otherwise(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd
) -> None:
    """A page costs no more than asking what changed; larger folders take the best that there is."""
    folder = make_folder(server, page_size=1000)
    for _ in range(2):
        assert (folder.run().mode, folder.run().full_reason) == (Mode.FULL, None)
    large = make_folder(server, page_size=10)
    full(large, "No earlier run")
    increment(large)
    never = make_folder(server, page_size=10, mode="full")
    full(never)
    full(never, "mode is full")


def test_a_directory_without_content_synchronization_is_read_as_a_whole(
    make_folder: Callable[..., SyncedFolder], directory: PrivateSlapd
) -> None:
    """It says why."""
    folder = make_folder(directory, mode="incremental")
    full(folder)
    full(folder, "does not offer content synchronization")


def test_a_full_run_names_what_the_increments_missed(
    folder: SyncedFolder, server: PrivateSlapd, admin: ldap3.Connection, request: pytest.FixtureRequest
) -> None:
    """It sets it right and is an error; what changed since the last increment is none.

    A server without a session log names who is there, not who left, so that when somebody left cannot be told.
    """
    lost, left, changed, leaves, comes = (someone() for _ in range(5))
    for person in (left, changed, leaves):
        admin.add(person.dn, attributes=person.attributes)
    increment(folder, inserted=3)
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
    report = full(folder, "48.0 hours")
    assert (report.counts.inserted, report.counts.updated, report.counts.deleted) == (2, 1, 2)
    missed = {"insert"} if "present" in request.node.name else {"insert", "delete"}
    (event,) = folder.events("run.missed")
    assert (event["level"], event["count"]) == ("error", len(missed))
    assert {what.partition(" ")[0] for what in event["contacts"]} == missed
    increment(folder)


def test_check_says_what_the_mode_comes_to(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, directory: PrivateSlapd
) -> None:
    """On this server, for this user, and why not to more."""

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


def test_who_is_below_an_entry_that_is_renamed_or_moved_follows_it(
    make_folder: Callable[..., SyncedFolder], folder: SyncedFolder, server: PrivateSlapd, admin: ldap3.Connection
) -> None:
    """No entry of theirs has changed, so that the server says nothing of them: everything is read."""
    number = next(_numbers)
    base, away = f"ou=base {number},{server.people_base}", f"ou=away {number},{server.people_base}"
    for dn in (base, away):
        admin.add(dn, "organizationalUnit")
    team = f"ou=team,{base}"
    admin.add(team, "organizationalUnit")
    person = someone()
    admin.add(f"uid=member,{team}", attributes=person.attributes | {"uid": ["member"]})
    full(folder, "may have moved with it")
    part = make_folder(server, mode="incremental", base=base, allow_empty=True, max_delete_share=1)
    assert part.run().counts.inserted == 1
    increment(folder)

    admin.modify_dn(team, "ou=crew")
    assert full(folder, "may have moved with it").counts.updated == 1
    part.run()
    admin.modify_dn(f"ou=crew,{base}", "ou=crew", new_superior=away)
    assert part.run().counts.deleted == 1
    full(folder, "may have moved with it")
    admin.modify_dn(f"ou=crew,{away}", "ou=crew", new_superior=base)
    assert part.run().counts.inserted == 1
    full(folder, "may have moved with it")
    increment(folder)
    for dn in (f"uid=member,ou=crew,{base}", f"ou=crew,{base}", base, away):
        admin.delete(dn)


def test_a_server_that_was_restored_from_a_backup_has_everything_read(
    folder: SyncedFolder, server: PrivateSlapd
) -> None:
    """Who came since the backup is gone; also when it has changed since then as often as before."""
    backup = dump(server)
    folder.run()
    lost, stays = someone(), someone()
    admin = server.connection()
    admin.add(lost.dn, attributes=lost.attributes)
    admin.unbind()
    increment(folder, inserted=1)
    load(server, backup)
    assert full(folder, "may have been restored").counts.deleted == 1
    admin = server.connection()
    admin.add(stays.dn, attributes=stays.attributes)
    increment(folder, inserted=1)
    admin.unbind()


def test_another_server_at_the_same_address_has_everything_read(folder: SyncedFolder, server: PrivateSlapd) -> None:
    """With the same names, but other entries; the CSNs are newer than the cursor."""
    backup = dump(server)
    made_by_servers = re.compile(
        rb"^(entryUUID|entryCSN|contextCSN|structuralObjectClass|creat|modif)\w*:.*\n", re.MULTILINE
    )
    load(server, made_by_servers.sub(b"", backup))
    full(folder, "other data")
    load(server, backup)
    full(folder)
    increment(folder)


def test_a_user_who_may_not_read_up_to_where_the_server_is_gets_everything(
    folder: SyncedFolder, server: PrivateSlapd, admin: ldap3.Connection
) -> None:
    """The server takes the right away, and gives it back."""
    person = someone()
    admin.add(person.dn, attributes=person.attributes)
    increment(folder, inserted=1)
    config = server.directory / "slapd.conf"
    text = config.read_text()
    server.stop()
    config.write_text(
        text.replace(
            "access to attrs=userPassword", "access to attrs=contextCSN by * none\naccess to attrs=userPassword"
        )
    )
    server.start()
    full(folder, "does not show this user all of", "contextCSN")
    again = server.connection()
    again.delete(person.dn)
    again.unbind()

    def give_back() -> None:
        server.stop()
        config.write_text(text)

    start_anew(server, give_back)
    assert full(folder).counts.deleted == 1


def test_a_server_that_was_killed_hides_nothing(folder: SyncedFolder, server: PrivateSlapd) -> None:
    """It comes back with a contextCSN that is older than its entries, which it then gives to no increment."""
    start_anew(server, server.stop)
    full(folder)
    admin = server.connection()
    staff = [someone() for _ in range(5)]
    for person in staff[:4]:
        admin.add(person.dn, attributes=person.attributes)
    admin.unbind()
    start_anew(server, server.kill)
    assert full(folder, "was restarted").counts.inserted == 4
    full(folder, "newer than its contextCSN")
    admin = server.connection()
    admin.add(staff[4].dn, attributes=staff[4].attributes)
    admin.unbind()
    increment(folder, inserted=1)


def dump(server: PrivateSlapd) -> bytes:
    """All that the server holds, as its own tools back it up."""
    server.stop()
    tool = [f"{DEBIAN_PROGRAMS}/slapcat", "-f", f"{server.directory}/slapd.conf", "-b", server.suffix]
    backup = subprocess.run(tool, check=True, capture_output=True).stdout
    server.start()
    return backup


def load(server: PrivateSlapd, backup: bytes) -> None:
    """Have the server hold this and nothing else; its log is lost, as logs are."""
    server.stop()
    for name in ("db", "log"):
        for file in (server.directory / name).glob("*.mdb"):
            file.unlink()
    tool = [f"{DEBIAN_PROGRAMS}/slapadd", "-q", "-f", f"{server.directory}/slapd.conf", "-b", server.suffix]
    subprocess.run(tool, check=True, capture_output=True, input=backup)
    server.start()
