"""The plan and its effect on `contacts`, without a directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from contactsync.errors import DatabaseConflict, RunCancelled
from contactsync.model import (
    Counts,
    MappedBatch,
    MappedEntry,
    Outcome,
    Plan,
    Policy,
    RejectedEntry,
    Trigger,
)
from contactsync.store.definitions import add_definition, add_folder, edit_definition, read_definitions
from contactsync.store.fingerprints import read_stored_contacts
from contactsync.store.plan.columns import Columns, columns_of
from contactsync.store.plan.plan import apply_plan, applying, make_plan
from contactsync.store.plan.staging import Staging
from contactsync.store.record.runs import begin_run, finish_run, note_applied

FIELDS = ("display_name", "emails", "notes", "photo", "extra.badge")
POLICIES = dict.fromkeys(FIELDS, Policy.DIRECTORY)
Connection = psycopg.Connection[Any]


def person(
    key: str,
    name: str | None = None,
    *,
    emails: Sequence[str] = (),
    notes: str | None = None,
    photo: bytes | None = None,
    badge: str | None = None,
    dn: str | None = None,
) -> MappedEntry:
    """Make an entry whose fingerprint depends on all its values."""
    dn = dn or f"cn={name or key},dc=example"
    values = (name or key, list(emails), notes, photo, badge)
    return MappedEntry(key, dn, blake2b(repr((key, dn, values)).encode(), digest_size=16).digest(), values)


def batch(entries: Sequence[MappedEntry], rejected: Sequence[RejectedEntry] = ()) -> MappedBatch:
    """Give entries by column, as the mapping does."""
    columns = [[entry.values[place] for entry in entries] for place in range(len(FIELDS))]
    return MappedBatch(
        keys=[entry.key for entry in entries],
        dns=[entry.dn for entry in entries],
        fingerprints=[entry.fingerprint for entry in entries],
        columns=tuple(column if any(column) else None for column in columns),
        rejected=tuple(rejected),
    )


class Folder:
    """A folder with one definition, and its runs."""

    def __init__(self, connection: Connection, name: str = "Staff") -> None:
        self.connection = connection
        folder_id = add_folder(connection, name, None)
        definition_id = add_definition(connection, folder_id, {"query": "ldap.example"})
        (self.definition,) = read_definitions(connection, [definition_id])
        self.policies: dict[str, Policy] = dict(POLICIES)

    def run(
        self,
        entries: Sequence[MappedEntry],
        rejected: Sequence[RejectedEntry] = (),
        *,
        everything: bool = False,
        during: Any = None,
    ) -> Plan:
        """Run with these entries; `during` is called between reading and planning.

        With `everything` the mapping has changed, so that all entries are staged.
        """
        columns = self.stage(entries, rejected, everything=everything)
        if during:
            during()
        report = begin_run(self.connection, self.definition.definition_id, Trigger.MANUAL).report
        with applying(self.connection, self.definition):
            plan = make_plan(self.connection, self.definition, columns, everything=everything)
            apply_plan(self.connection, self.definition, columns, plan, run_id=report.run_id)
        return plan

    def stage(
        self, entries: Sequence[MappedEntry], rejected: Sequence[RejectedEntry] = (), *, everything: bool = False
    ) -> Columns:
        """Stage the entries that match no stored contact, and the contacts that match no entry."""
        columns = columns_of(FIELDS, self.policies)
        stored = read_stored_contacts(self.connection, self.definition)
        staging = Staging(self.connection, columns)
        unmatched = stored.match([entry.fingerprint for entry in entries])
        staging.add(batch(entries if everything else [entries[index] for index in unmatched], rejected))
        staging.close(stored.unmatched())
        return columns

    def contacts(self) -> dict[str, dict[str, Any]]:
        """Give all contacts of the folder by display name."""
        rows = self.query("SELECT * FROM contactsync.contacts WHERE folder_id = %s", self.definition.folder_id)
        return {row["display_name"]: row for row in rows}

    def query(self, statement: Any, *values: Any) -> list[dict[str, Any]]:
        """Execute a statement of a person, and give its rows."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def changes(self) -> list[tuple[str, dict[str, Any] | None]]:
        """Give the history, oldest first."""
        rows = self.query("SELECT action, changes FROM contactsync.contact_changes ORDER BY run_id, contact_id")
        return [(row["action"], row["changes"]) for row in rows]


