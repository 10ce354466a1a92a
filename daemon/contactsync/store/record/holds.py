"""Held plans: stored with all their changes, approved or rejected by users, used by the next run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from contactsync.model import Change
from contactsync.store.health import WATCH_NAME
from contactsync.store.plan.columns import statement_of
from contactsync.store.record.requests import CHECK_REQUESTS
from contactsync.store.statements import execute, read_rows, statement

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.model import Definition
    from contactsync.store.plan.columns import Columns


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldPlan:
    """The plan of a held run, and its state.

    `state` is waiting, approved, rejected, used, overtaken (by the run `settled_by`), void (the definition was edited
    since) or expired. `cleared` has the fields that it would leave blank in too many contacts, with their number.
    `digest` represents what would be lost; plans with the same digest delete the same contacts and clear the same
    values. `replaced_by` is the newer plan with the same digest that replaced it, if there is one.
    """

    folder_id: int
    run_id: int
    definition_id: int
    label: str
    enabled: bool
    created_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    settled_by: int | None
    digest: str
    state: str
    replaced_by: int | None
    inserted: int
    updated: int
    deleted: int
    rekeyed: int
    held_reason: str | None
    cleared: dict[str, int]


@dataclass(frozen=True, slots=True)
class Beyond:
    """The number of contacts whose deletion, or cleared fields, an approval does not cover, and their first names."""

    number: int
    names: tuple[str, ...]


def planned_changes(connection: Connection[Any], columns: Columns, *, limit: int | None) -> tuple[Change, ...]:
    """The first changes of the plan (None: all), in the transaction of the plan. Raises psycopg.Error."""
    query = statement_of("planned_changes", columns)
    with connection.cursor(row_factory=class_row(Change)) as cursor:
        return tuple(cursor.execute(query, {"limit": limit}))


def keep_plan(
    connection: Connection[Any],
    definition: Definition,
    columns: Columns,
    *,
    run_id: int,
    days: int,
    cleared: Mapping[str, int],
) -> None:
    """Store the plan of a held run, in place of older ones without a decision. Raises psycopg.Error.

    `cleared` has the fields that it would leave blank in too many contacts, with their number.
    """
    key = {**definition.key, "run_id": run_id}
    values = {"revision": definition.revision, "days": days, "cleared": Jsonb(dict(cleared))}
    connection.execute(statement("overtake_plans"), key)
    connection.execute(statement("keep_plan"), {**key, **values})
    connection.execute(statement_of("keep_changes", columns), key)


def settle_plans(connection: Connection[Any], definition: Definition, *, run_id: int) -> None:
    """Mark plans as used (if approved) or overtaken, by a run that was not held. Raises DatabaseError."""
    execute(connection, "settle_plans", **definition.key, run_id=run_id)


def read_approval(connection: Connection[Any], definition: Definition) -> int | None:
    """The run whose approval is valid, in the transaction of the plan; None if there is none. Raises psycopg.Error."""
    key = {**definition.key, "revision": definition.revision}
    approval = connection.execute(statement("approval"), key).fetchone()
    return approval[0] if approval else None


def deletions_beyond(connection: Connection[Any], definition: Definition, *, approved: int) -> Beyond:
    """The planned deletions that the approval of run `approved` does not cover. Raises psycopg.Error."""
    return _beyond(connection, "not_approved", {**definition.key, "approved": approved})


def clears_beyond(
    connection: Connection[Any], definition: Definition, fields: Iterable[str], *, approved: int
) -> Beyond:
    """The contacts in which one of the fields would be cleared without the approval's cover. Raises psycopg.Error."""
    values = {**definition.key, "approved": approved, "fields": list(fields)}
    return _beyond(connection, "clears_not_approved", values)


def _beyond(connection: Connection[Any], query: str, values: dict[str, Any]) -> Beyond:
    number, names = connection.execute(statement(query), values).fetchone() or (0, None)
    return Beyond(number, tuple(name or "(no name)" for name in names or ()))


def read_held_plan(connection: Connection[Any], run_id: int) -> HeldPlan | None:
    """The plan of a held run; None for any other run. Raises DatabaseError."""
    rows = read_rows(connection, class_row(HeldPlan), "held_plan", run_id=run_id)
    return rows[0] if rows else None


def held_changes(
    connection: Connection[Any], plan: HeldPlan, *, action: str | None = None, limit: int | None = None
) -> tuple[Change, ...]:
    """The first changes of a held plan (None: all), of one action or all; none if it is overtaken. DatabaseError."""
    values = {"folder_id": plan.folder_id, "run_id": plan.run_id, "action": action, "limit": limit}
    return tuple(read_rows(connection, class_row(Change), "held_changes", **values))


def held_page(
    connection: Connection[Any], plan: HeldPlan, *, action: str | None, after: int, limit: int
) -> tuple[Change, ...]:
    """The changes of a held plan by contact id, from the first id above `after`. Raises DatabaseError.

    `action` may also be clear: the updates that clear a field of `HeldPlan.cleared`.
    """
    values = {"folder_id": plan.folder_id, "run_id": plan.run_id, "action": action, "after": after, "limit": limit}
    return tuple(read_rows(connection, class_row(Change), "held_page", **values, cleared=list(plan.cleared)))


def decide(connection: Connection[Any], plan: HeldPlan, decision: str, *, by: str) -> bool:
    """Approve or reject a plan; False if a run or another user was faster. Raises DatabaseError."""
    key = {"folder_id": plan.folder_id, "run_id": plan.run_id}
    return execute(connection, "decide", **key, decision=decision, by=by).fetchone() is not None


def request_approved_run(connection: Connection[Any], plan: HeldPlan) -> bool:
    """Request a run of the plan's definition; False if it is paused or no daemon is connected. Raises DatabaseError."""
    key = {"folder_id": plan.folder_id, "definition_id": plan.definition_id}
    names = {"application_name": WATCH_NAME, "payload": CHECK_REQUESTS}
    return execute(connection, "request_approved_run", **key, **names).fetchone() is not None
