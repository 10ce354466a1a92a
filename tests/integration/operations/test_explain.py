"""Why somebody is in a folder, or is not: real runs, a real directory, and every answer there is."""

from __future__ import annotations

from typing import Any

import pytest

from contactsync.model import Outcome
from contactsync.operations.directory_lookup import look_up
from contactsync.operations.explain import Explanation, Verdict, explain
from contactsync.settings.schema import Guard
from tests.support.folder import SyncedFolder, people


def ask(folder: SyncedFolder, text: str) -> Explanation:
    """Ask why somebody is in the folder or not, and see that every answer is whole sentences."""
    definition, runner = folder.definition, folder.runner()
    with folder.connection() as connection:
        explanation = explain(
            connection, definition, text, lambda: look_up(definition, text, runner.passwords, runner.options)
        )
    for reason in explanation.reasons:
        folder.expect_sentences(reason.text)
        folder.expect_no_password(reason.text)
    return explanation


def expect(folder: SyncedFolder, text: str, verdict: Verdict, *words: str) -> None:
    """The answer has this verdict, and its first reason holds these words."""
    explanation = ask(folder, text)
    assert explanation.verdict is verdict, explanation.reasons
    for word in words:
        assert word in explanation.reasons[0].text


def contact(folder: SyncedFolder, number: int) -> dict[str, Any]:
    """Give one of the contacts that the definition brought."""
    query = "SELECT * FROM contactsync.contacts WHERE definition_id = %s ORDER BY source_dn"
    return folder.query(query, folder.definition_id)[number]


def empty(folder: SyncedFolder) -> None:
    """Delete all contacts of the folder behind the runs' back."""
    folder.query("DELETE FROM contactsync.contacts WHERE folder_id = %s", folder.folder_id)


def leaver(folder: SyncedFolder) -> dict[str, Any]:
    """Give the contact of the one who left the directory."""
    there = {dn for dn, _, _ in people(folder.slapd)}
    (row,) = [row for row in folder.rows()["contacts"] if row["source_dn"] and row["source_dn"] not in there]
    return row


def somebody_gone(folder: SyncedFolder) -> dict[str, Any]:
    """Make the run that deletes one contact, and give that contact as it was."""
    before = leaver(folder)
    assert folder.run().counts.deleted == 1
    return before


def test_somebody_who_is_there(folder: SyncedFolder) -> None:
    """Which run brought the contact, and which changed it last; by email, id, DN and uid."""
    first, run = folder.status()["last_run_id"], folder.run().run_id
    changes = "SELECT contact_id FROM contactsync.contact_changes WHERE run_id = %s AND action = 'update'"
    (row,) = folder.query(changes, run)
    found = folder.query("SELECT * FROM contactsync.contacts WHERE contact_id = %s", row["contact_id"])[0]
    uid = found["source_dn"].partition(",")[0].partition("=")[2]
    for text in (found["emails"][0], str(found["contact_id"]), found["source_dn"], uid):
        words = (
            f"(contact {found['contact_id']}) is in {folder.name}",
            f"added by run {first} (",
            f"last changed by run {run} (",
        )
        expect(folder, text, Verdict.IN_FOLDER, *words)


def test_a_persons_own_contact(folder: SyncedFolder) -> None:
    """It was not brought, and is never changed."""
    expect(folder, "mum", Verdict.OWN, "is a person's own")


def test_somebody_who_was_deleted(folder: SyncedFolder) -> None:
    """Which run did it; and the directory has nobody like that any more."""
    gone = somebody_gone(folder)
    explanation = ask(folder, str(gone["contact_id"]))
    assert [reason.verdict for reason in explanation.reasons] == [Verdict.DELETED, Verdict.NEVER_SEEN]
    assert f"was deleted by run {folder.status()['last_run_id']} (by hand" in explanation.reasons[0].text


def test_somebody_whom_a_held_run_would_delete(folder: SyncedFolder) -> None:
    """Still there, with the run that waits for a decision."""
    leaves = leaver(folder)
    held = folder.run(guard=Guard(delete_count=0))
    explanation = ask(folder, leaves["source_dn"])
    assert [reason.verdict for reason in explanation.reasons] == [Verdict.IN_FOLDER, Verdict.HELD]
    assert f"Run {held.run_id}, which is held, would delete" in explanation.reasons[1].text


