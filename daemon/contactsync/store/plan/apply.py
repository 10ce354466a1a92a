"""Applies a plan: the statements that change `contacts`, in the transaction that made the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contactsync.store.statements import composed, statement

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.model import Definition, Plan
    from contactsync.store.plan.columns import Columns


def apply_plan(
    connection: Connection[Any],
    definition: Definition,
    columns: Columns,
    plan: Plan,
    *,
    run_id: int,
    photos: bool = True,
) -> None:
    """Delete, refresh, update and insert the planned contacts and their photos, and record the history.

    `photos` says whether a staged entry has a photo. The plan contains contacts of the definition only, so no other
    row is written. Raises psycopg.Error.
    """
    key = {**definition.key, "run_id": run_id}
    connection.execute(statement("apply_setting"))
    if plan.deletes:
        connection.execute(statement("apply_deletes"), key)
    if plan.refreshes:
        connection.execute(statement("apply_refreshes"), key)
    if plan.updates:
        connection.execute(composed("apply_updates", columns=columns.names, after=columns.after), key)
    if plan.inserts:
        connection.execute(composed("apply_inserts", columns=columns.names, staged=columns.staged), key)
    if plan.returned:
        connection.execute(statement("forget_returned"), key)
    if columns.has_photo and photos and (plan.inserts or plan.updates):
        connection.execute(statement("apply_photos"), key)
    if columns.has_photo and plan.updates:
        connection.execute(statement("drop_photos"), key)
    if plan.changes:
        connection.execute(statement("record_changes"), key)
