"""The plan and what it does to `contacts`: real PostgreSQL, entries given directly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from contactsync.errors import DatabaseConflict, RunCancelled
from contactsync.model import (
    Counts,
    Definition,
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
from contactsync.store.plan.apply import apply_plan
from contactsync.store.plan.columns import columns_of
from contactsync.store.plan.plan import applying, make_plan
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
    """Make an entry whose fingerprint follows from everything in it, as the octets' would."""
    dn = dn or f"cn={name or key},dc=example"
    values = (name or key, list(emails), notes, photo, badge)
    return MappedEntry(key, dn, blake2b(repr((key, dn, values)).encode(), digest_size=16).digest(), values)


def batch(entries: Sequence[MappedEntry], rejected: Sequence[RejectedEntry] = ()) -> MappedBatch:
    """Give entries column by column, as the mapping does."""
    columns = [[entry.values[place] for entry in entries] for place in range(len(FIELDS))]
    return MappedBatch(
        keys=[entry.key for entry in entries],
        dns=[entry.dn for entry in entries],
        fingerprints=[entry.fingerprint for entry in entries],
        columns=tuple(column if any(column) else None for column in columns),
        rejected=tuple(rejected),
    )


class Folder:
    """A folder with one definition, and runs of it without a directory."""

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
        """Do what a run does with these entries, `during` being called between reading and planning.

        With `everything` the mapping is another one, so that the known entries are staged too.
        """
        columns = columns_of(FIELDS, self.policies)
        stored = read_stored_contacts(self.connection, self.definition)
        staging = Staging(self.connection, columns)
        unknown = stored.match([entry.fingerprint for entry in entries])
        staging.add(batch(entries if everything else [entries[place] for place in unknown], rejected))
        staging.close(stored.unmatched())
        if during:
            during()
        report, _ = begin_run(self.connection, self.definition, Trigger.MANUAL)
        with applying(self.connection, self.definition):
            plan = make_plan(self.connection, self.definition, columns, everything=everything)
            apply_plan(self.connection, self.definition, columns, plan, run_id=report.run_id)
        return plan

    def contacts(self) -> dict[str, dict[str, Any]]:
        """Give all contacts of the folder by display name."""
        rows = self.query("SELECT * FROM contactsync.contacts WHERE folder_id = %s", self.definition.folder_id)
        return {row["display_name"]: row for row in rows}

    def query(self, statement: Any, *values: Any) -> list[dict[str, Any]]:
        """Run a statement of a person's and give its rows."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def changes(self) -> list[tuple[str, dict[str, Any] | None]]:
        """Give the history, oldest first."""
        rows = self.query("SELECT action, changes FROM contactsync.contact_changes ORDER BY run_id, contact_id")
        return [(row["action"], row["changes"]) for row in rows]


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    """Connect to the test's database."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def folder(connection: Connection) -> Folder:
    """Give an empty folder."""
    return Folder(connection)


def counts(plan: Plan) -> tuple[int, int, int, int]:
    """Inserts, updates, refreshes and deletes."""
    return plan.inserts, plan.updates, plan.refreshes, plan.deletes


def test_new_entries_become_contacts(folder: Folder) -> None:
    """Every field arrives as it was mapped: text, lists, photo and extra."""
    emails, photo = ['a"b\\c@x', "{,}", "NULL"], b"\xff\xd8\x00"
    anna = person("1", "Anna ☕ \\ \t\n", emails=emails, notes="x\r\ny", photo=photo, badge='7"')
    assert counts(folder.run([anna, person("2", "Bo")])) == (2, 0, 0, 0)
    contact = folder.contacts()["Anna ☕ \\ \t\n"]
    assert contact["emails"] == emails
    assert contact["notes"] == "x\r\ny"
    assert contact["extra"] == {"badge": '7"'}
    assert folder.contacts()["Bo"]["extra"] == {}
    assert folder.query("SELECT contact_id, photo FROM contactsync.contact_photos") == [
        {"contact_id": contact["contact_id"], "photo": photo}
    ]


