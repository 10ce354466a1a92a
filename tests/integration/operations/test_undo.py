"""Runs that are taken back: what comes back, what stands in the way, and the history that tells of it."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from contactsync.errors import AlreadyRunning, ContactsyncError, UndoRefused, UsageError
from contactsync.model import Outcome, RunReport
from contactsync.operations.history import Event, contact_history
from contactsync.operations.undo import Undone, undo
from contactsync.store.record.runs import lock_definition
from tests.support.folder import SyncedFolder, captured_log

_NOT_RESTORED = {"xmin", "fingerprint", "created_at", "updated_at"}
PHOTO = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffd9")


@pytest.fixture
def changed(folder: SyncedFolder) -> RunReport:
    """Make the run that brings one insert, one update and one delete."""
    report = folder.run()
    counts = report.counts
    assert (counts.inserted, counts.updated, counts.deleted) == (1, 1, 1)
    return report


def contacts(folder: SyncedFolder) -> dict[int, dict[str, Any]]:
    """Give every contact of the folder with all that an undo is to restore."""
    return {
        row["contact_id"]: {name: value for name, value in row.items() if name not in _NOT_RESTORED}
        for row in folder.rows()["contacts"]
    }


def changed_contact(folder: SyncedFolder, run: RunReport, action: str) -> int:
    """Give the contact that a run inserted, updated or deleted."""
    rows = folder.query(
        "SELECT contact_id FROM contactsync.contact_changes WHERE run_id = %s AND action = %s", run.run_id, action
    )
    return int(rows[0]["contact_id"])


def first_run(folder: SyncedFolder) -> int:
    """Give the run that filled the folder."""
    return int(
        folder.query("SELECT min(run_id) AS run FROM contactsync.sync_runs WHERE folder_id = %s", folder.folder_id)[0][
            "run"
        ]
    )


def take_back(folder: SyncedFolder, run_id: int | None) -> Undone:
    """Undo a run."""
    assert run_id is not None
    undone = undo(folder.pool, run_id)
    assert undone.run.undoes == run_id
    return undone


def refuses(folder: SyncedFolder, run_id: int, kind: type[ContactsyncError], *words: str) -> None:
    """The undo is refused with these words, and nothing whatever has changed."""
    runs = "SELECT count(*) FROM contactsync.sync_runs WHERE folder_id = %s"
    before = folder.rows(), folder.definition, folder.query(runs, folder.folder_id)
    with pytest.raises(kind) as caught:
        take_back(folder, run_id)
    for word in words:
        assert word in str(caught.value)
    assert (folder.rows(), folder.definition, folder.query(runs, folder.folder_id)) == before


def events(folder: SyncedFolder, text: str) -> list[Event]:
    """Give the history of a contact."""
    with folder.connection() as connection:
        return contact_history(connection, folder.definition, text).events


def test_insert_update_and_delete_are_taken_back(folder: SyncedFolder) -> None:
    """Every contact is as it was before the run, under its old id; only the photo of the deleted one is lost."""
    before = contacts(folder)
    run = folder.run()
    undone = take_back(folder, run.run_id)
    deleted = before[changed_contact(folder, run, "delete")]
    photos_lost = int(deleted["photo_digest"] is not None)
    deleted["photo_digest"] = None
    assert contacts(folder) == before
    counts = undone.run
    assert (counts.inserted, counts.updated, counts.deleted) == (1, 1, 1)
    assert (undone.photos_lost, undone.paused) == (photos_lost, True)


def test_an_undo_pauses_the_definition_and_a_run_does_it_again(folder: SyncedFolder, changed: RunReport) -> None:
    """Once it is resumed, the directory's state comes back, to the contacts that the undo restored as well."""
    take_back(folder, changed.run_id)
    assert not folder.definition.enabled
    folder.expect_in_sync()


def test_an_undo_is_recorded_as_a_run(folder: SyncedFolder, changed: RunReport) -> None:
    """With what it did to each contact, and with the one line in the log."""
    with captured_log() as lines:
        undone = take_back(folder, changed.run_id)
    row = folder.row(undone.run.run_id or 0)
    assert (row["trigger"], row["mode"], row["outcome"], row["undoes"]) == ("undo", "undo", "changed", changed.run_id)
    assert (row["inserted"], row["updated"], row["deleted"]) == (1, 1, 1)
    assert row["finished_at"] > row["started_at"]
    history = folder.rows()["history"]
    did = {row["contact_id"]: row for row in history if row["run_id"] == changed.run_id}
    took = {row["contact_id"]: row for row in history if row["run_id"] == undone.run.run_id}
    assert did.keys() == took.keys()
    updated = changed_contact(folder, changed, "update")
    assert {name: pair[::-1] for name, pair in did[updated]["changes"].items()} == took[updated]["changes"]
    (line,) = [json.loads(line) for line in lines if '"run.finished"' in line]
    assert (line["trigger"], line["outcome"], line["deleted"]) == ("undo", "changed", 1)
    assert (line["folder"], line["run"]) == (folder.name, undone.run.run_id)


