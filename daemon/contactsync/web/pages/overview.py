"""The first page: what needs attention, the folders by state, what runs, and the last runs."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from contactsync.serving.certificates import of_console
from contactsync.web.context import context_of
from contactsync.web.visit import CurrentVisit, Visit

router = APIRouter()

STATES = ("held", "failing", "locked", "invalid", "interrupted", "ok", "paused", "never_run")
ATTENTION = STATES[:5]
_ALWAYS = ("held", "failing", "ok")
"""The states that are counted also if no folder has them."""
_OF_EACH = 10
"""The most folders of one state in the list of those that need attention."""


@router.get("/")
def overview(visit: CurrentVisit) -> Response:
    """The overview. Only an administrator sees the daemon's own state."""
    lists = [visit.daemon.get("/v1/definitions", state=state, limit=_OF_EACH + 1)["definitions"] for state in ATTENTION]
    numbers = visit.daemon.get("/v1/states")["states"]
    return visit.render(
        "overview.html.j2",
        section="overview",
        certificates=[each for each in certificates(visit) if each["attention"]] if visit.person.admin else [],
        daemon_status=visit.daemon.get("/v1/status") if visit.person.admin else None,
        counts=[(state, numbers.get(state, 0)) for state in STATES if numbers.get(state) or state in _ALWAYS],
        attention=[each for some in lists for each in some[:_OF_EACH]],
        attention_more=any(len(some) > _OF_EACH for some in lists),
        attention_states=ATTENTION,
        may_edit=visit.editable(),
        runs=visit.daemon.get("/v1/runs", limit=10)["runs"],
    )


def certificates(visit: Visit) -> list[dict[str, Any]]:
    """What the settings of the daemon and of the console and the definitions name, for an administrator."""
    of_daemon: list[dict[str, Any]] = visit.daemon.get("/v1/certificates")["certificates"]
    own = of_console(context_of(visit.request).settings)
    return [*of_daemon, *(each.model_dump(mode="json") for each in own)]
