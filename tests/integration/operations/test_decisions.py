"""Held runs and decisions about them, with real runs and a real directory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from contactsync.errors import UsageError
from contactsync.model import Actor, Outcome, RunReport
from contactsync.operations.decisions import approve, open_plan, reject
from contactsync.settings.schema import Guard
from contactsync.store.record.holds import HeldPlan, held_changes, read_held_plan
from contactsync.store.record.runs import forget_old
from tests.support.folder import SyncedFolder, change, dismiss, people

STRICT = Guard(delete_count=1)


@pytest.fixture
def folder(team_folder: SyncedFolder) -> SyncedFolder:
    """Give a folder of eight people; the directory has only five of them now."""
    dismiss(team_folder.slapd, 3)
    return team_folder


def run(folder: SyncedFolder, outcome: Outcome) -> RunReport:
    """Make a run that may delete one contact, with this outcome."""
    report = folder.run(guard=STRICT)
    assert report.outcome is outcome, report.held_reason
    return report


def decide(folder: SyncedFolder, run_id: int, decision: Callable[..., None]) -> None:
    """Approve or reject a held run."""
    with folder.connection() as connection:
        decision(connection, open_plan(connection, run_id), Actor("unix", "anna", "cli"))


def plan_of(folder: SyncedFolder, run_id: int) -> HeldPlan:
    """The plan of a held run."""
    with folder.connection() as connection:
        plan = read_held_plan(connection, run_id)
    assert plan is not None
    return plan


def changes(folder: SyncedFolder, run_id: int) -> list[tuple[str, str | None, dict[str, Any]]]:
    """The changes of a held run."""
    with folder.connection() as connection:
        return [
            (change.action, change.display_name, change.fields)
            for change in held_changes(connection, plan_of(folder, run_id))
        ]


def refuses(folder: SyncedFolder, run_id: int, words: str) -> None:
    """The run cannot be decided, and the error says why."""
    with folder.connection() as connection, pytest.raises(UsageError) as caught:
        open_plan(connection, run_id)
    folder.expect_sentences(str(caught.value), words)


def test_a_held_run_keeps_its_plan(folder: SyncedFolder) -> None:
    """The plan has the fields of each contact before and after; an insert has all its values."""
    dismissed = {
        row["display_name"]: row["emails"]
        for row in folder.rows()["contacts"]
        if row["source_dn"] and row["source_dn"] not in {dn for dn, _, _ in people(folder.slapd)}
    }
    change(folder.slapd)
    held = run(folder, Outcome.HELD)
    kept = changes(folder, held.run_id)
    assert [action for action, _, _ in kept] == ["delete"] * 4 + ["insert", "update"]
    deleted = {name: fields["emails"] for action, name, fields in kept if action == "delete"}
    assert {name: deleted[name] for name in dismissed} == {name: [emails, None] for name, emails in dismissed.items()}
    (_, name, brought) = kept[4]
    assert brought["display_name"] == [None, name]
    assert brought["source_dn"][1] in {dn for dn, _, _ in people(folder.slapd)}
    assert all(before is None and after for before, after in brought.values())
    assert kept[5][2]["notes"][1].startswith("Changed")
    assert plan_of(folder, held.run_id).state == "waiting"


def test_an_approval_lets_the_same_deletions_pass_once(folder: SyncedFolder) -> None:
    """The next run applies the plan and uses the approval up."""
    held = run(folder, Outcome.HELD)
    decide(folder, held.run_id, approve)
    done = run(folder, Outcome.CHANGED)
    assert done.counts.deleted == 3
    assert folder.contacts() == people(folder.slapd)
    plan = plan_of(folder, held.run_id)
    assert (plan.state, plan.decided_by, plan.settled_by) == ("used", "anna", done.run_id)
    dismiss(folder.slapd, 3)
    run(folder, Outcome.HELD)


def test_more_deletions_than_approved_are_held_again(folder: SyncedFolder) -> None:
    """The reason names the new contact; an approval of the new plan covers all of them."""
    first = run(folder, Outcome.HELD)
    decide(folder, first.run_id, approve)
    dismiss(folder.slapd, 1)
    second = run(folder, Outcome.HELD)
    shown = {name for action, name, _ in changes(folder, first.run_id) if action == "delete"}
    (new,) = {name for _, name, _ in changes(folder, second.run_id)} - shown
    folder.expect_sentences(second.held_reason, f"1 of the deletions ({new})", f"approved with run {first.run_id}")
    folder.expect_row(second)
    decide(folder, second.run_id, approve)
    assert plan_of(folder, first.run_id).state == "overtaken"
    assert run(folder, Outcome.CHANGED).counts.deleted == 4


def test_fewer_deletions_than_approved_pass(folder: SyncedFolder) -> None:
    """A contact that is deleted already does not stop the others."""
    held = run(folder, Outcome.HELD)
    decide(folder, held.run_id, approve)
    approved = "SELECT max(contact_id) FROM contactsync.held_changes WHERE run_id = %s"
    folder.query(f"DELETE FROM contactsync.contacts WHERE contact_id = ({approved})", held.run_id)  # noqa: S608
    assert run(folder, Outcome.CHANGED).counts.deleted == 2
    assert plan_of(folder, held.run_id).state == "used"


@pytest.mark.parametrize(
    ("meanwhile", "outcome"),
    [
        ("definition_id IS NOT NULL", Outcome.CHANGED),
        (
            "contact_id IN (SELECT contact_id FROM contactsync.held_changes WHERE folder_id = c.folder_id)",
            Outcome.UNCHANGED,
        ),
    ],
    ids=["changed", "unchanged"],
)
def test_an_approval_does_not_outlive_a_run_that_needed_none(
    folder: SyncedFolder, meanwhile: str, outcome: Outcome
) -> None:
    """After a run that was not held, the same deletions later are held again."""
    held = run(folder, Outcome.HELD)
    decide(folder, held.run_id, approve)
    folder.query(f"DELETE FROM contactsync.contacts AS c WHERE folder_id = %s AND {meanwhile}", folder.folder_id)  # noqa: S608
    run(folder, outcome)
    assert plan_of(folder, held.run_id).state == "used"
    dismiss(folder.slapd, 2)
    run(folder, Outcome.HELD)


def test_an_edit_makes_plan_and_approval_void(folder: SyncedFolder) -> None:
    """The plan was made for the definition as it was."""
    held = run(folder, Outcome.HELD)
    decide(folder, held.run_id, approve)
    folder.edit(schedule="@daily")
    assert plan_of(folder, held.run_id).state == "void"
    refuses(folder, held.run_id, "The definition was edited since")
    run(folder, Outcome.HELD)


def test_a_plan_and_its_approval_expire(folder: SyncedFolder) -> None:
    """After approval_days, which are stored with the plan, neither can be decided or used."""
    held = folder.run(guard=Guard(delete_count=1, approval_days=3))
    plan = plan_of(folder, held.run_id)
    assert (plan.expires_at - plan.created_at).days == 3
    decide(folder, held.run_id, approve)
    folder.query("UPDATE contactsync.held_plans SET expires_at = now() WHERE run_id = %s", held.run_id)
    refuses(folder, held.run_id, "It expired on")
    run(folder, Outcome.HELD)


def test_a_rejected_plan_is_discarded(folder: SyncedFolder) -> None:
    """It cannot be approved any more, and the next run is held on its own."""
    held = run(folder, Outcome.HELD)
    decide(folder, held.run_id, reject)
    refuses(folder, held.run_id, "It was rejected by anna")
    assert run(folder, Outcome.HELD).run_id != held.run_id


def test_an_approval_can_be_withdrawn(folder: SyncedFolder) -> None:
    """A rejection withdraws it, as long as no run has used it."""
    held = run(folder, Outcome.HELD)
    decide(folder, held.run_id, approve)
    decide(folder, held.run_id, reject)
    run(folder, Outcome.HELD)
    assert len(folder.contacts()) == 8


def test_a_newer_plan_with_the_same_deletions_takes_the_decision(folder: SyncedFolder) -> None:
    """An approval of the older run approves the newer one, which deletes the same contacts."""
    first = run(folder, Outcome.HELD)
    second = run(folder, Outcome.HELD)
    assert plan_of(folder, first.run_id).state == "overtaken"
    assert changes(folder, first.run_id) == []
    decide(folder, first.run_id, approve)
    assert plan_of(folder, second.run_id).state == "approved"
    run(folder, Outcome.CHANGED)
    refuses(folder, first.run_id, "used the approval")


def test_a_newer_plan_with_other_deletions_replaces_the_older(folder: SyncedFolder) -> None:
    """The older one cannot be approved, and the error names the newer run."""
    first = run(folder, Outcome.HELD)
    dismiss(folder.slapd, 1)
    second = run(folder, Outcome.HELD)
    refuses(folder, first.run_id, f"Run {second.run_id} replaced it")


def test_only_held_runs_are_decided(folder: SyncedFolder) -> None:
    """The error for another run has its outcome."""
    refuses(folder, folder.status()["last_run_id"], "is not held, it is changed")
    refuses(folder, 10**9, "There is no run 1000000000")
    refuses(folder, 10**30, "There is no run")


def test_an_edited_query_can_be_approved(folder: SyncedFolder) -> None:
    """An intended edit of the filter needs an approval, and not a new definition."""
    folder.edit(filter="(uid=u00000*)")
    folder.edit(filter="(sn=nobody)", allow_empty=True)
    held = run(folder, Outcome.HELD)
    folder.expect_held(held, "The query was edited", "approve this run")
    decide(folder, held.run_id, approve)
    run(folder, Outcome.CHANGED)
    assert folder.contacts() == set()


def test_two_people_who_decide_at_once_do_not_both_win(folder: SyncedFolder) -> None:
    """The second decision is refused with the first one."""
    held = run(folder, Outcome.HELD)
    with folder.connection() as connection:
        plan = open_plan(connection, held.run_id)
        decide(folder, held.run_id, approve)
        run(folder, Outcome.CHANGED)
        with pytest.raises(UsageError, match="used the approval"):
            reject(connection, plan, Actor("unix", "bo", "cli"))


def test_held_plans_go_with_the_history(folder: SyncedFolder) -> None:
    """The plan is deleted with its run."""
    held = run(folder, Outcome.HELD)
    decide(folder, held.run_id, approve)
    run(folder, Outcome.CHANGED)
    old = "UPDATE contactsync.sync_runs SET finished_at = now() - interval '9 days' WHERE run_id = %s"
    folder.query(old, held.run_id)
    with folder.connection() as connection:
        forget_old(connection, keep_days=8, departed_keep_days=0)
    for table in ("held_plans", "held_changes"):
        assert folder.query(f"SELECT FROM contactsync.{table} WHERE run_id = %s", held.run_id) == []
