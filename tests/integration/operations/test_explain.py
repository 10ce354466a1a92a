"""Every explanation why a person is in a folder or not, with real runs and a real directory."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import Any

import pytest

from contactsync.model import Outcome
from contactsync.operations.directory_lookup import look_up
from contactsync.operations.explain import Explanation, Verdict, explain
from contactsync.settings.schema import Guard
from tests.support.folder import SyncedFolder, people
from tests.support.proxy import Proxy


def explanation_of(folder: SyncedFolder, text: str) -> Explanation:
    """The explanation, whose reasons must be whole sentences without a password."""
    definition, runner = folder.definition, folder.runner()
    with folder.connection() as connection:
        password = partial(runner.passwords.read, definition)
        explanation = explain(connection, definition, text, lambda: look_up(definition, text, password, runner.options))
    for reason in explanation.reasons:
        folder.expect_sentences(reason.text)
        folder.expect_no_password(reason.text)
    return explanation


def expect(folder: SyncedFolder, text: str, verdict: Verdict, *words: str) -> None:
    """The explanation has this verdict, and its first reason has these words."""
    explanation = explanation_of(folder, text)
    assert explanation.verdict is verdict, explanation.reasons
    for word in words:
        assert word in explanation.reasons[0].text


def contact(folder: SyncedFolder, number: int) -> dict[str, Any]:
    """One of the contacts of the definition."""
    query = "SELECT * FROM contactsync.contacts WHERE definition_id = %s ORDER BY source_dn"
    return folder.query(query, folder.definition_id)[number]


def empty(folder: SyncedFolder) -> None:
    """Delete all contacts of the folder, outside a run."""
    folder.query("DELETE FROM contactsync.contacts WHERE folder_id = %s", folder.folder_id)


def leaver(folder: SyncedFolder) -> dict[str, Any]:
    """The contact whose entry was deleted from the directory."""
    there = {dn for dn, _, _ in people(folder.slapd)}
    (row,) = [row for row in folder.rows()["contacts"] if row["source_dn"] and row["source_dn"] not in there]
    return row


def deleted_contact(folder: SyncedFolder) -> dict[str, Any]:
    """Make the run that deletes one contact; returns the contact as it was."""
    before = leaver(folder)
    assert folder.run().counts.deleted == 1
    return before


def test_a_person_in_the_folder(folder: SyncedFolder) -> None:
    """The runs that added and last changed the contact; found by email, id, DN and uid."""
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
    """A definition did not add it, and never changes it."""
    expect(folder, "mum", Verdict.OWN, "is a person's own")


def test_a_deleted_contact(folder: SyncedFolder) -> None:
    """The run that deleted it; the directory has no such entry any more."""
    gone = deleted_contact(folder)
    explanation = explanation_of(folder, str(gone["contact_id"]))
    assert [reason.verdict for reason in explanation.reasons] == [Verdict.DELETED, Verdict.NEVER_SEEN]
    assert f"was deleted by run {folder.status()['last_run_id']} (by hand" in explanation.reasons[0].text


def test_a_person_that_a_held_run_would_delete(folder: SyncedFolder) -> None:
    """In the folder, with the run that waits for a decision."""
    leaves = leaver(folder)
    held = folder.run(guard=Guard(delete_count=0))
    explanation = explanation_of(folder, leaves["source_dn"])
    assert [reason.verdict for reason in explanation.reasons] == [Verdict.IN_FOLDER, Verdict.HELD]
    assert f"Run {held.run_id}, which is held, would delete" in explanation.reasons[1].text


def test_a_person_that_a_held_run_would_add(folder: SyncedFolder) -> None:
    """In the directory, and due before the run is held."""
    known = {dn for dn, _, _ in folder.contacts()}
    (joins,) = {dn for dn, _, _ in people(folder.slapd)} - known
    expect(folder, joins, Verdict.DUE, f"The directory has {joins}", "the next run adds it")
    held = folder.run(guard=Guard(delete_count=0))
    expect(folder, joins, Verdict.HELD, f"Run {held.run_id}, which is held, would add")


def test_a_person_who_is_due_in_a_paused_folder(folder: SyncedFolder) -> None:
    """The reason says that no run adds them."""
    (joins,) = {dn for dn, _, _ in people(folder.slapd)} - {dn for dn, _, _ in folder.contacts()}
    folder.edit(enabled=False)
    expect(folder, joins, Verdict.DUE, f"{folder.name} is paused")


def test_a_person_excluded_by_the_filter(folder: SyncedFolder) -> None:
    """The reason has the filter."""
    stays, left_out = contact(folder, 10)["source_dn"], contact(folder, 20)["source_dn"]
    folder.edit(filter=f"({stays.partition(',')[0]})")
    empty(folder)
    assert folder.run().outcome is Outcome.CHANGED
    expect(folder, left_out, Verdict.EXCLUDED, f"has {left_out}, but the filter", "excludes it")


def test_a_dn_at_a_server_that_does_not_know_entry_dn(folder: SyncedFolder) -> None:
    """Gateways have no entryDN to search for; the entry is read by its DN."""
    known = {dn for dn, _, _ in folder.contacts()}
    (joins,) = {dn for dn, _, _ in people(folder.slapd)} - known
    with closing(Proxy(folder.slapd.port)) as gateway:
        gateway.tamper = lambda octets: octets.replace(b"entryDN", b"entryNo")
        folder.edit(query=f"ldap://127.0.0.1:{gateway.port}/{folder.slapd.suffix}", tls="none")
        expect(folder, joins, Verdict.DUE, f"The directory has {joins}")
        folder.edit(filter="(title=Nothing)")
        expect(folder, joins, Verdict.EXCLUDED, "(title=Nothing)", "excludes it")


def test_a_person_outside_the_base_or_the_scope(folder: SyncedFolder) -> None:
    """The reason says which of the two."""
    dn = contact(folder, 20)["source_dn"]
    parent = dn.partition(",")[2]
    empty(folder)
    folder.edit(base=folder.slapd.suffix, scope="base")
    expect(folder, dn, Verdict.EXCLUDED, f"deeper below {folder.slapd.suffix} than the scope base")
    folder.edit(base=f"cn=reader,{folder.slapd.suffix}", scope="sub")
    expect(folder, dn, Verdict.EXCLUDED, f"not below the base cn=reader,{folder.slapd.suffix}")
    folder.edit(base=parent, scope="one")
    expect(folder, dn, Verdict.DUE)


def test_a_person_whose_entry_is_rejected(folder: SyncedFolder) -> None:
    """The reason comes from the last run, and from the entry as it is now."""
    dn, accepted = contact(folder, 20)["source_dn"], contact(folder, 10)["source_dn"]
    admin = folder.slapd.connection()
    admin.modify(accepted, {"carLicense": [("MODIFY_REPLACE", ["HH A 1"])]})
    admin.unbind()
    empty(folder)
    folder.edit(mapping={"identity": "carLicense", "fields": {"display_name": "cn"}})
    expect(folder, dn, Verdict.REJECTED, f"No contact can be made of {dn}", "carLicense")
    report = folder.run()
    assert report.counts.rejected
    expect(folder, dn, Verdict.REJECTED, f"Run {report.run_id} could not make a contact of {dn}")


def test_an_unknown_person(folder: SyncedFolder) -> None:
    """The directory was searched, and the text is escaped in the filter."""
    for text in ("no such person", "*", "x)(uid=*", "\\2a", "uid=*,dc=example"):
        expect(folder, text, Verdict.NEVER_SEEN, "no entry like", folder.slapd.reader_dn)


def test_a_directory_that_is_not_available(folder: SyncedFolder) -> None:
    """The reasons from the database come first, then the error."""
    gone = deleted_contact(folder)
    folder.set_password("wrong")
    explanation = explanation_of(folder, gone["source_dn"])
    assert [reason.verdict for reason in explanation.reasons] == [Verdict.DELETED, Verdict.UNKNOWN]
    assert "The directory could not be searched" in explanation.reasons[1].text


@pytest.mark.parametrize("text", ["0", "9" * 40, "²", "-1", "1.5"])
def test_numbers_that_are_no_ids(folder: SyncedFolder, text: str) -> None:
    """A text that is no id is a name."""
    assert explanation_of(folder, text).verdict in {Verdict.NEVER_SEEN, Verdict.DUE, Verdict.IN_FOLDER}