def test_the_second_run_finds_nothing_to_do(folder: Folder) -> None:
    """Run twice: the second plan is empty."""
    people = [person("1", "Anna", photo=b"1"), person("2", "Bo", badge="x")]
    folder.run(people)
    assert counts(folder.run(people)) == (0, 0, 0, 0)


def test_an_edit_updates_only_its_contact_and_is_recorded(folder: Folder) -> None:
    """The history has the field before and after, and the others keep their time."""
    folder.run([person("1", "Anna", notes="old"), person("2", "Bo")])
    before = folder.contacts()
    assert counts(folder.run([person("1", "Anna", notes="new"), person("2", "Bo")])) == (0, 1, 0, 0)
    after = folder.contacts()
    assert after["Anna"]["notes"] == "new"
    assert after["Anna"]["updated_at"] > before["Anna"]["updated_at"]
    assert after["Bo"] == before["Bo"]
    assert folder.changes()[-1] == ("update", {"notes": ["old", "new"]})


def test_a_rename_and_a_move_keep_the_id(folder: Folder) -> None:
    """The key finds the row again, whatever became of the name and the DN."""
    folder.run([person("1", "Anna", dn="cn=Anna,ou=a")])
    contact_id = folder.contacts()["Anna"]["contact_id"]
    assert counts(folder.run([person("1", "Anna B", dn="cn=Anna B,ou=b")])) == (0, 1, 0, 0)
    assert folder.contacts()["Anna B"]["contact_id"] == contact_id
    assert folder.changes()[-1][1] == {
        "display_name": ["Anna", "Anna B"],
        "source_dn": ["cn=Anna,ou=a", "cn=Anna B,ou=b"],
    }


def test_who_returns_gets_the_old_id_back(folder: Folder) -> None:
    """A deleted contact's id is kept for its key, also over several runs."""
    folder.run([person("1", "Anna"), person("2", "Bo")])
    contact_id = folder.contacts()["Anna"]["contact_id"]
    assert counts(folder.run([person("2", "Bo")])) == (0, 0, 0, 1)
    assert "Anna" not in folder.contacts()
    folder.run([person("2", "Bo"), person("3", "Cy")])
    assert counts(folder.run([person("1", "Anna"), person("2", "Bo"), person("3", "Cy")])) == (1, 0, 0, 0)
    assert folder.contacts()["Anna"]["contact_id"] == contact_id


def test_a_deletion_records_what_was_there(folder: Folder) -> None:
    """The history of a deletion holds every field that had a value."""
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
    """Only the fingerprint is refreshed: updated_at stays, and there is no history."""
    anna = person("1", "Anna")
    folder.run([anna])
    before = folder.contacts()["Anna"]
    reordered = MappedEntry(anna.key, anna.dn, b"another octets!!", anna.values)
    assert counts(folder.run([reordered])) == (0, 0, 1, 0)
    after = folder.contacts()["Anna"]
    assert after["updated_at"] == before["updated_at"]
    assert after["fingerprint"] == b"another octets!!"
    assert len(folder.changes()) == 1


def test_another_mapping_writes_only_what_it_changes(folder: Folder) -> None:
    """All entries come again with their old fingerprints: what differs is updated, and no other row is written."""
    anna, bo = person("1", "Anna"), person("2", "Bo")
    folder.run([anna, bo])
    before = folder.query("SELECT xmin::text, * FROM contactsync.contacts WHERE display_name = 'Anna'")
    renamed = replace(bo, values=("Bob", *bo.values[1:]))
    assert counts(folder.run([anna, renamed], everything=True)) == (0, 1, 0, 0)
    assert folder.query("SELECT xmin::text, * FROM contactsync.contacts WHERE display_name = 'Anna'") == before
    assert set(folder.contacts()) == {"Anna", "Bob"}


