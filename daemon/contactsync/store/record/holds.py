"""Held plans: kept with all they would change, decided by people, used by the next run that applies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row

from contactsync.model import Change
from contactsync.store.errors import translated
from contactsync.store.record.runs import changes_from
from contactsync.store.statements import composed, statement

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.model import Definition
    from contactsync.store.plan.columns import Columns


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldPlan:
    """A held run's plan and what became of it.

    `state` is waiting, approved, rejected, used, overtaken (by the run `settled_by`), void (the definition was edited
    since) or expired. `stands_for` is the newer plan with the same deletions that took its place, if there is one.
    """

    folder_id: int
    run_id: int
    definition_id: int
    label: str
    created_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    settled_by: int | None
    state: str
    stands_for: int | None
    inserted: int
    updated: int
    deleted: int
    held_reason: str | None


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval that holds, and how many planned deletions it does not cover, with the names of the first."""

    run_id: int
    beyond: int
    names: tuple[str, ...]


def planned_changes(connection: Connection[Any], columns: Columns, *, limit: int | None) -> tuple[Change, ...]:
    """The first changes of the plan (None: all), in the transaction that made it. Raises psycopg.Error."""
    query = composed("planned_changes", staged_object=columns.staged_object)
    return changes_from(connection.execute(query, {"limit": limit}))


def keep_plan(connection: Connection[Any], definition: Definition, columns: Columns, *, run_id: int, days: int) -> None:
    """Keep the plan of a run that is held, in the place of an older one that nobody decided. Raises psycopg.Error."""
    key = {**_key(definition), "run_id": run_id}
    connection.execute(statement("overtake_plans"), key)
    connection.execute(statement("keep_plan"), {**key, "revision": definition.revision, "days": days})
    connection.execute(composed("keep_changes", staged_object=columns.staged_object), key)


def settle_plans(connection: Connection[Any], definition: Definition, *, run_id: int) -> None:
    """A run that was not held uses up what was approved, and makes what was not decided pointless."""
    key = {**_key(definition), "run_id": run_id}
    with translated():
        connection.execute(statement("settle_plans"), key)


def read_approval(connection: Connection[Any], definition: Definition) -> Approval | None:
    """The approval that a plan just made may go by, in its transaction; None when there is none. psycopg.Error."""
    key = {**_key(definition), "revision": definition.revision}
    found = connection.execute(statement("approval"), key).fetchone()
    if found is None:
        return None
    beyond = connection.execute(statement("not_approved"), {**key, "approved": found[0]}).fetchone()
    number, names = beyond or (0, None)
    return Approval(found[0], number, tuple(name or "(no name)" for name in names or ()))


def read_held_plan(connection: Connection[Any], run_id: int) -> HeldPlan | None:
    """The plan that a run left behind when it was held; None for any other run. Raises DatabaseError."""
    with translated(), connection.cursor(row_factory=class_row(HeldPlan)) as cursor:
        return cursor.execute(statement("held_plan"), {"run_id": run_id}).fetchone()


def waiting_plan(connection: Connection[Any], definition: Definition) -> HeldPlan | None:
    """The newest plan of a definition that is waiting or approved. Raises DatabaseError."""
    with translated():
        found = connection.execute(statement("waiting_plan"), _key(definition)).fetchone()
    return read_held_plan(connection, found[0]) if found else None


def held_changes(
    connection: Connection[Any], plan: HeldPlan, *, action: str | None = None, limit: int | None = None
) -> tuple[Change, ...]:
    """What a held plan would change (one action only, the first so many only); empty once it is overtaken."""
    values = {"folder_id": plan.folder_id, "run_id": plan.run_id, "action": action, "limit": limit}
    with translated():
        return changes_from(connection.execute(statement("held_changes"), values))


def decide(connection: Connection[Any], plan: HeldPlan, decision: str, *, by: str) -> bool:
    """Approve or reject a plan; False when a run or somebody else was faster. Raises DatabaseError."""
    key = {"folder_id": plan.folder_id, "definition_id": plan.definition_id, "run_id": plan.run_id}
    with translated(), connection.transaction():
        decided = connection.execute(statement("decide"), {**key, "decision": decision, "by": by}).rowcount == 1
        if decided and decision == "approved":
            connection.execute(statement("withdraw_approvals"), key)
    return decided


def _key(definition: Definition) -> dict[str, Any]:
    return {"folder_id": definition.folder_id, "definition_id": definition.definition_id}
