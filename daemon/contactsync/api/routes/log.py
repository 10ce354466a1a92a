"""Read the last records of the daemon's log."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from contactsync.api.access.guard import CurrentAccess
from contactsync.api.context import Context
from contactsync.operations.reading.log import LogPage, LogQuery, log_page

router = APIRouter(tags=["read"])


@router.get("/log")
def log_records(context: Context, access: CurrentAccess, query: Annotated[LogQuery, Query()]) -> LogPage:
    """The last records of the daemon's log, newest first, a page at a time. It keeps a thousand, until it ends."""

    def visible(definition_id: int | None) -> bool:
        if access.everything:
            return True
        definition = None if definition_id is None else context.schedule.definition(definition_id)
        return definition is not None and access.covers(definition)

    return log_page(context.recent, visible, query)