def test_another_mapping_deletes_who_is_gone_and_rejects_who_comes_twice(folder: Folder) -> None:
    """What holds for a run under the old mapping holds under a new one."""
    anna, bo, cy = person("1", "Anna"), person("2", "Bo"), person("3", "Cy")
    folder.run([anna, bo, cy])
    plan = folder.run([anna, person("1", "Impostor"), bo], everything=True)
    assert counts(plan) == (0, 0, 0, 1)
    assert plan.rejected == 2
    assert set(folder.contacts()) == {"Anna", "Bo"}


def test_two_entries_with_one_key_are_rejected_by_name_and_delete_nobody(folder: Folder) -> None:
    """Neither of the two can be told to be right; the contact stays as it was."""
    folder.run([person("1", "Anna"), person("2", "Bo")])
    before = folder.contacts()
    twins = [person("1", "Anna X", dn="cn=x"), person("1", "Anna Y", dn="cn=y"), person("2", "Bo")]
    plan = folder.run(twins)
    assert counts(plan) == (0, 0, 0, 0)
    assert plan.rejected == 2
    assert {dn for dn, _ in plan.rejected_sample} == {"cn=x", "cn=y"}
    assert folder.contacts() == before


@pytest.mark.parametrize("name", ["Impostor", "Anna"])
def test_a_second_entry_with_the_key_of_a_recognised_one_is_rejected(folder: Folder, name: str) -> None:
    """The twin of an unchanged entry is not taken for its edit, and the same entry twice is worth a word."""
    anna = person("1", "Anna")
    folder.run([anna])
    plan = folder.run([anna, person("1", name)])
    assert counts(plan) == (0, 0, 0, 0)
    assert plan.rejected == 1
    assert set(folder.contacts()) == {"Anna"}


@pytest.mark.parametrize("key", ["1", None])
def test_what_a_rejected_entry_stands_for_stays(folder: Folder, key: str | None) -> None:
    """An entry that became unreadable, with its key or only its DN, deletes nobody."""
    anna = person("1", "Anna")
    folder.run([anna, person("2", "Bo")])
    plan = folder.run([person("2", "Bo")], [RejectedEntry(anna.dn, key, "bad")])
    assert counts(plan) == (0, 0, 0, 0)
    assert set(folder.contacts()) == {"Anna", "Bo"}


def test_a_persons_own_contacts_are_never_touched(folder: Folder) -> None:
    """Neither an update nor an emptied directory reaches a row without a definition."""
    folder.query(
        "INSERT INTO contactsync.contacts (folder_id, display_name, notes) VALUES (%s, 'Mum', 'call')",
        folder.definition.folder_id,
    )
    mum = folder.contacts()["Mum"]
    folder.run([person("1", "Mum"), person("2", "Bo")])
    folder.run([])
    assert folder.contacts() == {"Mum": mum}


def test_two_definitions_fill_one_folder_with_the_same_people(folder: Folder, connection: Connection) -> None:
    """Each has contacts of its own, and what one deletes stays with the other."""
    second_id = add_definition(connection, folder.definition.folder_id, {"query": "other.example", "name": "second"})
    (second,) = read_definitions(connection, [second_id])
    folder.run([person("1", "Anna")])
    first, folder.definition = folder.definition, second
    assert counts(folder.run([person("1", "Anna")])) == (1, 0, 0, 0)
    folder.run([])
    rows = folder.query("SELECT definition_id FROM contactsync.contacts")
    assert [row["definition_id"] for row in rows] == [first.definition_id]


def test_a_persons_edit_is_undone_where_the_directory_wins(folder: Folder) -> None:
    """The edit is noticed although the entry's octets are the same."""
    anna = person("1", "Anna", notes="from the directory")
    folder.run([anna])
    folder.query("UPDATE contactsync.contacts SET notes = 'mine'")
    assert counts(folder.run([anna])) == (0, 1, 0, 0)
    assert folder.contacts()["Anna"]["notes"] == "from the directory"
    assert counts(folder.run([anna])) == (0, 0, 0, 0)


