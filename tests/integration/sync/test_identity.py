"""The same people under new identities keep their contacts, if a key tells for certain who is who."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ldap3
import pytest

from contactsync.errors import UndoRefused
from contactsync.model import Actor, Mode, Outcome
from contactsync.operations.preview import PreviewDocument
from contactsync.operations.undo import undo
from contactsync.store.record.holds import decide, held_changes, read_held_plan
from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import SyncedFolder, parent_of, someone

ROWS = "SELECT source_dn, contact_id, source_key, nickname FROM contactsync.contacts WHERE definition_id = %s"


def ids(folder: SyncedFolder) -> dict[str, int]:
    """The id of each contact by its DN."""
    return {row["source_dn"]: row["contact_id"] for row in folder.query(ROWS, folder.definition_id)}


def keys(folder: SyncedFolder) -> dict[str, str]:
    """The identity of each contact by its DN."""
    return {row["source_dn"]: row["source_key"] for row in folder.query(ROWS, folder.definition_id)}


def recreate(admin: ldap3.Connection, dns: list[str], new_dns: dict[str, str] | None = None, **edits: Any) -> None:
    """Delete people and add them again, which gives them new entryUUIDs; with other DNs and values if given."""
    for dn in dns:
        admin.search(dn, "(objectClass=*)", ldap3.BASE, attributes=["*"])
        attributes = {**admin.response[0]["raw_attributes"], **edits}
        assert admin.delete(dn)
        new_dn = (new_dns or {}).get(dn, dn)
        attributes["uid"] = [new_dn.partition(",")[0].partition("=")[2]]
        added = admin.add(new_dn, attributes={name: value for name, value in attributes.items() if value})
        assert added, admin.result


@pytest.fixture
def admin(team_folder: SyncedFolder) -> Any:
    """Change the directory of the folder."""
    connection = team_folder.slapd.connection()
    yield connection
    connection.unbind()


def matched_by(folder: SyncedFolder, run_id: int) -> list[str]:
    """The keys by which the contacts of a run were recognised."""
    rows = folder.query("SELECT matched_by FROM contactsync.contact_changes WHERE run_id = %s", run_id)
    return [row["matched_by"] for row in rows]


def test_another_identity_keeps_contacts_and_what_people_added(team_folder: SyncedFolder) -> None:
    """No contact is deleted, so nothing is held; the preview, the log and the history name the key."""
    team_folder.query(
        "UPDATE contactsync.contacts SET nickname = 'mine' WHERE definition_id = %s", team_folder.definition_id
    )
    assert team_folder.run().outcome is Outcome.UNCHANGED
    before, old_keys = ids(team_folder), keys(team_folder)
    team_folder.edit(mapping={"identity": "uid"})
    preview = PreviewDocument.of_preview(team_folder.runner().preview(team_folder.definition))
    assert (preview.inserted, preview.updated, preview.deleted, preview.rekeyed) == (0, 8, 0, 8)
    assert (preview.recognised, {change.matched_by for change in preview.changes}) == ({"dn": 8}, {"dn"})
    assert preview.changes[0].fields["source_key"].before in old_keys.values()
    report = team_folder.run()
    assert (report.outcome, report.counts.rekeyed, report.counts.deleted) == (Outcome.CHANGED, 8, 0)
    assert team_folder.events("run.rekeyed")[0]["by"] == {"dn": 8}
    assert (ids(team_folder), team_folder.row(report.run_id)["rekeyed"]) == (before, 8)
    assert set(keys(team_folder).values()) == {f"u{number:06}" for number in range(8)}
    nicknames = {row["nickname"] for row in team_folder.query(ROWS, team_folder.definition_id)}
    assert (nicknames, matched_by(team_folder, report.run_id)) == ({"mine"}, ["dn"] * 8)
    assert team_folder.run().outcome is Outcome.UNCHANGED
    undo(team_folder.pool, report.run_id, Actor("unix", "anna", "cli"))
    assert (keys(team_folder), ids(team_folder)) == (old_keys, before)
    assert team_folder.run().counts.rekeyed == 8
    assert ids(team_folder) == before


def test_a_held_plan_has_the_matches_too(team_folder: SyncedFolder, admin: ldap3.Connection) -> None:
    """The deletion of another contact is held; the approval covers it, and the others keep their ids."""
    before = ids(team_folder)
    gone, *others = sorted(before)
    admin.delete(gone)
    recreate(admin, others)
    team_folder.edit(max_delete_count=0)
    report = team_folder.run()
    team_folder.expect_held(report, "1 of 8 contacts would be deleted")
    with team_folder.connection() as connection:
        plan = read_held_plan(connection, report.run_id)
        assert plan
        assert (plan.rekeyed, plan.deleted) == (7, 1)
        assert [change.matched_by for change in held_changes(connection, plan)] == [None] + ["dn"] * 7
        decide(connection, plan, "approved", by="test")
    assert team_folder.run().outcome is Outcome.CHANGED
    assert ids(team_folder) == {dn: before[dn] for dn in others}


def test_a_rebuilt_directory_keeps_contacts(team_folder: SyncedFolder, admin: ldap3.Connection) -> None:
    """By DN, by employee number for those who moved too, or by an address with the same name."""
    before = ids(team_folder)
    first, second, *others = sorted(before)
    moved = {dn: f"uid=moved{place},{team_folder.slapd.people_base}" for place, dn in enumerate((first, second))}
    recreate(admin, [first], moved, employeeNumber=["E-4711"])
    team_folder.edit(max_delete_share=1)
    team_folder.run()
    numbered = ids(team_folder)[moved[first]]
    recreate(
        admin, [moved[first]], {moved[first]: f"uid=again,{team_folder.slapd.people_base}"}, mail=["other@example.test"]
    )
    recreate(admin, [second], moved, employeeNumber=[])
    recreate(admin, others)
    report = team_folder.run()
    assert (report.counts.rekeyed, report.counts.inserted, report.counts.deleted) == (8, 0, 0)
    by = sorted(matched_by(team_folder, report.run_id))
    assert by == ["dn"] * 6 + ["employee_number", "mail"]
    after = ids(team_folder)
    assert after.pop(f"uid=again,{team_folder.slapd.people_base}") == numbered
    assert after.pop(moved[second]) == before[second]
    assert after == {dn: before[dn] for dn in others}
    assert team_folder.run().outcome is Outcome.UNCHANGED


def test_an_identity_in_another_case_is_the_same_person(team_folder: SyncedFolder, admin: ldap3.Connection) -> None:
    """As the directory's schema says (caseIgnoreIA5Match)."""
    team_folder.edit(mapping={"identity": "mail"}, max_delete_count=0, filter="(&(objectClass=inetOrgPerson)(mail=*))")
    team_folder.run()
    before, old_keys = ids(team_folder), keys(team_folder)
    for dn, mail in old_keys.items():
        admin.modify(dn, {"mail": [(ldap3.MODIFY_REPLACE, [mail.upper()])]})
    report = team_folder.run()
    assert report.counts.rekeyed == len(before), report.held_reason
    assert (ids(team_folder), keys(team_folder)) == (before, {dn: key.upper() for dn, key in old_keys.items()})


