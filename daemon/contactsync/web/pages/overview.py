"""The overview: what the daemon does, and what needs somebody."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from contactsync.web.context import PersonsDaemon
from contactsync.web.rendering import render

router = APIRouter()


@router.get("/")
def overview(request: Request, daemon: PersonsDaemon) -> Response:
    """The first page."""
    return render(request, "overview.html.j2", status=daemon.get("/v1/status"))
