"""The daemon, for administrators: who did what, the last records of its log, and its settings in force."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from contactsync.web.context import Administrator
from contactsync.web.pages.folders import LARGEST_ID, PAGE, link
from contactsync.web.visit import CurrentVisit, Visit

router = APIRouter()

_LEVELS = ("debug", "info", "warning", "error")
Before = Annotated[int | None, Query(ge=1, le=LARGEST_ID)]


@router.get("/audit")
def audit(visit: CurrentVisit, _administrator: Administrator, before: Before = None) -> Response:
    """Who did what, newest first."""
    page = visit.daemon.get("/v1/audit", before=before, limit=PAGE)
    return _render(
        visit,
        "audit.html.j2",
        "audit",
        deeds=page["deeds"],
        first="/audit" if before else None,
        next=page["next_before"] and link("/audit", before=page["next_before"]),
    )


@router.get("/log")
def log(
    visit: CurrentVisit,
    _administrator: Administrator,
    level: Annotated[str, Query(max_length=10)] = "info",
    folder: Annotated[str, Query(max_length=600)] = "",
    before: Before = None,
) -> Response:
    """The last records of the daemon's log, newest first."""
    level = level if level in _LEVELS else "info"
    page = visit.daemon.get("/v1/log", level=level, folder=folder.strip() or None, before=before, limit=PAGE)
    return _render(
        visit,
        "log.html.j2",
        "log",
        records=page["records"],
        level=level,
        levels=_LEVELS,
        folder=folder,
        first=link("/log", level=level, folder=folder) if before else None,
        next=page["next_before"] and link("/log", level=level, folder=folder, before=page["next_before"]),
    )


@router.get("/settings")
def settings(visit: CurrentVisit, _administrator: Administrator) -> Response:
    """The settings in force, by section."""
    sections: dict[str, list[dict[str, Any]]] = {}
    for setting in visit.daemon.get("/v1/settings"):
        section, _, key = setting["name"].partition(".")
        sections.setdefault(section, []).append({**setting, "key": key})
    return _render(visit, "daemon_settings.html.j2", "settings", sections=sections)


def _render(visit: Visit, template: str, tab: str, **values: Any) -> Response:
    return visit.render(template, section="daemon", tab=tab, **values)