def test_a_persons_edit_while_the_run_reads_deletes_nobody(folder: Folder) -> None:
    """A contact that was recognised and edited before the plan was made stays, and the next run looks at it."""
    anna = person("1", "Anna", notes="directory")
    folder.run([anna])
    edit = "UPDATE contactsync.contacts SET notes = 'mine'"
    assert counts(folder.run([anna], during=lambda: folder.query(edit))) == (0, 0, 0, 0)
    assert folder.contacts()["Anna"]["notes"] == "mine"
    assert counts(folder.run([anna])) == (0, 1, 0, 0)


def test_fill_writes_only_what_is_blank(folder: Folder) -> None:
    """Under the policy `fill` a person's value stays, and a blank is filled."""
    folder.policies |= {"notes": Policy.FILL, "emails": Policy.FILL, "extra.badge": Policy.FILL}
    folder.run([person("1", "Anna", notes=None, badge="1")])
    folder.query("UPDATE contactsync.contacts SET emails = '{mine@x}'")
    folder.run([person("1", "Anna", notes="n", emails=["theirs@x"], badge="2")])
    anna = folder.contacts()["Anna"]
    assert (anna["notes"], anna["emails"], anna["extra"]) == ("n", ["mine@x"], {"badge": "1"})


def test_insert_writes_only_once(folder: Folder) -> None:
    """Under the policy `insert` the first value stays, whatever the directory says later."""
    folder.policies |= {"notes": Policy.INSERT, "extra.badge": Policy.INSERT}
    folder.run([person("1", "Anna", notes="first", badge="1")])
    assert counts(folder.run([person("1", "Anna", notes="second", badge="2")])) == (0, 0, 1, 0)
    anna = folder.contacts()["Anna"]
    assert (anna["notes"], anna["extra"]) == ("first", {"badge": "1"})


def test_a_persons_extra_keys_stay(folder: Folder) -> None:
    """Keys of `extra` that are not mapped belong to people; a mapped one that is gone goes. History has them all."""
    folder.run([person("1", "Anna", badge="7")])
    folder.query("""UPDATE contactsync.contacts SET extra = extra || '{"own": "x", "empty": null}'""")
    folder.run([person("1", "Anna")])
    own = {"own": "x", "empty": None}
    assert folder.contacts()["Anna"]["extra"] == own
    assert folder.changes()[-1] == ("update", {"extra": [{"badge": "7", **own}, own]})


def test_a_photo_is_replaced_and_removed(folder: Folder) -> None:
    """The photo's table follows the digest in contacts."""
    folder.run([person("1", "Anna", photo=b"one")])
    folder.run([person("1", "Anna", photo=b"two")])
    assert [row["photo"] for row in folder.query("SELECT photo FROM contactsync.contact_photos")] == [b"two"]
    folder.run([person("1", "Anna", photo=None)])
    assert folder.query("SELECT photo FROM contactsync.contact_photos") == []


def test_an_edited_definition_stops_the_run(folder: Folder, connection: Connection) -> None:
    """What was read under the old definition is not applied under the new one."""
    edit = lambda: edit_definition(connection, folder.definition, {"filter": "(cn=x)"})  # noqa: E731
    with pytest.raises(RunCancelled):
        folder.run([person("1", "Anna")], during=edit)
    assert folder.contacts() == {}


