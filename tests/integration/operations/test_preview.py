"""Previews: the plan of a run, without any trace."""

from __future__ import annotations

from typing import Any

import pytest

from contactsync.errors import AlreadyRunning, ContactsyncError, DirectoryError
from contactsync.model import Outcome, Preview
from contactsync.operations.preview import PreviewDocument
from contactsync.settings.schema import Guard
from contactsync.store.record.runs import lock_definition
from tests.support.folder import SyncedFolder, people


def preview(folder: SyncedFolder, *, limit: int | None = None, guard: Guard | None = None) -> Preview:
    """Make a preview, which must not write to any table of a run."""
    before = folder.rows(), records(folder)
    made = folder.runner(guard=guard or Guard()).preview(folder.definition, limit=limit)
    assert (folder.rows(), records(folder)) == before
    return made


def records(folder: SyncedFolder) -> list[dict[str, Any]]:
    """Every row about the folder's runs."""
    tables = ("sync_runs", "sync_status", "held_plans", "held_changes", "rejected_entries")
    queries = [f"SELECT xmin::text, * FROM contactsync.{table} WHERE folder_id = %s" for table in tables]  # noqa: S608
    return [row for query in queries for row in folder.query(query, folder.folder_id)]


def test_a_preview_shows_what_the_run_then_does(folder: SyncedFolder) -> None:
    """The same contacts with the same fields before and after; an insert has its values."""
    previewed = preview(folder)
    assert previewed.report.outcome is Outcome.CHANGED
    run = folder.run()
    did = folder.query(
        "SELECT action, display_name, changes FROM contactsync.contact_changes WHERE run_id = %s ORDER BY action",
        run.run_id,
    )
    assert [(change.action, change.display_name) for change in previewed.changes] == [
        (row["action"], row["display_name"]) for row in did
    ]
    deleted, inserted, updated = previewed.changes
    assert {name: list(pair) for name, pair in deleted.fields.items()} == did[0]["changes"]
    assert {name: list(pair) for name, pair in updated.fields.items()} == did[2]["changes"]
    joined = "SELECT * FROM contactsync.contacts WHERE folder_id = %s AND source_dn = %s"
    (contact,) = folder.query(joined, folder.folder_id, inserted.fields["source_dn"][1])
    assert {name: contact[name] for name in inserted.fields if name != "photo_digest"} == {
        name: after for name, (_, after) in inserted.fields.items() if name != "photo_digest"
    }
    assert (previewed.report.counts.inserted, previewed.report.counts.updated, previewed.report.counts.deleted) == (
        1,
        1,
        1,
    )


def test_a_preview_of_a_folder_in_sync_is_empty(folder: SyncedFolder) -> None:
    """Neither the first preview has changes, nor the second, which needs no plan."""
    folder.run()
    for _ in range(2):
        previewed = preview(folder)
        assert (previewed.report.outcome, previewed.changes) == (Outcome.UNCHANGED, ())
        assert previewed.report.counts.entries == len(people(folder.slapd))


def test_a_preview_says_why_it_would_be_held(folder: SyncedFolder) -> None:
    """The same guard decides, and the preview has the deletions."""
    previewed = preview(folder, guard=Guard(delete_count=0))
    assert previewed.report.outcome is Outcome.HELD
    folder.expect_sentences(previewed.report.held_reason, "contacts would be deleted; the limit is 0")
    assert previewed.changes[0].action == "delete"


def test_a_preview_has_no_more_changes_than_its_limit(folder: SyncedFolder) -> None:
    """Deletions come first, and the document counts the changes that are left out."""
    previewed = preview(folder, limit=1)
    document = PreviewDocument.of_preview(previewed)
    assert [change.action for change in document.changes] == ["delete"]
    assert document.changes_left_out == 2
    assert (document.inserted, document.updated, document.deleted) == (1, 1, 1)


def test_a_preview_raises_what_a_run_would_fail_with(folder: SyncedFolder) -> None:
    """A wrong password and a cancelled runner are errors, not an empty preview."""
    folder.set_password("wrong")
    with pytest.raises(DirectoryError, match="refused"):
        preview(folder)
    runner = folder.runner()
    runner.cancel_all()
    with pytest.raises(ContactsyncError, match="cancelled"):
        runner.preview(folder.definition)


def test_a_preview_does_not_wait_for_a_run(folder: SyncedFolder) -> None:
    """While the definition is running, a preview is refused."""
    with folder.connection() as connection:
        lock_definition(connection, folder.definition)
        with pytest.raises(AlreadyRunning):
            preview(folder)
