"""Runs that would leave a field blank in many contacts: a right to read was lost, or the mapping was edited."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contactsync.model import Actor, Outcome, RunReport
from contactsync.operations.decisions import approve, open_plan
from contactsync.settings.schema import Guard
from contactsync.store.record.holds import held_page
from contactsync.testing.people import make_photo
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import SyncedFolder, clear, dismiss, hide

STRICT = Guard(always_allow=0)
"""For a folder of eight people, of whom seven have a city and a postal code."""


def filled(folder: SyncedFolder, field: str) -> int:
    """The number of contacts of the directory that have a value of the field."""
    return sum(bool(row[field]) for row in folder.rows()["contacts"] if row["source_dn"])


def allow(folder: SyncedFolder, report: RunReport) -> None:
    """Approve a held run."""
    with folder.connection() as connection:
        approve(connection, open_plan(connection, report.run_id), Actor("unix", "anna", "cli"))


def shown(folder: SyncedFolder, report: RunReport) -> dict[str, Any]:
    """The changes that clear fields of a held plan, by contact."""
    with folder.connection() as connection:
        plan = open_plan(connection, report.run_id)
        page = held_page(connection, plan, action="clear", after=0, limit=100)
    return {change.display_name or "": change.fields for change in page}


def test_a_lost_right_to_read_an_attribute_is_held(team_folder: SyncedFolder) -> None:
    """The directory returns every entry without it and no error. Nothing is lost, and the right may come back."""
    before = team_folder.rows()
    slapd = team_folder.slapd
    assert isinstance(slapd, PrivateSlapd)
    hide(slapd, "l,postalCode")
    slapd.start()
    report = team_folder.run()
    team_folder.expect_held(
        report,
        "city would be cleared in 7 of the 7 contacts that have it, postal_code in 7 of 7;",
        "lost the right to read",
    )
    assert (report.counts.entries, report.counts.deleted) == (8, 0)
    assert team_folder.rows() == before
    assert {tuple(fields) for fields in shown(team_folder, report).values()} == {("city", "postal_code")}
    hide(slapd, "")
    slapd.start()
    assert team_folder.run().outcome is Outcome.UNCHANGED
    assert team_folder.rows() == before


def test_an_approval_allows_exactly_what_was_shown(team_folder: SyncedFolder) -> None:
    """Another contact that loses the field is held, and named; deletions within the limits need nothing."""
    clear(team_folder.slapd, "l", 3)
    first = team_folder.run(guard=STRICT)
    team_folder.expect_held(first, "city would be cleared in 3 of the 7 contacts that have it; the limit is 20%")
    allow(team_folder, first)
    clear(team_folder.slapd, "l", 1)
    second = team_folder.run(guard=STRICT)
    (new,) = shown(team_folder, second).keys() - shown_before(team_folder, first)
    team_folder.expect_sentences(
        second.held_reason, f"1 of the contacts to be cleared ({new}) go beyond", f"run {first.run_id}"
    )
    allow(team_folder, second)
    dismiss(team_folder.slapd, 1)
    done = team_folder.run(guard=STRICT)
    assert (done.outcome, done.counts.deleted) == (Outcome.CHANGED, 1)
    assert filled(team_folder, "city") == 7 - 4
    assert team_folder.contacts() == team_folder.people()


def shown_before(folder: SyncedFolder, report: RunReport) -> set[str]:
    """The contacts of an approved plan that lose a field."""
    rows = folder.query(
        "SELECT display_name FROM contactsync.held_changes WHERE run_id = %s AND changes ? 'city'", report.run_id
    )
    return {row["display_name"] for row in rows}


def test_deletions_and_cleared_fields_are_approved_together(team_folder: SyncedFolder) -> None:
    """The reason has both, and so has the approval."""
    dismiss(team_folder.slapd, 4)
    clear(team_folder.slapd, "postalCode", 8)
    report = team_folder.run(guard=STRICT)
    team_folder.expect_held(
        report, "4 of 8 contacts would be deleted", "postal_code would be cleared in 3 of the 7 contacts"
    )
    allow(team_folder, report)
    assert team_folder.run(guard=STRICT).outcome is Outcome.CHANGED
    assert (filled(team_folder, "postal_code"), len(team_folder.contacts())) == (0, 4)


def test_an_approval_of_deletions_does_not_allow_cleared_fields(team_folder: SyncedFolder) -> None:
    """They were not shown to anybody."""
    dismiss(team_folder.slapd, 4)
    report = team_folder.run(guard=STRICT)
    allow(team_folder, report)
    clear(team_folder.slapd, "postalCode", 2)
    second = team_folder.run(guard=STRICT)
    team_folder.expect_sentences(
        second.held_reason, "2 of the contacts to be cleared (", "postal_code would be cleared in 2 of the 7"
    )
    assert "deleted" not in (second.held_reason or "")
    assert (filled(team_folder, "postal_code"), len(team_folder.contacts())) == (7, 8)


def test_few_contacts_may_lose_a_field(team_folder: SyncedFolder) -> None:
    """Up to always_allow, or the share of the definition."""
    clear(team_folder.slapd, "l", 5)
    assert team_folder.run().outcome is Outcome.CHANGED
    assert filled(team_folder, "city") == 2
    clear(team_folder.slapd, "l", 1)
    team_folder.expect_held(team_folder.run(guard=STRICT), "city would be cleared in 1 of the 2 contacts that have it")
    team_folder.edit(max_delete_share=0.5)
    assert team_folder.run(guard=STRICT).outcome is Outcome.CHANGED
    assert filled(team_folder, "city") == 1


@pytest.mark.parametrize("limits", [Guard(delete_share=1), Guard(delete_share=0)], ids=["everything", "nothing"])
def test_the_share_may_allow_everything_or_nothing(team_folder: SyncedFolder, limits: Guard) -> None:
    """A share of 0 leaves only always_allow."""
    clear(team_folder.slapd, "l", 8)
    assert team_folder.run(guard=limits).outcome is (Outcome.CHANGED if limits.delete_share else Outcome.HELD)


def test_a_photo_is_a_field(team_folder: SyncedFolder) -> None:
    """Its column has another name, and holds a digest."""
    admin = team_folder.slapd.connection()
    for dn, _, _ in sorted(team_folder.people())[:2]:
        admin.modify(dn, {"jpegPhoto": [("MODIFY_REPLACE", [make_photo(dn)])]})
    admin.unbind()
    assert team_folder.run().counts.updated == 2
    clear(team_folder.slapd, "jpegPhoto", 2)
    report = team_folder.run(guard=STRICT)
    team_folder.expect_held(report, "photo would be cleared in 2 of the 2 contacts that have it")
    assert len(shown(team_folder, report)) == 2
    allow(team_folder, report)
    assert team_folder.run(guard=STRICT).outcome is Outcome.CHANGED
    assert filled(team_folder, "photo_digest") == 0


def test_an_edit_of_the_mapping_that_clears_a_field_is_held(team_folder: SyncedFolder) -> None:
    """A mistyped attribute is an attribute that no entry has; keys of extra count each for itself."""
    mapping = {"fields": {"street": "street", "extra.badge": "uid", "extra.unit": "l"}}
    team_folder.edit(mapping=json.dumps(mapping))
    assert team_folder.run().outcome is Outcome.CHANGED
    before = team_folder.rows()
    mapping["fields"] |= {"street": "stret", "extra.badge": "uidd"}
    team_folder.edit(mapping=json.dumps(mapping))
    report = team_folder.run()
    team_folder.expect_held(
        report, "extra.badge would be cleared in 8 of the 8 contacts that have it, street in 7 of 7"
    )
    assert team_folder.rows() == before
    allow(team_folder, report)
    assert team_folder.run().outcome is Outcome.CHANGED
    assert filled(team_folder, "street") == 0
    extras = [row["extra"] for row in team_folder.rows()["contacts"] if row["source_dn"]]
    assert {key for extra in extras for key in extra} == {"unit"}
