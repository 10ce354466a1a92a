"""Undo: what it restores, what it refuses, and the history of a contact that shows it."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from contactsync.errors import AlreadyRunning, ContactsyncError, UndoRefused, UsageError
from contactsync.model import Actor, Outcome, RunReport
from contactsync.operations.history import Event, contact_history
from contactsync.operations.undo import Undone, undo
from contactsync.store.record.runs import lock_definition
from tests.support.folder import SyncedFolder, captured_log

_NOT_RESTORED = {"xmin", "fingerprint", "created_at", "updated_at"}
PHOTO = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffd9")


@pytest.fixture
def changed(folder: SyncedFolder) -> RunReport:
    """Make the run that inserts, updates and deletes one contact each."""
    report = folder.run()
    counts = report.counts
    assert (counts.inserted, counts.updated, counts.deleted) == (1, 1, 1)
    return report


def contacts(folder: SyncedFolder) -> dict[int, dict[str, Any]]:
    """Every contact of the folder with the fields that an undo restores."""
    return {
        row["contact_id"]: {name: value for name, value in row.items() if name not in _NOT_RESTORED}
        for row in folder.rows()["contacts"]
    }


def changed_contact(folder: SyncedFolder, run: RunReport, action: str) -> int:
    """The contact that a run inserted, updated or deleted."""
    rows = folder.query(
        "SELECT contact_id FROM contactsync.contact_changes WHERE run_id = %s AND action = %s", run.run_id, action
    )
    return int(rows[0]["contact_id"])


def first_run(folder: SyncedFolder) -> int:
    """The run that filled the folder."""
    return int(
        folder.query("SELECT min(run_id) AS run FROM contactsync.sync_runs WHERE folder_id = %s", folder.folder_id)[0][
            "run"
        ]
    )


def undo_run(folder: SyncedFolder, run_id: int | None) -> Undone:
    """Undo a run."""
    assert run_id is not None
    undone = undo(folder.pool, run_id, Actor("unix", "anna", "cli"))
    assert undone.run.undoes == run_id
    return undone


def refuses(folder: SyncedFolder, run_id: int, kind: type[ContactsyncError], *words: str) -> None:
    """The undo is refused with these words, and nothing has changed."""
    runs = "SELECT count(*) FROM contactsync.sync_runs WHERE folder_id = %s"
    before = folder.rows(), folder.definition, folder.query(runs, folder.folder_id)
    with pytest.raises(kind) as caught:
        undo_run(folder, run_id)
    for word in words:
        assert word in str(caught.value)
    assert (folder.rows(), folder.definition, folder.query(runs, folder.folder_id)) == before


def events(folder: SyncedFolder, text: str) -> list[Event]:
    """The history of a contact."""
    with folder.connection() as connection:
        return contact_history(connection, folder.definition, text).events


def test_insert_update_and_delete_are_undone(folder: SyncedFolder) -> None:
    """Every contact is as it was before the run, with its old id; only the photo of the deleted one is lost."""
    before = contacts(folder)
    run = folder.run()
    undone = undo_run(folder, run.run_id)
    deleted = before[changed_contact(folder, run, "delete")]
    photos_lost = int(deleted["photo_digest"] is not None)
    deleted["photo_digest"] = None
    assert contacts(folder) == before
    counts = undone.run
    assert (counts.inserted, counts.updated, counts.deleted) == (1, 1, 1)
    assert (undone.photos_lost, undone.paused) == (photos_lost, True)


def test_an_undo_pauses_the_definition_and_a_run_does_it_again(folder: SyncedFolder, changed: RunReport) -> None:
    """After it is resumed, a run makes the same changes again, also to the contacts that the undo restored."""
    undo_run(folder, changed.run_id)
    assert not folder.definition.enabled
    folder.expect_in_sync()


def test_an_undo_is_recorded_as_a_run(folder: SyncedFolder, changed: RunReport) -> None:
    """Each of its changes is recorded, and the log has one line."""
    with captured_log() as lines:
        undone = undo_run(folder, changed.run_id)
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


def test_an_undo_can_be_undone(folder: SyncedFolder, changed: RunReport) -> None:
    """The contacts are as the run left them, except for the photo of one that was deleted and restored."""
    after = contacts(folder)
    after[changed_contact(folder, changed, "insert")]["photo_digest"] = None
    undone = undo_run(folder, changed.run_id)
    undo_run(folder, undone.run.run_id)
    assert contacts(folder) == after


def test_an_undo_of_an_undo_of_an_undo_undoes_the_run(folder: SyncedFolder, changed: RunReport) -> None:
    """The run counts as undone by the first undo again, and the run before it can be undone."""
    first, runs = first_run(folder), [changed.run_id]
    for _ in range(3):
        runs.append(undo_run(folder, runs[-1]).run.run_id or 0)
    refuses(folder, changed.run_id, UsageError, f"undone already, by run {runs[1]}")
    refuses(folder, runs[2], UsageError, f"undone already, by run {runs[3]}")
    undo_run(folder, first)
    assert [row["display_name"] for row in contacts(folder).values()] == ["Mum"]


def test_two_runs_are_undone_one_after_the_other(folder: SyncedFolder, changed: RunReport) -> None:
    """The later run first; the earlier one is refused before that."""
    first = first_run(folder)
    refuses(folder, first, UndoRefused, f"run {changed.run_id} changed it", f"contactsync undo {changed.run_id}")
    undo_run(folder, changed.run_id)
    undo_run(folder, first)
    assert [row["display_name"] for row in contacts(folder).values()] == ["Mum"]


def test_a_later_change_of_the_same_field_is_not_overwritten(folder: SyncedFolder, changed: RunReport) -> None:
    """The refusal names the contact and the later run."""
    updated = changed_contact(folder, changed, "update")
    folder.query("UPDATE contactsync.contacts SET notes = 'mine' WHERE contact_id = %s", updated)
    later = folder.run()
    assert later.counts.updated == 1
    refuses(folder, changed.run_id, UndoRefused, f"(contact {updated}: run {later.run_id} changed it)")


def test_a_later_change_of_another_field_stays(folder: SyncedFolder, changed: RunReport) -> None:
    """Only the fields that the run wrote are restored."""
    updated = changed_contact(folder, changed, "update")
    folder.query("UPDATE contactsync.contacts SET nickname = 'Bo' WHERE contact_id = %s", updated)
    written = contacts(folder)[updated]["notes"]
    undo_run(folder, changed.run_id)
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
def test_a_later_change_by_a_user_is_not_overwritten(
    folder: SyncedFolder, changed: RunReport, action: str, edit: str, words: str
) -> None:
    """One changed contact is enough to refuse the undo of the whole run."""
    contact = changed_contact(folder, changed, action)
    folder.query(edit, contact)
    refuses(folder, changed.run_id, UndoRefused, "1 of its contacts", f"(contact {contact}: ", words)


def test_a_refusal_lists_ten_contacts_and_counts_the_rest(folder: SyncedFolder) -> None:
    """Sixty changed contacts do not fill the screen."""
    number = len(folder.contacts())
    folder.query("UPDATE contactsync.contacts SET notes = 'mine' WHERE folder_id = %s", folder.folder_id)
    with pytest.raises(UndoRefused, match=f"{number} of its contacts") as caught:
        undo_run(folder, first_run(folder))
    assert caught.value.message.count("\n- ") == 11
    assert caught.value.message.endswith(f"\n- and {number - 10} more")


def test_a_lost_photo_is_counted(folder: SyncedFolder) -> None:
    """The other fields of the contact are restored; a photo that the run added is removed."""
    assert folder.run().outcome is Outcome.CHANGED
    rows = folder.rows()["contacts"]
    leaves = next(row for row in rows if row["photo_digest"])
    gets = next(row for row in rows if row["source_dn"] and not row["photo_digest"])
    photos = {row["contact_id"] for row in folder.rows()["photos"]}
    admin = folder.slapd.connection()
    admin.delete(leaves["source_dn"])
    admin.modify(gets["source_dn"], {"jpegPhoto": [("MODIFY_REPLACE", [PHOTO])]})
    admin.unbind()
    run = folder.run()
    assert (run.counts.updated, run.counts.deleted) == (1, 1)
    undone = undo_run(folder, run.run_id)
    assert undone.photos_lost == 1
    assert {row["contact_id"] for row in folder.rows()["photos"]} == photos - {leaves["contact_id"]}
    now = contacts(folder)
    assert now[leaves["contact_id"]]["emails"] == leaves["emails"]
    assert now[leaves["contact_id"]]["photo_digest"] is now[gets["contact_id"]]["photo_digest"] is None


def test_a_run_that_changed_nothing_is_not_undone(folder: SyncedFolder, changed: RunReport) -> None:
    """Neither is a run that does not exist."""
    unchanged = folder.run()
    assert unchanged.run_id > changed.run_id
    refuses(folder, unchanged.run_id, UsageError, "changed nothing (unchanged)")
    refuses(folder, 10**9, UsageError, "There is no run 1000000000")


def test_an_undo_does_not_wait_for_a_run(folder: SyncedFolder, changed: RunReport) -> None:
    """The undo needs the definition's lock like a run."""
    with folder.connection() as connection:
        lock_definition(connection, folder.definition)
        refuses(folder, changed.run_id, AlreadyRunning, "by another process")


