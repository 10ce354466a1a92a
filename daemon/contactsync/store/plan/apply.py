"""Carries a plan out: the statements that change `contacts`, inside the transaction that made the plan."""

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
    """Delete, refresh, update and insert what `planned` says, with photos, and write the history. Raises psycopg.Error.

    `photos` says whether an entry that is staged has one. Only contacts that the definition brought are in the plan, so
    no other row can be touched.
    """
    key = {"folder_id": definition.folder_id, "definition_id": definition.definition_id, "run_id": run_id}
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