def test_an_undo_can_be_taken_back(folder: SyncedFolder, changed: RunReport) -> None:
    """The contacts are then as the run had left them, but for the photo of one that was deleted and restored."""
    after = contacts(folder)
    after[changed_contact(folder, changed, "insert")]["photo_digest"] = None
    undone = take_back(folder, changed.run_id)
    take_back(folder, undone.run.run_id)
    assert contacts(folder) == after


def test_an_undo_of_an_undo_of_an_undo_takes_the_run_back(folder: SyncedFolder, changed: RunReport) -> None:
    """The run counts as taken back by the first undo again, and does not stand in the way of the run before it."""
    first, runs = first_run(folder), [changed.run_id]
    for _ in range(3):
        runs.append(take_back(folder, runs[-1]).run.run_id or 0)
    refuses(folder, changed.run_id, UsageError, f"undone already, by run {runs[1]}")
    refuses(folder, runs[2], UsageError, f"undone already, by run {runs[3]}")
    take_back(folder, first)
    assert [row["display_name"] for row in contacts(folder).values()] == ["Mum"]


def test_what_was_taken_back_cannot_be_taken_back_again(folder: SyncedFolder, changed: RunReport) -> None:
    """The sentence names the run that did it."""
    undone = take_back(folder, changed.run_id)
    refuses(folder, changed.run_id, UsageError, f"undone already, by run {undone.run.run_id}")


def test_two_runs_are_taken_back_one_after_the_other(folder: SyncedFolder, changed: RunReport) -> None:
    """The latest first; a run that was taken back does not stand in the way of the one before it."""
    first = first_run(folder)
    refuses(folder, first, UndoRefused, f"run {changed.run_id} changed it", f"contactsync undo {changed.run_id}")
    take_back(folder, changed.run_id)
    take_back(folder, first)
    assert [row["display_name"] for row in contacts(folder).values()] == ["Mum"]


def test_a_later_change_of_the_same_field_is_not_overwritten(folder: SyncedFolder, changed: RunReport) -> None:
    """The refusal names the contact and the later run."""
    updated = changed_contact(folder, changed, "update")
    folder.query("UPDATE contactsync.contacts SET notes = 'mine' WHERE contact_id = %s", updated)
    later = folder.run()
    assert later.counts.updated == 1
    refuses(folder, changed.run_id, UndoRefused, f"(contact {updated}: run {later.run_id} changed it)")


def test_a_later_change_of_another_field_stays(folder: SyncedFolder, changed: RunReport) -> None:
    """Only the fields that the run wrote are set back."""
    updated = changed_contact(folder, changed, "update")
    folder.query("UPDATE contactsync.contacts SET nickname = 'Bo' WHERE contact_id = %s", updated)
    written = contacts(folder)[updated]["notes"]
    take_back(folder, changed.run_id)
    assert contacts(folder)[updated]["nickname"] == "Bo"
    assert contacts(folder)[updated]["notes"] != written


@pytest.mark.parametrize(
    ("action", "edit", "words"),
    [
        ("update", "UPDATE contactsync.contacts SET notes = 'mine' WHERE contact_id = %s", "a user changed notes"),
        ("insert", "UPDATE contactsync.contacts SET notes = 'mine' WHERE contact_id = %s", "a user changed it"),
        ("insert", "DELETE FROM contactsync.contacts WHERE contact_id = %s", "a user deleted it"),
        ("delete", "DELETE FROM contactsync.departed_contacts WHERE contact_id = %s", "not kept any more"),
    ],
)
def test_what_people_did_since_is_not_overwritten(
    folder: SyncedFolder, changed: RunReport, action: str, edit: str, words: str
) -> None:
    """One contact in the way keeps the whole run from being taken back."""
    contact = changed_contact(folder, changed, action)
    folder.query(edit, contact)
    refuses(folder, changed.run_id, UndoRefused, "1 of its contacts", f"(contact {contact}: ", words)


def test_a_refusal_lists_ten_contacts_and_counts_the_rest(folder: SyncedFolder) -> None:
    """Sixty edited contacts do not fill the screen."""
    number = len(folder.contacts())
    folder.query("UPDATE contactsync.contacts SET notes = 'mine' WHERE folder_id = %s", folder.folder_id)
    with pytest.raises(UndoRefused, match=f"{number} of its contacts") as caught:
        take_back(folder, first_run(folder))
    assert caught.value.message.count("\n- ") == 11
    assert caught.value.message.endswith(f"\n- and {number - 10} more")


