"""Read who did what."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from contactsync.api.context import ApiContext, Context
from contactsync.api.routes.definitions import DefinitionId
from contactsync.api.routes.read import Limit
from contactsync.operations.audit import Deed, list_audit
from contactsync.store.pool import connection_of
from contactsync.store.record.runs import LARGEST_ID

router = APIRouter(tags=["audit"])

Before = Annotated[int | None, Query(description="Only older than this deed.", ge=1, le=LARGEST_ID)]


class Audit(BaseModel):
    """Deeds, newest first; `before` of the next page, or null on the last."""

    deeds: list[Deed]
    next_before: int | None


@router.get("/audit")
def audit(
    context: Context,
    definition_id: Annotated[int | None, Query(description="Only about this definition.", ge=1, le=LARGEST_ID)] = None,
    before: Before = None,
    limit: Limit = 100,
) -> Audit:
    """What users did, by the API, the command line and SQL, a page at a time."""
    return _page(context, definition_id, before, limit, edits=False)


@router.get("/definitions/{definition_id}/edits")
def definition_edits(definition_id: DefinitionId, context: Context, before: Before = None, limit: Limit = 100) -> Audit:
    """Who edited a definition, when, and its fields before and after; also of one that was removed."""
    return _page(context, definition_id, before, limit, edits=True)


def _page(context: ApiContext, definition_id: int | None, before: int | None, limit: int, *, edits: bool) -> Audit:
    ids = None if definition_id is None else [definition_id]
    with connection_of(context.pool) as connection:
        deeds = list_audit(connection, ids, edits=edits, before=before, limit=limit)
    return Audit(deeds=deeds, next_before=deeds[-1].audit_id if len(deeds) == limit else None)
