"""Who edited a definition, when and from where, with each field before and after."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from contactsync.web.pages.daemon import Before
from contactsync.web.pages.folder.edit_shown import EditShown
from contactsync.web.pages.folders import PAGE, Id, link, render_folder
from contactsync.web.visit import CurrentVisit

router = APIRouter()


@router.get("/folders/{definition_id}/edits")
def edits(definition_id: Id, visit: CurrentVisit, before: Before = None) -> Response:
    """The edits, newest first."""
    definition = visit.daemon.get(f"/v1/definitions/{definition_id}")
    visit.require_editor(definition["folder_id"])
    page = visit.daemon.get(f"/v1/definitions/{definition_id}/edits", before=before, limit=PAGE)
    here = f"/folders/{definition_id}/edits"
    return render_folder(
        visit,
        "edits.html.j2",
        definition,
        "edits",
        edits=list(map(EditShown.of, page["deeds"])),
        first=here if before else None,
        next=page["next_before"] and link(here, before=page["next_before"]),
    )
