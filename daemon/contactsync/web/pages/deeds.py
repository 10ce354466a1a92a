"""What a button of a folder does at once: synchronize, cancel, pause, resume."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from fastapi.responses import Response

from contactsync.serving.client import DaemonError
from contactsync.web.pages.folders import Id, link
from contactsync.web.visit import CurrentVisit

router = APIRouter()


@router.post("/folders/{definition_id}/sync")
def sync(definition_id: Id, visit: CurrentVisit) -> Response:
    """Request a run, and show its progress."""
    ticket = visit.daemon.post(f"/v1/definitions/{definition_id}/sync")
    return visit.redirect(link(f"/folders/{definition_id}/progress", request=ticket["request_id"]))


@router.post("/folders/{definition_id}/cancel")
def cancel(definition_id: Id, visit: CurrentVisit) -> Response:
    """Cancel the run; one that has just ended is shown as it is."""
    try:
        visit.daemon.post(f"/v1/definitions/{definition_id}/cancel")
    except DaemonError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
    return visit.redirect(f"/folders/{definition_id}/progress")


@router.post("/folders/{definition_id}/pause")
def pause(definition_id: Id, visit: CurrentVisit) -> Response:
    """Stop scheduled and live runs."""
    visit.daemon.post(f"/v1/definitions/{definition_id}/pause")
    return visit.redirect(f"/folders/{definition_id}")


@router.post("/folders/{definition_id}/resume")
def resume(definition_id: Id, visit: CurrentVisit) -> Response:
    """Start scheduled and live runs again."""
    visit.daemon.post(f"/v1/definitions/{definition_id}/resume")
    return visit.redirect(f"/folders/{definition_id}")