def test_a_key_of_two_people_recognises_neither(team_folder: SyncedFolder, admin: ldap3.Connection) -> None:
    """They are deletions and insertions, and are held as before."""
    dns = sorted(ids(team_folder))
    shared = {"mail": ["office@example.test"], "displayName": ["Office"], "employeeNumber": []}
    for dn in dns:
        admin.modify(dn, {name: [(ldap3.MODIFY_REPLACE, values)] for name, values in shared.items()})
    team_folder.run()
    before = team_folder.rows()
    new = {dn: f"uid=new{place},{team_folder.slapd.people_base}" for place, dn in enumerate(dns)}
    recreate(admin, dns, new)
    team_folder.edit(max_delete_count=2)
    report = team_folder.run()
    team_folder.expect_held(report, "8 of 8 contacts would be deleted")
    assert (report.counts.rekeyed, team_folder.rows()) == (0, before)


@pytest.mark.parametrize(
    ("successor", "same"),
    [
        ({"displayName": ["Someone Else"], "mail": ["else@example.test"], "employeeNumber": []}, False),
        ({"employeeNumber": ["another"]}, False),
        ({"displayName": ["Married Name"], "employeeNumber": []}, True),
    ],
    ids=["another name and address", "another employee number", "another name"],
)
def test_a_dn_may_belong_to_another_person_now(
    team_folder: SyncedFolder, admin: ldap3.Connection, successor: dict[str, Any], *, same: bool
) -> None:
    """A user name that is given to the next person does not make that person the last one."""
    dn, before = min(ids(team_folder)), ids(team_folder)
    admin.modify(
        dn, {"employeeNumber": [(ldap3.MODIFY_REPLACE, ["one"])], "mail": [(ldap3.MODIFY_REPLACE, ["p@example.test"])]}
    )
    team_folder.run()
    recreate(admin, [dn], **successor)
    report = team_folder.run()
    assert report.outcome is Outcome.CHANGED, report.held_reason
    assert ((report.counts.rekeyed, report.counts.deleted), ids(team_folder)[dn] == before[dn]) == (
        (int(same), int(not same)),
        same,
    )


def test_spellings_of_a_dn_are_equal(team_folder: SyncedFolder) -> None:
    """Case, spaces and escapes: servers write them in different ways."""
    before = set(ids(team_folder).values())
    team_folder.query(
        "UPDATE contactsync.contacts SET source_dn = replace(upper(source_dn), ',', ' , ') WHERE definition_id = %s",
        team_folder.definition_id,
    )
    team_folder.edit(mapping={"identity": "uid", "fields": {"display_name": None, "emails": None}})
    assert team_folder.run().counts.rekeyed == 8
    assert set(ids(team_folder).values()) == before


def test_a_person_who_is_deleted_and_added_again_in_one_increment(
    make_folder: Callable[..., SyncedFolder], make_slapd: Callable[..., PrivateSlapd]
) -> None:
    """An incremental run recognises the person as a full run does."""
    folder = make_folder(make_slapd(ldif=people_ldif(8), session_log=50), mode="incremental")
    folder.run()
    before = ids(folder)
    admin = folder.slapd.connection()
    recreate(admin, [min(before)])
    admin.unbind()
    report = folder.run()
    assert (report.mode, report.counts.rekeyed, report.counts.deleted) == (Mode.INCREMENTAL, 1, 0)
    assert (ids(folder), folder.contacts()) == (before, folder.people())


def test_an_undo_is_refused_while_the_old_identity_exists_again(
    team_folder: SyncedFolder, admin: ldap3.Connection
) -> None:
    """Two contacts cannot have one identity."""
    team_folder.edit(mapping={"identity": "uid"})
    team_folder.run()
    dn, old = min((dn, key) for dn, key in keys(team_folder).items() if dn == f"uid={key},{parent_of(dn)}")
    recreate(admin, [dn], {dn: f"uid=renamed,{team_folder.slapd.people_base}"})
    report = team_folder.run()
    assert report.counts.rekeyed == 1
    other = someone(uid=old)
    assert admin.add(dn, attributes=other.attributes)
    assert team_folder.run().counts.inserted == 1
    with pytest.raises(UndoRefused, match="exists again"):
        undo(team_folder.pool, report.run_id, Actor("unix", "anna", "cli"))
