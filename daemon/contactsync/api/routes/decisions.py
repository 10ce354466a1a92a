"""Held plans, decisions about them, and undo."""

from __future__ import annotations

import time
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from contactsync.api.access.guard import CurrentAccess
from contactsync.api.actor import CurrentActor
from contactsync.api.context import Context
from contactsync.api.hints import CurrentWording
from contactsync.api.routes.read import Limit, RunId
from contactsync.model import Trigger
from contactsync.operations.access.decisions import require_decision, require_digest
from contactsync.operations.decisions import Decided, Plan, approve, open_plan, plan_page, reject
from contactsync.operations.undo import Undone, UndoPlan, preview_undo, undo
from contactsync.store.pool import connection_of
from contactsync.store.record.runs import LARGEST_ID

router = APIRouter(tags=["decide"])

Digest = Annotated[
    str | None,
    Query(description="The digest of the plan that was shown: others are refused.", pattern="^[0-9a-f]{2,128}$"),
]


@router.get("/runs/{run_id}/plan")
def plan_of_run(
    run_id: RunId,
    context: Context,
    *,
    undecided: Annotated[
        bool, Query(description="The plan that a decision would be about: maybe a newer one that would lose the same.")
    ] = False,
    action: Annotated[
        Literal["insert", "update", "delete", "clear"] | None,
        Query(description="Only these changes; `clear`: the updates that clear one of the plan's `cleared` fields."),
    ] = None,
    after: Annotated[int, Query(description="Only contacts with an id above this.", ge=0, le=LARGEST_ID)] = 0,
    limit: Limit = 100,
) -> Plan:
    """What a held run would change, a page at a time, with the digest for its approval, and its state."""
    with context.reading() as connection:
        return plan_page(connection, run_id, undecided=undecided, action=action, after=after, limit=limit)


@router.post("/runs/{run_id}/approve")
def approve_run(
    run_id: RunId, context: Context, actor: CurrentActor, access: CurrentAccess, digest: Digest = None
) -> Decided:
    """Allow exactly the deletions and cleared fields of a held run, and run its definition."""
    with connection_of(context.pool) as connection:
        require_digest(actor, digest)
        plan = open_plan(connection, run_id, digest)
        require_decision(access, plan)
        approve(connection, plan, actor)
    context.dispatcher.request(plan.definition_id, Trigger.MANUAL, asked_at=time.monotonic())
    return Decided.of(plan, "approved", requested=True)


@router.post("/runs/{run_id}/reject")
def reject_run(
    run_id: RunId, context: Context, actor: CurrentActor, access: CurrentAccess, digest: Digest = None
) -> Decided:
    """Discard the plan of a held run, or withdraw its approval."""
    with connection_of(context.pool) as connection:
        plan = open_plan(connection, run_id, digest)
        require_decision(access, plan)
        reject(connection, plan, actor)
    return Decided.of(plan, "rejected", requested=False)


@router.get("/runs/{run_id}/undo")
def undo_plan(run_id: RunId, context: Context, wording: CurrentWording) -> UndoPlan:
    """Whether a run can be undone, and what that would change. Nothing is changed."""
    with connection_of(context.pool) as connection:
        plan = preview_undo(connection, run_id)
    plan.hint = plan.hint and wording(plan.hint)
    return plan


@router.post("/runs/{run_id}/undo")
def undo_run(run_id: RunId, context: Context, actor: CurrentActor) -> Undone:
    """Undo the changes of a run, and pause its definition. The undo is a run itself."""
    return undo(context.pool, run_id, actor, context.runner)
