"""Read who did what."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from contactsync.api.access.guard import CurrentAccess
from contactsync.api.context import Context
from contactsync.api.routes.definitions import DefinitionId, Name
from contactsync.api.routes.read import Limit
from contactsync.operations.audit import Audit, audit_page
from contactsync.store.record.runs import LARGEST_ID

router = APIRouter(tags=["audit"])

Before = Annotated[int | None, Query(description="Only older than this deed.", ge=1, le=LARGEST_ID)]


@router.get("/audit")
def audit(
    context: Context,
    access: CurrentAccess,
    definition_id: Annotated[int | None, Query(description="Only about this definition.", ge=1, le=LARGEST_ID)] = None,
    name: Name = None,
    before: Before = None,
    limit: Limit = 100,
) -> Audit:
    """What users did, by the API, the command line and SQL, a page at a time."""
    with context.reading() as connection:
        return audit_page(connection, access, name=name, definition_id=definition_id, before=before, limit=limit)


@router.get("/definitions/{definition_id}/edits")
def definition_edits(
    definition_id: DefinitionId, context: Context, access: CurrentAccess, before: Before = None, limit: Limit = 100
) -> Audit:
    """Who edited a definition, when, and its fields before and after; also of one that was removed."""
    with context.reading() as connection:
        return audit_page(connection, access, definition_id=definition_id, edits=True, before=before, limit=limit)