@pytest.fixture
def folder(connection: Connection) -> Folder:
    """Give an empty folder."""
    return Folder(connection)


def counts(plan: Plan) -> tuple[int, int, int, int]:
    """Inserts, updates, refreshes and deletes."""
    return plan.inserts, plan.updates, plan.refreshes, plan.deletes


def test_new_entries_become_contacts(folder: Folder) -> None:
    """With all their fields: text, lists, photo and extra. Another run finds nothing to do."""
    emails, photo = ['a"b\\c@x', "{,}", "NULL"], b"\xff\xd8\x00"
    anna = person("1", "Anna ☕ \\ \t\n", emails=emails, notes="x\r\ny", photo=photo, badge='7"')
    people = [anna, person("2", "Bo", badge="x")]
    assert counts(folder.run(people)) == (2, 0, 0, 0)
    contact = folder.contacts()["Anna ☕ \\ \t\n"]
    assert contact["emails"] == emails
    assert contact["notes"] == "x\r\ny"
    assert contact["extra"] == {"badge": '7"'}
    assert folder.contacts()["Bo"]["extra"] == {"badge": "x"}
    assert folder.query("SELECT contact_id, photo FROM contactsync.contact_photos") == [
        {"contact_id": contact["contact_id"], "photo": photo}
    ]
    assert counts(folder.run(people)) == (0, 0, 0, 0)


def test_an_edit_updates_only_its_contact_and_is_recorded(folder: Folder) -> None:
    """The history has the field before and after; the other contacts keep their time."""
    folder.run([person("1", "Anna", notes="old"), person("2", "Bo")])
    before = folder.contacts()
    assert counts(folder.run([person("1", "Anna", notes="new"), person("2", "Bo")])) == (0, 1, 0, 0)
    after = folder.contacts()
    assert after["Anna"]["notes"] == "new"
    assert after["Anna"]["updated_at"] > before["Anna"]["updated_at"]
    assert after["Bo"] == before["Bo"]
    assert folder.changes()[-1] == ("update", {"notes": ["old", "new"]})


def test_a_rename_and_a_move_keep_the_id(folder: Folder) -> None:
    """The key identifies the contact, not its name or DN."""
    folder.run([person("1", "Anna", dn="cn=Anna,ou=a")])
    contact_id = folder.contacts()["Anna"]["contact_id"]
    assert counts(folder.run([person("1", "Anna B", dn="cn=Anna B,ou=b")])) == (0, 1, 0, 0)
    assert folder.contacts()["Anna B"]["contact_id"] == contact_id
    assert folder.changes()[-1][1] == {
        "display_name": ["Anna", "Anna B"],
        "source_dn": ["cn=Anna,ou=a", "cn=Anna B,ou=b"],
    }


def test_a_returning_contact_gets_its_old_id(folder: Folder) -> None:
    """The id is kept by key, over several runs."""
    folder.run([person("1", "Anna"), person("2", "Bo")])
    contact_id = folder.contacts()["Anna"]["contact_id"]
    assert counts(folder.run([person("2", "Bo")])) == (0, 0, 0, 1)
    assert "Anna" not in folder.contacts()
    folder.run([person("2", "Bo"), person("3", "Cy")])
    assert counts(folder.run([person("1", "Anna"), person("2", "Bo"), person("3", "Cy")])) == (1, 0, 0, 0)
    assert folder.contacts()["Anna"]["contact_id"] == contact_id


def test_a_deletion_records_all_values(folder: Folder) -> None:
    """The history of a deletion has every field with a value."""
    folder.run([person("1", "Anna", emails=["a@x"], badge="7")])
    folder.run([])
    assert folder.changes()[-1] == (
        "delete",
        {
            "display_name": ["Anna", None],
            "emails": [["a@x"], None],
            "extra": [{"badge": "7"}, None],
            "source_dn": ["cn=Anna,dc=example", None],
        },
    )


def test_other_octets_with_equal_values_are_no_update(folder: Folder) -> None:
    """The plan refreshes the fingerprint only: updated_at stays, and the history is empty."""
    anna = person("1", "Anna")
    folder.run([anna])
    before = folder.contacts()["Anna"]
    reordered = MappedEntry(anna.key, anna.dn, b"another octets!!", anna.values)
    assert counts(folder.run([reordered])) == (0, 0, 1, 0)
    after = folder.contacts()["Anna"]
    assert after["updated_at"] == before["updated_at"]
    assert after["fingerprint"] == b"another octets!!"
    assert len(folder.changes()) == 1