def test_a_concurrent_edit_of_a_planned_contact_fails_the_run_whole(folder: Folder, database: str) -> None:
    """Somebody who writes a contact between plan and apply is not overwritten unseen."""
    folder.run([person("1", "Anna", notes="old")])
    columns = columns_of(FIELDS, POLICIES)
    staging = Staging(folder.connection, columns)
    staging.add(batch([person("1", "Anna", notes="new")]))
    staging.close(read_stored_contacts(folder.connection, folder.definition).unmatched())

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
    """Between the first and the last statement of the apply another session sees nothing of it."""
    folder.run([person("1", "Anna"), person("2", "Bo")])
    columns = columns_of(FIELDS, POLICIES)
    staging = Staging(folder.connection, columns)
    staging.add(batch([person("1", "Anna B"), person("3", "Cy")]))
    staging.close(read_stored_contacts(folder.connection, folder.definition).unmatched())
    names = "SELECT array_agg(display_name ORDER BY display_name) FROM contactsync.contacts"
    with psycopg.connect(database, autocommit=True) as reader:
        with applying(folder.connection, folder.definition):
            plan = make_plan(folder.connection, folder.definition, columns)
            apply_plan(folder.connection, folder.definition, columns, plan, run_id=2)
            assert reader.execute(names).fetchone() == (["Anna", "Bo"],)
        assert reader.execute(names).fetchone() == (["Anna B", "Cy"],)


def test_a_removed_folder_takes_everything_with_it(folder: Folder, connection: Connection) -> None:
    """Contacts, photos, history and kept ids go with the folder."""
    folder.run([person("1", "Anna", photo=b"1"), person("2", "Bo")])
    folder.run([person("1", "Anna", photo=b"1")])
    connection.execute("DELETE FROM contactsync.folders")
    for table in ("contacts", "contact_photos", "departed_contacts", "sync_runs", "contact_changes", "sync_status"):
        (row,) = folder.query(f"SELECT count(*) AS n FROM contactsync.{table}")  # noqa: S608  (a constant above)
        assert row["n"] == 0, table


def definition_of(folder: Folder) -> Definition:
    """Read the folder's definition again."""
    (definition,) = read_definitions(folder.connection, [folder.definition.definition_id])
    return definition


def test_runs_write_nothing_that_looks_like_an_edit(folder: Folder) -> None:
    """The definition's revision is the people's alone."""
    folder.run([person("1", "Anna")])
    assert definition_of(folder).revision == folder.definition.revision


def test_an_applied_run_is_no_interrupted_one(folder: Folder) -> None:
    """A process that dies between the commit and the end of the record has done its work, and the row says so."""
    columns = columns_of(FIELDS, POLICIES)
    staging = Staging(folder.connection, columns)
    staging.add(batch([person("1", "Anna")]))
    staging.close()
    report, _ = begin_run(folder.connection, folder.definition, Trigger.MANUAL)
    with applying(folder.connection, folder.definition):
        plan = make_plan(folder.connection, folder.definition, columns)
        apply_plan(folder.connection, folder.definition, columns, plan, run_id=report.run_id)
        report.counts.inserted = plan.inserts
        note_applied(folder.connection, report, Outcome.CHANGED, source_digest=b"s", mapping_digest=b"m")
    begin_run(folder.connection, folder.definition, Trigger.MANUAL)
    (row, _) = folder.query("SELECT outcome, inserted, error FROM contactsync.sync_runs ORDER BY run_id")
    assert row == {"outcome": "changed", "inserted": 1, "error": None}
    (known,) = folder.query("SELECT source_digest, mapping_digest FROM contactsync.sync_status")
    assert known == {"source_digest": b"s", "mapping_digest": b"m"}


def test_a_run_that_lost_its_connection_after_the_commit_learns_that_it_succeeded(folder: Folder) -> None:
    """The row's outcome stands, and the report follows it."""
    report, _ = begin_run(folder.connection, folder.definition, Trigger.MANUAL)
    report.counts.inserted = 3
    note_applied(folder.connection, report, Outcome.CHANGED, source_digest=b"s", mapping_digest=b"m")
    believed = replace(report, outcome=Outcome.FAILED, error="The connection broke.", counts=Counts())
    finish_run(folder.connection, believed)
    assert (believed.outcome.value, believed.error, believed.counts.inserted) == ("changed", None, 3)
    (row,) = folder.query("SELECT outcome, inserted, error FROM contactsync.sync_runs")
    assert row == {"outcome": "changed", "inserted": 3, "error": None}
