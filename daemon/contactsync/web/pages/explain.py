"""Why a person is in a folder, or not."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from contactsync.client import DaemonError
from contactsync.web.pages.folders import Id, render_folder
from contactsync.web.visit import CurrentVisit

router = APIRouter()


@router.get("/folders/{definition_id}/explain")
def explain(definition_id: Id, visit: CurrentVisit, who: Annotated[str, Query(max_length=500)] = "") -> Response:
    """The question, and its answer once a person is named. The directory is read for one who is not in the folder."""
    definition = visit.daemon.get(f"/v1/definitions/{definition_id}")
    visit.require_editor(definition["folder_id"])
    explained, problem = None, None
    if who.strip():
        try:
            path = f"/v1/definitions/{definition_id}/explain"
            explained = visit.daemon.get(path, who=who.strip(), timeout=visit.allow_long())
        except DaemonError as error:
            problem = {"detail": error.message, "hint": error.hint}
    return render_folder(visit, "explain.html.j2", definition, "explain", who=who, explained=explained, problem=problem)
