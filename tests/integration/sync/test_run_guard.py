"""Whole runs that the guard or the lock stops: emptied and edited sources, concurrent runs."""

from __future__ import annotations

import json

import pytest

from contactsync.errors import AlreadyRunning, ContactsyncError, UsageError
from contactsync.model import Counts, Outcome, Trigger
from contactsync.settings.schema import Guard
from contactsync.store.definitions import remove_definition
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import SyncedFolder, change, dismiss, people


def test_an_emptied_directory_is_held(team_folder: SyncedFolder) -> None:
    """However small it was; the definition's allow_empty allows it."""
    dismiss(team_folder.slapd, 8)
    before = team_folder.rows()
    report = team_folder.run()
    team_folder.expect_held(report, "no entries at all", "8 of 8 contacts would be deleted", "allow_empty")
    assert (report.counts.entries, report.counts.deleted) == (0, 8)
    assert team_folder.rows() == before
    team_folder.edit(allow_empty=True)
    team_folder.expect_in_sync()


@pytest.mark.parametrize(
    ("limits", "more", "words"),
    [
        (Guard(delete_count=2), {"max_delete_count": 3}, "the limit is 2. If that is right"),
        (Guard(delete_share=0.25, always_allow=2), {"max_delete_share": 0.5}, "the limit is 25% of them."),
    ],
    ids=["count", "share"],
)
def test_too_many_deletions_are_held_until_the_limit_is_raised(
    team_folder: SyncedFolder, limits: Guard, more: dict[str, float], words: str
) -> None:
    """No part of the plan is applied, neither its inserts nor its updates."""
    dismiss(team_folder.slapd, 2)
    change(team_folder.slapd)
    before = team_folder.rows()
    report = team_folder.run(guard=limits)
    team_folder.expect_held(
        report, "3 of 8 contacts would be deleted", words, f"change the definition's {next(iter(more))}"
    )
    assert team_folder.rows() == before
    team_folder.edit(**more)
    assert team_folder.run(guard=limits).outcome is Outcome.CHANGED
    assert team_folder.contacts() == people(team_folder.slapd)


def test_an_edited_query_that_deletes_is_held_until_the_edit_is_undone(folder: SyncedFolder) -> None:
    """A mistyped filter does not delete contacts."""
    before = folder.rows()
    folder.edit(filter="(uid=u00001*)")
    report = folder.run()
    folder.expect_held(report, "The query was edited", "contacts would be deleted", "Undo the edit")
    assert folder.rows() == before
    folder.edit(filter=None)
    folder.expect_in_sync()


def test_a_held_run_is_one_line_in_the_log(team_folder: SyncedFolder) -> None:
    """With the reason and the numbers of the plan."""
    dismiss(team_folder.slapd, 8)
    team_folder.log.clear()
    report = team_folder.run()
    (line,) = [json.loads(line) for line in team_folder.log if '"level": "debug"' not in line]
    assert (line["event"], line["level"], line["outcome"]) == ("run.finished", "error", "held")
    assert (line["held_reason"], line["deleted"], line["folder"]) == (report.held_reason, 8, team_folder.name)


def test_two_definitions_fill_one_folder_with_the_same_people(folder: SyncedFolder, directory: PrivateSlapd) -> None:
    """Each keeps its own contacts; removing one definition leaves the others' contacts and users' own."""
    folder.expect_in_sync()
    first = folder.definition
    folder.define(directory.port, name="again")
    folder.expect_in_sync()
    assert folder.definition_id != first.definition_id
    rows = folder.rows()["contacts"]
    kept = [row for row in rows if row["definition_id"] != first.definition_id]
    assert len(kept) == len(people(directory)) + 1 < len(rows)
    with folder.connection() as connection:
        remove_definition(connection, first, keep_contacts=False)
    assert folder.rows()["contacts"] == kept
    change(directory)
    folder.expect_in_sync()


def test_a_concurrent_run_of_the_same_definition_is_refused(folder: SyncedFolder) -> None:
    """Also by another process; the first goes on, and the second leaves no row."""
    refused: list[ContactsyncError] = []

    def run_again(stage: str, _counts: Counts) -> None:
        if stage in {"search", "apply"}:
            with pytest.raises(AlreadyRunning) as caught:
                folder.runner().run(folder.definition_id, Trigger.MANUAL)
            refused.append(caught.value)

    report = folder.run(run_again)
    assert report.outcome is Outcome.CHANGED
    folder.expect_sentences(
        str(refused[0]), f"{folder.name} is being synchronized by another process", "Wait until that run has ended"
    )
    rows = folder.query("SELECT outcome FROM contactsync.sync_runs WHERE folder_id = %s", folder.folder_id)
    assert [row["outcome"] for row in rows] == ["changed"] * 2
    assert folder.run().outcome is Outcome.UNCHANGED


def test_a_run_of_a_deleted_definition_fails(folder: SyncedFolder) -> None:
    """There is no row to write and no folder to change."""
    with pytest.raises(UsageError, match="Definition 4711 does not exist"):
        folder.runner().run(4711, Trigger.MANUAL)


def test_an_edit_of_a_definition_cancels_its_run(folder: SyncedFolder) -> None:
    """Entries that were read for the old definition are not applied to the new one."""
    before = folder.rows()

    def edit(stage: str, _counts: Counts) -> None:
        if stage == "search":
            folder.edit(schedule="every 1h" if folder.definition.schedule == "manual" else "manual")

    report = folder.run(edit)
    assert (report.outcome, report.error_code) == (Outcome.CANCELLED, "run.cancelled")
    folder.expect_sentences(report.error, f"{folder.name} was edited or removed", "Nothing was changed")
    folder.expect_row(report)
    assert folder.rows() == before
    folder.expect_in_sync()
