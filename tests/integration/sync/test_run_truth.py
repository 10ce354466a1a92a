"""A run calls nothing a success that it cannot know, and puts right what others changed in its contacts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import ldap3
import pytest
from psycopg.types.json import Jsonb

from contactsync.checks.check import check
from contactsync.checks.result import Status, StepResult
from contactsync.model import Mode, Outcome
from contactsync.testing.people import Person, make_people, people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import BRISK, SyncedFolder

MakeFolder = Callable[..., SyncedFolder]
BADGE = Jsonb({"identity": "employeeNumber"})
PHOTO = b"\xff\xd8\xff\xe0 a picture of %d"


@pytest.fixture
def slapd(make_slapd: Callable[..., PrivateSlapd]) -> PrivateSlapd:
    """Run an empty directory that reports changes."""
    return make_slapd(ldif=people_ldif(0), session_log=100)


@pytest.fixture
def admin(slapd: PrivateSlapd) -> Iterator[ldap3.Connection]:
    """Change the directory."""
    connection = slapd.connection()
    yield connection
    connection.unbind()


def check_filter_of(folder: SyncedFolder) -> StepResult:
    """The step of `check` about the filter."""
    steps = check(folder.definition, lambda: folder.slapd.reader_password, BRISK)
    return next(step for step in steps if step.name == "filter")


def add(admin: ldap3.Connection, number: int, **attributes: object) -> Person:
    """Add a person with these attributes and without a badge."""
    (person,) = make_people(1, start=number)
    values = {key: value for key, value in person.attributes.items() if key not in {"employeeNumber", "jpegPhoto"}}
    assert admin.add(person.dn, attributes=values | attributes), admin.result
    return person


@pytest.mark.parametrize("mode", ["full", "incremental"])
def test_a_run_whose_entries_are_all_rejected_fails(
    make_folder: MakeFolder, slapd: PrivateSlapd, admin: ldap3.Connection, mode: str
) -> None:
    """With the reason and the way out, at the first load and later; the rejected entries are recorded."""
    for number in range(3):
        add(admin, number)
    folder = make_folder(slapd, mapping=BADGE, mode=mode)
    for _ in range(2):
        report = folder.run()
        folder.expect_failure(report, "directory.unusable", "none of which can be a contact", "identity", "uid")
        rejected = "SELECT dn FROM contactsync.rejected_entries WHERE folder_id = %s AND run_id = %s"
        assert len(folder.query(rejected, folder.folder_id, report.run_id)) in {0, 3}
    assert folder.query("SELECT state FROM contactsync.definition_overview WHERE folder_id = %s", folder.folder_id) == [
        {"state": "failing"}
    ]


def test_a_base_of_aliases_fails_with_where_they_point(
    make_folder: MakeFolder, slapd: PrivateSlapd, admin: ldap3.Connection
) -> None:
    """A run that finds only aliases, and a base that is one, are no success without entries."""
    book = f"ou=phonebook,{slapd.suffix}"
    admin.add(book, "organizationalUnit")
    alias = f"ou=link,{book}"
    admin.add(alias, ["alias", "extensibleObject"], {"aliasedObjectName": slapd.people_base})
    for base in (book, alias):
        folder = make_folder(slapd, base=base)
        folder.expect_failure(folder.run(), "directory.unusable", "1 alias", "never followed", slapd.people_base)


def test_aliases_beside_people_are_named(make_folder: MakeFolder, slapd: PrivateSlapd, admin: ldap3.Connection) -> None:
    """Once, when the folder is filled; `check` names them too. Without an alias nothing is said."""
    book = f"ou=mixed,{slapd.suffix}"
    admin.add(book, "organizationalUnit")
    admin.add(f"uid=own,{book}", "inetOrgPerson", {"cn": "Own", "sn": "Own"})
    plain = make_folder(slapd, base=book)
    assert plain.run().counts.inserted == 1
    assert not plain.events("aliases.ignored")
    admin.add(f"ou=link,{book}", ["alias", "extensibleObject"], {"aliasedObjectName": slapd.people_base})
    folder = make_folder(slapd, base=book)
    assert folder.run().counts.inserted == 1
    assert folder.run().outcome is Outcome.UNCHANGED
    (event,) = folder.events("aliases.ignored")
    assert (event["level"], event["aliases"]) == ("warning", "1 alias")
    assert slapd.people_base in event["target"]
    step = check_filter_of(folder)
    assert step.status is Status.WARNING
    assert "(1 alias)" in step.text
    assert slapd.people_base in step.hint


def test_a_switch_for_freeipa_alone_is_named(
    make_folder: MakeFolder, slapd: PrivateSlapd, admin: ldap3.Connection
) -> None:
    """On a server that keeps no people who have left."""
    add(admin, 1)
    folder = make_folder(slapd, mapping=Jsonb({"include": {"preserved": True}}))
    step = check_filter_of(folder)
    assert step.status is Status.WARNING
    assert "has no effect here" in step.text


def test_one_rejected_entry_is_no_reason_to_empty_a_folder(
    make_folder: MakeFolder, slapd: PrivateSlapd, admin: ldap3.Connection
) -> None:
    """What counts is the contacts that stay, not the entries that came."""
    people = [add(admin, number, employeeNumber=str(100 + number)) for number in range(5)]
    folder = make_folder(slapd, mapping=BADGE)
    assert folder.run().counts.inserted == 5
    for person in people:
        admin.delete(person.dn)
    add(admin, 9)
    folder.expect_held(folder.run(), "1 entries, none of which can be a contact", "5 of 5 contacts would be deleted")
    assert len(folder.contacts()) == 5


@pytest.mark.parametrize(
    "harm",
    [
        "DELETE FROM contactsync.contact_photos WHERE folder_id = %s",
        r"UPDATE contactsync.contact_photos SET photo = '\xffd8ff00' WHERE folder_id = %s",
        r"UPDATE contactsync.contact_photos SET photo = '\xffd8ff00', digest = '\x00' WHERE folder_id = %s",
    ],
    ids=["deleted", "changed", "changed with its digest"],
)
@pytest.mark.parametrize("mode", ["full", "incremental"])
def test_a_photo_that_somebody_changed_comes_back(
    make_folder: MakeFolder, slapd: PrivateSlapd, admin: ldap3.Connection, mode: str, harm: str
) -> None:
    """With the next run, like every field that the directory owns."""
    for number in range(2):
        add(admin, number, jpegPhoto=PHOTO % number)
    folder = make_folder(slapd, mode=mode)
    folder.run()
    photos = "SELECT digest, photo FROM contactsync.contact_photos WHERE folder_id = %s ORDER BY contact_id"
    before = folder.query(photos, folder.folder_id)
    assert len(before) == 2
    folder.query(harm, folder.folder_id)
    assert folder.run().counts.updated == 2
    assert folder.query(photos, folder.folder_id) == before
    assert folder.run().outcome is Outcome.UNCHANGED


@pytest.mark.parametrize(
    "harm",
    [
        (
            "UPDATE contactsync.contacts SET definition_id = NULL, source_key = NULL, source_dn = NULL,"
            " fingerprint = NULL WHERE contact_id = %s"
        ),
        "UPDATE contactsync.contacts SET source_key = 'another' WHERE contact_id = %s",
        "DELETE FROM contactsync.contacts WHERE contact_id = %s",
    ],
    ids=["taken over", "given another key", "deleted"],
)
def test_a_contact_that_an_application_takes_comes_again(
    make_folder: MakeFolder, slapd: PrivateSlapd, admin: ldap3.Connection, harm: str
) -> None:
    """The next run of a folder that usually reads only changes reads all entries."""
    for number in range(3):
        add(admin, number)
    folder = make_folder(slapd, mode="incremental")
    folder.run()
    assert folder.run().mode is Mode.INCREMENTAL
    (row, *_) = folder.query(
        "SELECT contact_id FROM contactsync.contacts WHERE definition_id = %s", folder.definition_id
    )
    folder.query(harm, row["contact_id"])
    report = folder.run()
    assert (report.mode, report.outcome) == (Mode.FULL, Outcome.CHANGED)
    assert folder.contacts() == folder.people()
