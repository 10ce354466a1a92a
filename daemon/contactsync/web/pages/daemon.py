"""The daemon, for administrators: who did what, the last records of its log, and its settings in force."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from contactsync.web.context import Administrator
from contactsync.web.pages.folders import LARGEST_ID, PAGE, link
from contactsync.web.pages.overview import certificates
from contactsync.web.visit import CurrentVisit, Visit

router = APIRouter()

_LEVELS = ("debug", "info", "warning", "error")
Names = Annotated[str, Query(max_length=10_000)]
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
def settings(
    visit: CurrentVisit, _administrator: Administrator, *, read: bool = False, changed: Names = "", restart: Names = ""
) -> Response:
    """The settings in force, by section; after they were read again, which of them changed."""
    sections: dict[str, list[dict[str, Any]]] = {}
    for setting in visit.daemon.get("/v1/settings"):
        section, _, key = setting["name"].partition(".")
        sections.setdefault(section, []).append({**setting, "key": key})
    known = {setting["name"] for each in sections.values() for setting in each}
    return _render(
        visit,
        "daemon_settings.html.j2",
        "settings",
        sections=sections,
        read=read,
        changed=[name for name in changed.split() if name in known],
        restart=[name for name in restart.split() if name in known],
        certificates=certificates(visit),
    )


@router.post("/settings/reload")
def reload_settings(visit: CurrentVisit, _administrator: Administrator) -> Response:
    """Have the daemon read its settings again."""
    done = visit.daemon.post("/v1/reload")
    changed, restart = " ".join(done["changed"]), " ".join(done["need_restart"])
    return visit.redirect(link("/settings", read="true", changed=changed, restart=restart))


def _render(visit: Visit, template: str, tab: str, **values: Any) -> Response:
    return visit.render(template, section="daemon", tab=tab, **values)
