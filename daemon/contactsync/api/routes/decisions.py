"""Previews, decisions about held runs, and undo."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query

from contactsync.api.actor import CurrentActor
from contactsync.api.context import MOST_PREVIEWS, Context
from contactsync.api.problems import TooMany
from contactsync.api.routes.definitions import DefinitionId
from contactsync.api.routes.read import RunId
from contactsync.api.schemas import Decided
from contactsync.model import Trigger
from contactsync.operations.decisions import approve, open_plan, reject
from contactsync.operations.preview import PreviewDocument
from contactsync.operations.undo import Undone, undo
from contactsync.store.pool import connection_of

router = APIRouter(tags=["decide"])


@router.post("/definitions/{definition_id}/preview")
async def preview_definition(
    definition_id: DefinitionId,
    context: Context,
    limit: Annotated[int, Query(description="Limit of the changes in the answer.", ge=0, le=10_000)] = 100,
) -> PreviewDocument:
    """What a run would change now, and whether it would be held. Nothing is changed."""
    definition = await to_thread.run_sync(context.definition, definition_id)
    if context.previews.borrowed_tokens >= MOST_PREVIEWS:
        raise TooMany(f"{MOST_PREVIEWS} previews are being made already.", hint="Try again later.")
    preview = partial(context.runner.preview, definition, limit=limit)
    return PreviewDocument.of_preview(await to_thread.run_sync(preview, limiter=context.previews))


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