def test_a_changed_mapping_writes_changed_contacts_only(folder: Folder) -> None:
    """All entries are staged with their old fingerprints; contacts without a change are not written."""
    anna, bo = person("1", "Anna"), person("2", "Bo")
    folder.run([anna, bo])
    before = folder.query("SELECT xmin::text, * FROM contactsync.contacts WHERE display_name = 'Anna'")
    renamed = replace(bo, values=("Bob", *bo.values[1:]))
    assert counts(folder.run([anna, renamed], everything=True)) == (0, 1, 0, 0)
    assert folder.query("SELECT xmin::text, * FROM contactsync.contacts WHERE display_name = 'Anna'") == before
    assert set(folder.contacts()) == {"Anna", "Bob"}


def test_a_changed_mapping_deletes_and_rejects_as_well(folder: Folder) -> None:
    """Contacts without an entry are deleted, duplicates rejected."""
    anna, bo, cy = person("1", "Anna"), person("2", "Bo"), person("3", "Cy")
    folder.run([anna, bo, cy])
    plan = folder.run([anna, person("1", "Impostor"), bo], everything=True)
    assert counts(plan) == (0, 0, 0, 1)
    assert plan.rejected == 2
    assert set(folder.contacts()) == {"Anna", "Bo"}


def test_two_entries_with_one_key_are_rejected(folder: Folder) -> None:
    """None can be identified as the right one. Both are listed, and the contact stays unchanged."""
    folder.run([person("1", "Anna"), person("2", "Bo")])
    before = folder.contacts()
    twins = [person("1", "Anna X", dn="cn=x"), person("1", "Anna Y", dn="cn=y"), person("2", "Bo")]
    plan = folder.run(twins)
    assert counts(plan) == (0, 0, 0, 0)
    assert plan.rejected == 2
    assert {dn for dn, _ in plan.rejected_sample} == {"cn=x", "cn=y"}
    assert folder.contacts() == before


def test_a_second_entry_with_the_key_of_an_unchanged_one_is_rejected(folder: Folder) -> None:
    """It is not an edit of the contact."""
    anna = person("1", "Anna")
    folder.run([anna])
    plan = folder.run([anna, person("1", "Impostor")])
    assert counts(plan) == (0, 0, 0, 0)
    assert plan.rejected == 1
    assert set(folder.contacts()) == {"Anna"}


def test_an_entry_that_comes_twice_is_one_entry(folder: Folder) -> None:
    """A directory that changes under a paged search sends it on two pages. The later one counts."""
    anna, edited = person("1", "Anna"), person("1", "Anna", notes="new", dn="CN=Anna,dc=example")
    plan = folder.run([anna, anna])
    assert (counts(plan), plan.rejected) == ((1, 0, 0, 0), 0)
    plan = folder.run([anna, anna])
    assert (counts(plan), plan.rejected) == ((0, 0, 0, 0), 0)
    plan = folder.run([anna, edited])
    assert (counts(plan), plan.rejected) == ((0, 1, 0, 0), 0)
    assert folder.contacts()["Anna"]["notes"] == "new"


@pytest.mark.parametrize("key", ["1", None])
def test_the_contact_of_a_rejected_entry_stays(folder: Folder, key: str | None) -> None:
    """It is found by the key, or by the DN if the entry has no valid key."""
    anna = person("1", "Anna")
    folder.run([anna, person("2", "Bo")])
    plan = folder.run([person("2", "Bo")], [RejectedEntry(anna.dn, key, "bad")])
    assert counts(plan) == (0, 0, 0, 0)
    assert set(folder.contacts()) == {"Anna", "Bo"}


def test_peoples_own_contacts_are_never_written(folder: Folder) -> None:
    """Neither an entry of the same name nor an empty directory changes a row without a definition."""
    folder.query(
        "INSERT INTO contactsync.contacts (folder_id, display_name, notes) VALUES (%s, 'Mum', 'call')",
        folder.definition.folder_id,
    )
    mum = folder.contacts()["Mum"]
    folder.run([person("1", "Mum"), person("2", "Bo")])
    folder.run([])
    assert folder.contacts() == {"Mum": mum}