def test_somebody_whom_a_held_run_would_add(folder: SyncedFolder) -> None:
    """In the directory, not in the folder, because the run is held as a whole."""
    known = {dn for dn, _, _ in folder.contacts()}
    (joins,) = {dn for dn, _, _ in people(folder.slapd)} - known
    expect(folder, joins, Verdict.DUE, f"The directory has {joins}", "the next run adds it")
    held = folder.run(guard=Guard(delete_count=0))
    expect(folder, joins, Verdict.HELD, f"Run {held.run_id}, which is held, would add")


def test_somebody_who_is_due_in_a_paused_folder(folder: SyncedFolder) -> None:
    """No run comes, and the sentence says so."""
    (joins,) = {dn for dn, _, _ in people(folder.slapd)} - {dn for dn, _, _ in folder.contacts()}
    folder.edit(enabled=False)
    expect(folder, joins, Verdict.DUE, f"{folder.name} is paused")


def test_somebody_whom_the_filter_leaves_out(folder: SyncedFolder) -> None:
    """In the directory, with the filter that has to let them in."""
    stays, left_out = contact(folder, 10)["source_dn"], contact(folder, 20)["source_dn"]
    folder.edit(filter=f"({stays.partition(',')[0]})")
    empty(folder)
    assert folder.run().outcome is Outcome.CHANGED
    expect(folder, left_out, Verdict.EXCLUDED, f"has {left_out}, but the filter", "excludes it")


def test_somebody_outside_the_base_or_the_scope(folder: SyncedFolder) -> None:
    """Which of the two keeps them away."""
    dn = contact(folder, 20)["source_dn"]
    parent = dn.partition(",")[2]
    empty(folder)
    folder.edit(base=folder.slapd.suffix, scope="base")
    expect(folder, dn, Verdict.EXCLUDED, f"deeper below {folder.slapd.suffix} than the scope base")
    folder.edit(base=f"cn=reader,{folder.slapd.suffix}", scope="sub")
    expect(folder, dn, Verdict.EXCLUDED, f"not below the base cn=reader,{folder.slapd.suffix}")
    folder.edit(base=parent, scope="one")
    expect(folder, dn, Verdict.DUE)


def test_somebody_of_whom_no_contact_can_be_made(folder: SyncedFolder) -> None:
    """With the reason, from the last run and from the directory as it is now."""
    dn = contact(folder, 20)["source_dn"]
    empty(folder)
    folder.edit(mapping={"identity": "carLicense", "fields": {"display_name": "cn"}})
    expect(folder, dn, Verdict.REJECTED, f"No contact can be made of {dn}", "carLicense")
    report = folder.run()
    assert report.counts.rejected
    expect(folder, dn, Verdict.REJECTED, f"Run {report.run_id} could not make a contact of {dn}")


def test_nobody(folder: SyncedFolder) -> None:
    """The directory was asked, and what was typed means nothing to its filters."""
    for text in ("nobody of this name", "*", "x)(uid=*", "\\2a", "uid=*,dc=example"):
        expect(folder, text, Verdict.NEVER_SEEN, "no entry like", folder.slapd.reader_dn)


def test_a_directory_that_cannot_be_asked(folder: SyncedFolder) -> None:
    """What is known without it is said, and why it could not be asked."""
    gone = somebody_gone(folder)
    folder.set_password("wrong")
    explanation = ask(folder, gone["source_dn"])
    assert [reason.verdict for reason in explanation.reasons] == [Verdict.DELETED, Verdict.UNKNOWN]
    assert "The directory could not be searched" in explanation.reasons[1].text


@pytest.mark.parametrize("text", ["0", "9" * 40, "²", "-1", "1.5"])
def test_numbers_that_are_no_ids(folder: SyncedFolder, text: str) -> None:
    """What is no id is a name like any other."""
    assert ask(folder, text).verdict in {Verdict.NEVER_SEEN, Verdict.DUE, Verdict.IN_FOLDER}
