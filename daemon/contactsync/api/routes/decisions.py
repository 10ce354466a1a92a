"""What people decide: preview, approve, reject, undo."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query

from contactsync.api.actor import CurrentActor
from contactsync.api.context import MOST_PREVIEWS, Context
from contactsync.api.problems import TooMany
from contactsync.api.routes.read import DefinitionId, RunId
from contactsync.api.schemas import Decided
from contactsync.model import Trigger
from contactsync.operations.decisions import approve, open_plan, reject
from contactsync.operations.preview import PreviewDocument
from contactsync.operations.undo import Undone, undo
from contactsync.store.pool import connection_of

router = APIRouter(tags=["deciding"])


@router.post("/definitions/{definition_id}/preview")
async def preview_definition(
    definition_id: DefinitionId,
    context: Context,
    limit: Annotated[int, Query(description="Most changes to show.", ge=0, le=10_000)] = 100,
) -> PreviewDocument:
    """What a run would change now, and whether it would be held; nothing is changed."""
    found = await to_thread.run_sync(context.definition, definition_id)
    if context.previews.borrowed_tokens >= MOST_PREVIEWS:
        raise TooMany(f"{MOST_PREVIEWS} previews are being made already.", hint="Try again when one has ended.")
    preview = await to_thread.run_sync(lambda: context.runner.preview(found, limit=limit), limiter=context.previews)
    return PreviewDocument.of_preview(preview)


@router.post("/runs/{run_id}/approve")
def approve_run(run_id: RunId, context: Context, actor: CurrentActor) -> Decided:
    """Allow exactly the deletions that the held run showed, and run its definition."""
    with connection_of(context.pool) as connection:
        plan = open_plan(connection, run_id)
        approve(connection, plan, by=actor.name)
    context.dispatcher.request(plan.definition_id, Trigger.MANUAL, individual=True)
    return Decided(run_id=plan.run_id, definition_id=plan.definition_id, decision="approved")


@router.post("/runs/{run_id}/reject")
def reject_run(run_id: RunId, context: Context, actor: CurrentActor) -> Decided:
    """Discard what the held run showed."""
    with connection_of(context.pool) as connection:
        plan = open_plan(connection, run_id)
        reject(connection, plan, by=actor.name)
    return Decided(run_id=plan.run_id, definition_id=plan.definition_id, decision="rejected")


@router.post("/runs/{run_id}/undo")
def undo_run(run_id: RunId, context: Context) -> Undone:
    """Take a run's changes back, as a run of its own, and pause its definition."""
    return undo(context.pool, run_id, context.runner)