def test_a_photo_that_is_gone_stays_gone_and_is_counted(folder: SyncedFolder) -> None:
    """Everything else of the contact comes back; a photo that the run added is removed again."""
    assert folder.run().outcome is Outcome.CHANGED
    in_step = folder.rows()["contacts"]
    leaves = next(row for row in in_step if row["photo_digest"])
    gets = next(row for row in in_step if row["source_dn"] and not row["photo_digest"])
    photos = {row["contact_id"] for row in folder.rows()["photos"]}
    admin = folder.slapd.connection()
    admin.delete(leaves["source_dn"])
    admin.modify(gets["source_dn"], {"jpegPhoto": [("MODIFY_REPLACE", [PHOTO])]})
    admin.unbind()
    run = folder.run()
    assert (run.counts.updated, run.counts.deleted) == (1, 1)
    undone = take_back(folder, run.run_id)
    assert undone.photos_lost == 1
    assert {row["contact_id"] for row in folder.rows()["photos"]} == photos - {leaves["contact_id"]}
    now = contacts(folder)
    assert now[leaves["contact_id"]]["emails"] == leaves["emails"]
    assert now[leaves["contact_id"]]["photo_digest"] is now[gets["contact_id"]]["photo_digest"] is None


def test_a_run_that_changed_nothing_is_not_taken_back(folder: SyncedFolder, changed: RunReport) -> None:
    """Neither is one that there never was."""
    unchanged = folder.run()
    assert unchanged.run_id > changed.run_id
    refuses(folder, unchanged.run_id, UsageError, "changed nothing (unchanged)")
    refuses(folder, 10**9, UsageError, "There is no run 1000000000")


def test_a_run_that_goes_on_is_not_disturbed(folder: SyncedFolder, changed: RunReport) -> None:
    """The undo takes the definition's lock like a run."""
    with folder.connection() as connection:
        lock_definition(connection, folder.definition)
        refuses(folder, changed.run_id, AlreadyRunning, "by another process")


def test_the_history_tells_who_changed_what(folder: SyncedFolder, changed: RunReport) -> None:
    """An insert with what it brought, an update, a person's edit, its correction, and the undo, each in its place."""
    updated = changed_contact(folder, changed, "update")
    before, after = events(folder, str(updated))[-1].fields["notes"]
    folder.query("UPDATE contactsync.contacts SET notes = 'mine' WHERE contact_id = %s", updated)
    corrected = folder.run()
    undone = take_back(folder, corrected.run_id)
    told = events(folder, str(updated))
    assert [(event.action, event.run_id, event.fields.get("notes", (None, None))) for event in told] == [
        ("insert", first_run(folder), (None, before)),
        ("update", changed.run_id, (before, after)),
        ("edit", None, (after, "mine")),
        ("update", corrected.run_id, ("mine", after)),
        ("update", undone.run.run_id, (after, "mine")),
    ]
    folder.query("UPDATE contactsync.contacts SET notes = 'again' WHERE contact_id = %s", updated)
    last = events(folder, str(updated))[-1]
    assert (last.action, last.fields) == ("edit", {"notes": ("mine", "again")})
    assert last.at is not None


def test_the_history_of_a_contact_that_is_gone_is_found_by_name_and_email(
    folder: SyncedFolder, changed: RunReport
) -> None:
    """What it was when it came and when it went."""
    assert changed.counts.deleted
    rows = folder.rows()["contacts"]
    names = Counter(row["display_name"] for row in rows)
    leaves = next(row for row in rows if row["emails"] and names[row["display_name"]] == 1)
    admin = folder.slapd.connection()
    admin.delete(leaves["source_dn"])
    admin.unbind()
    folder.run()
    told = events(folder, str(leaves["contact_id"]))
    assert [event.action for event in told][-1] == "delete"
    assert told[0].action == "insert"
    assert {name: pair[1] for name, pair in told[0].fields.items()}.items() >= {
        "display_name": leaves["display_name"],
        "emails": leaves["emails"],
    }.items()
    assert {name: pair[0] for name, pair in told[-1].fields.items()}["source_dn"] == leaves["source_dn"]
    for text in (leaves["display_name"].lower(), leaves["emails"][0].lower(), leaves["source_dn"].lower()):
        assert events(folder, text) == told


def test_an_ambiguous_contact_is_asked_back(folder: SyncedFolder) -> None:
    """The sentence lists up to ten with the numbers that tell them apart; nobody is a sentence as well."""
    with pytest.raises(UsageError, match="may mean several contacts") as caught:
        events(folder, "a")
    assert caught.value.message.count("(contact ") == 10
    with pytest.raises(UsageError, match='no contact like "nobody of this name"'):
        events(folder, "nobody of this name")
    with pytest.raises(UsageError, match="no name to look for"):
        events(folder, "  ")