def test_two_definitions_fill_one_folder_with_the_same_people(folder: Folder, connection: Connection) -> None:
    """Each has its own contacts; a deletion by one definition does not affect the other."""
    second_id = add_definition(connection, folder.definition.folder_id, {"query": "other.example", "name": "second"})
    (second,) = read_definitions(connection, [second_id])
    folder.run([person("1", "Anna")])
    first, folder.definition = folder.definition, second
    assert counts(folder.run([person("1", "Anna")])) == (1, 0, 0, 0)
    folder.run([])
    rows = folder.query("SELECT definition_id FROM contactsync.contacts")
    assert [row["definition_id"] for row in rows] == [first.definition_id]


def test_an_edit_by_a_person_is_overwritten(folder: Folder) -> None:
    """The run detects the edit although the entry has not changed."""
    anna = person("1", "Anna", notes="from the directory")
    folder.run([anna])
    folder.query("UPDATE contactsync.contacts SET notes = 'mine'")
    assert counts(folder.run([anna])) == (0, 1, 0, 0)
    assert folder.contacts()["Anna"]["notes"] == "from the directory"
    assert counts(folder.run([anna])) == (0, 0, 0, 0)


def test_an_edit_during_the_read_does_not_delete_the_contact(folder: Folder) -> None:
    """A matched contact that is edited before the plan stays, and the next run overwrites the edit."""
    anna = person("1", "Anna", notes="directory")
    folder.run([anna])
    edit = "UPDATE contactsync.contacts SET notes = 'mine'"
    assert counts(folder.run([anna], during=lambda: folder.query(edit))) == (0, 0, 0, 0)
    assert folder.contacts()["Anna"]["notes"] == "mine"
    assert counts(folder.run([anna])) == (0, 1, 0, 0)


def test_fill_writes_blank_fields_only(folder: Folder) -> None:
    """A person's value stays."""
    folder.policies |= {"notes": Policy.FILL, "emails": Policy.FILL, "extra.badge": Policy.FILL}
    folder.run([person("1", "Anna", notes=None, badge="1")])
    folder.query("UPDATE contactsync.contacts SET emails = '{mine@x}'")
    folder.run([person("1", "Anna", notes="n", emails=["theirs@x"], badge="2")])
    anna = folder.contacts()["Anna"]
    assert (anna["notes"], anna["emails"], anna["extra"]) == ("n", ["mine@x"], {"badge": "1"})


def test_insert_writes_new_contacts_only(folder: Folder) -> None:
    """The first value stays."""
    folder.policies |= {"notes": Policy.INSERT, "extra.badge": Policy.INSERT}
    folder.run([person("1", "Anna", notes="first", badge="1")])
    assert counts(folder.run([person("1", "Anna", notes="second", badge="2")])) == (0, 0, 1, 0)
    anna = folder.contacts()["Anna"]
    assert (anna["notes"], anna["extra"]) == ("first", {"badge": "1"})


def test_a_persons_extra_keys_stay(folder: Folder) -> None:
    """Unmapped keys of `extra` belong to people; a mapped key without a value is removed. The history has all keys."""
    folder.run([person("1", "Anna", badge="7")])
    folder.query("""UPDATE contactsync.contacts SET extra = extra || '{"own": "x", "empty": null}'""")
    folder.run([person("1", "Anna")])
    own = {"own": "x", "empty": None}
    assert folder.contacts()["Anna"]["extra"] == own
    assert folder.changes()[-1] == ("update", {"extra": [{"badge": "7", **own}, own]})


def test_a_photo_is_replaced_and_removed(folder: Folder) -> None:
    """With the digest in contacts."""
    folder.run([person("1", "Anna", photo=b"one")])
    folder.run([person("1", "Anna", photo=b"two")])
    assert [row["photo"] for row in folder.query("SELECT photo FROM contactsync.contact_photos")] == [b"two"]
    folder.run([person("1", "Anna", photo=None)])
    assert folder.query("SELECT photo FROM contactsync.contact_photos") == []


def test_an_edited_definition_stops_the_run(folder: Folder, connection: Connection) -> None:
    """Entries of the old definition are not applied."""
    edit = partial(edit_definition, connection, folder.definition, {"filter": "(cn=x)"})
    with pytest.raises(RunCancelled):
        folder.run([person("1", "Anna")], during=edit)
    assert folder.contacts() == {}