def test_the_history_has_every_change_in_its_order(folder: SyncedFolder, changed: RunReport) -> None:
    """An insert with its values, an update, an edit by a user, its correction by a run, and the undo."""
    updated = changed_contact(folder, changed, "update")
    before, after = events(folder, str(updated))[-1].fields["notes"]
    folder.query("UPDATE contactsync.contacts SET notes = 'mine' WHERE contact_id = %s", updated)
    corrected = folder.run()
    undone = undo_run(folder, corrected.run_id)
    changes = events(folder, str(updated))
    assert [(event.action, event.run_id, event.fields.get("notes", (None, None))) for event in changes] == [
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


def test_the_history_of_a_deleted_contact_is_found_by_name_and_email(folder: SyncedFolder, changed: RunReport) -> None:
    """It has the values of the insert and of the delete."""
    assert changed.counts.deleted
    rows = folder.rows()["contacts"]
    names = Counter(row["display_name"] for row in rows)
    leaves = next(row for row in rows if row["emails"] and names[row["display_name"]] == 1)
    admin = folder.slapd.connection()
    admin.delete(leaves["source_dn"])
    admin.unbind()
    folder.run()
    changes = events(folder, str(leaves["contact_id"]))
    assert [event.action for event in changes][-1] == "delete"
    assert changes[0].action == "insert"
    assert {name: pair[1] for name, pair in changes[0].fields.items()}.items() >= {
        "display_name": leaves["display_name"],
        "emails": leaves["emails"],
    }.items()
    assert {name: pair[0] for name, pair in changes[-1].fields.items()}["source_dn"] == leaves["source_dn"]
    for text in (leaves["display_name"].lower(), leaves["emails"][0].lower(), leaves["source_dn"].lower()):
        assert events(folder, text) == changes


def test_an_ambiguous_contact_is_refused(folder: SyncedFolder) -> None:
    """The error lists up to ten contacts with their ids; no contact and no name are errors too."""
    with pytest.raises(UsageError, match="may mean several contacts") as caught:
        events(folder, "a")
    assert caught.value.message.count("(contact ") == 10
    with pytest.raises(UsageError, match='no contact like "no such person"'):
        events(folder, "no such person")
    with pytest.raises(UsageError, match="no name to look for"):
        events(folder, "  ")
