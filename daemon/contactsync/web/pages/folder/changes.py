"""What runs changed in a folder, newest first, by contact and field."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from contactsync.web.pages.folders import PAGE, Id, Text, link, render_folder
from contactsync.web.visit import CurrentVisit

router = APIRouter()

_ACTIONS = ("insert", "update", "delete")


@router.get("/folders/{definition_id}/changes")
def changes(
    definition_id: Id,
    visit: CurrentVisit,
    q: Text = "",
    action: Annotated[str, Query(max_length=10)] = "",
    before: Annotated[str, Query(pattern=r"^([0-9]{1,18}:[0-9]{1,18})?$")] = "",
) -> Response:
    """The changes of contacts; those of one kind, or with a text in the name."""
    action = action if action in _ACTIONS else ""
    path, here = f"/v1/definitions/{definition_id}/changes", f"/folders/{definition_id}/changes"
    page = visit.daemon.get(path, text=q.strip() or None, action=action or None, before=before, limit=PAGE)
    return render_folder(
        visit,
        "changes.html.j2",
        page["definition"],
        "changes",
        changes=page["changes"],
        q=q,
        action=action,
        actions=_ACTIONS,
        first=link(here, q=q, action=action) if before else None,
        next=page["next_before"] and link(here, q=q, action=action, before=page["next_before"]),
    )