def test_an_edit_between_plan_and_apply_fails_the_run(folder: Folder, database: str) -> None:
    """The edit is not overwritten."""
    folder.run([person("1", "Anna", notes="old")])
    columns = folder.stage([person("1", "Anna", notes="new")])

    def apply_after_an_edit() -> None:
        with applying(folder.connection, folder.definition):
            plan = make_plan(folder.connection, folder.definition, columns)
            with psycopg.connect(database, autocommit=True) as other:
                other.execute("UPDATE contactsync.contacts SET notes = 'mine'")
            apply_plan(folder.connection, folder.definition, columns, plan, run_id=1)

    with pytest.raises(DatabaseConflict):
        apply_after_an_edit()
    assert folder.contacts()["Anna"]["notes"] == "mine"


def test_readers_see_the_old_folder_or_the_new_one(folder: Folder, database: str) -> None:
    """Another session sees no part of the changes before the commit."""
    folder.run([person("1", "Anna"), person("2", "Bo")])
    columns = folder.stage([person("1", "Anna B"), person("3", "Cy")])
    names = "SELECT array_agg(display_name ORDER BY display_name) FROM contactsync.contacts"
    with psycopg.connect(database, autocommit=True) as reader:
        with applying(folder.connection, folder.definition):
            plan = make_plan(folder.connection, folder.definition, columns)
            apply_plan(folder.connection, folder.definition, columns, plan, run_id=2)
            assert reader.execute(names).fetchone() == (["Anna", "Bo"],)
        assert reader.execute(names).fetchone() == (["Anna B", "Cy"],)


def test_a_removed_folder_leaves_no_rows(folder: Folder, connection: Connection) -> None:
    """In any table."""
    folder.run([person("1", "Anna", photo=b"1"), person("2", "Bo")])
    folder.run([person("1", "Anna", photo=b"1")])
    connection.execute("DELETE FROM contactsync.folders")
    for table in ("contacts", "contact_photos", "departed_contacts", "sync_runs", "contact_changes", "sync_status"):
        (row,) = folder.query(f"SELECT count(*) AS n FROM contactsync.{table}")  # noqa: S608  (a constant above)
        assert row["n"] == 0, table


def test_a_run_is_not_an_edit(folder: Folder, connection: Connection) -> None:
    """The definition keeps its revision."""
    folder.run([person("1", "Anna")])
    assert read_definitions(connection) == [folder.definition]


def test_an_applied_run_is_not_interrupted(folder: Folder) -> None:
    """The record is right if the process ends between the commit and the end of the record."""
    columns = folder.stage([person("1", "Anna")])
    report = begin_run(folder.connection, folder.definition.definition_id, Trigger.MANUAL).report
    with applying(folder.connection, folder.definition):
        plan = make_plan(folder.connection, folder.definition, columns)
        apply_plan(folder.connection, folder.definition, columns, plan, run_id=report.run_id)
        report.counts.inserted = plan.inserts
        note_applied(folder.connection, report, Outcome.CHANGED, source_digest=b"s", mapping_digest=b"m")
    begin_run(folder.connection, folder.definition.definition_id, Trigger.MANUAL)
    (row, _) = folder.query("SELECT outcome, inserted, error FROM contactsync.sync_runs ORDER BY run_id")
    assert row == {"outcome": "changed", "inserted": 1, "error": None}
    (status,) = folder.query("SELECT source_digest, mapping_digest FROM contactsync.sync_status")
    assert status == {"source_digest": b"s", "mapping_digest": b"m"}


def test_a_report_follows_the_record_of_its_run(folder: Folder) -> None:
    """If the connection breaks after the commit, the run has succeeded."""
    report = begin_run(folder.connection, folder.definition.definition_id, Trigger.MANUAL).report
    report.counts.inserted = 3
    note_applied(folder.connection, report, Outcome.CHANGED, source_digest=b"s", mapping_digest=b"m")
    report = replace(report, outcome=Outcome.FAILED, error="The connection broke.", counts=Counts())
    finish_run(folder.connection, report)
    assert (report.outcome.value, report.error, report.counts.inserted) == ("changed", None, 3)
    (row,) = folder.query("SELECT outcome, inserted, error FROM contactsync.sync_runs")
    assert row == {"outcome": "changed", "inserted": 3, "error": None}
