"""Previews, decisions about held runs, and undo."""

from __future__ import annotations

from fastapi import APIRouter

from contactsync.api.actor import CurrentActor
from contactsync.api.context import Context
from contactsync.api.routes.read import RunId
from contactsync.api.schemas import Decided
from contactsync.model import Trigger
from contactsync.operations.decisions import approve, open_plan, reject
from contactsync.operations.undo import Undone, undo
from contactsync.store.pool import connection_of

router = APIRouter(tags=["decide"])


@router.post("/runs/{run_id}/approve")
def approve_run(run_id: RunId, context: Context, actor: CurrentActor) -> Decided:
    """Allow exactly the deletions of a held run, and run its definition."""
    with connection_of(context.pool) as connection:
        plan = open_plan(connection, run_id)
        approve(connection, plan, actor)
    context.dispatcher.request(plan.definition_id, Trigger.MANUAL, individual=True)
    return Decided(run_id=plan.run_id, definition_id=plan.definition_id, decision="approved")


@router.post("/runs/{run_id}/reject")
def reject_run(run_id: RunId, context: Context, actor: CurrentActor) -> Decided:
    """Discard the plan of a held run, or withdraw its approval."""
    with connection_of(context.pool) as connection:
        plan = open_plan(connection, run_id)
        reject(connection, plan, actor)
    return Decided(run_id=plan.run_id, definition_id=plan.definition_id, decision="rejected")


@router.post("/runs/{run_id}/undo")
def undo_run(run_id: RunId, context: Context, actor: CurrentActor) -> Undone:
    """Undo the changes of a run, and pause its definition. The undo is a run itself."""
    return undo(context.pool, run_id, actor, context.runner)
