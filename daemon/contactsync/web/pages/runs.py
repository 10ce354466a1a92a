"""Runs: the list, one with its changes, and its undo."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from contactsync.serving.client import DaemonError
from contactsync.web.pages.decisions import held_page
from contactsync.web.pages.folders import LARGEST_ID, PAGE, Id, link
from contactsync.web.visit import CurrentVisit, Visit

router = APIRouter()

_OUTCOMES = ("changed", "unchanged", "held", "failed", "interrupted", "cancelled")
After = Annotated[int, Query(ge=0, le=LARGEST_ID)]


@router.get("/runs")
def runs(
    visit: CurrentVisit,
    outcome: Annotated[str, Query(max_length=20)] = "",
    before: Annotated[int | None, Query(ge=1, le=LARGEST_ID)] = None,
) -> Response:
    """Runs of all folders, newest first."""
    outcome = outcome if outcome in _OUTCOMES else ""
    page = visit.daemon.get("/v1/runs", outcome=outcome or None, before=before, limit=PAGE)
    return visit.render(
        "runs.html.j2",
        section="runs",
        runs=page["runs"],
        outcome=outcome,
        outcomes=_OUTCOMES,
        first=link("/runs", outcome=outcome) if before else None,
        next=page["next_before"] and link("/runs", outcome=outcome, before=page["next_before"]),
    )


@router.get("/runs/{run_id}")
def run(
    run_id: Id, visit: CurrentVisit, after: After = 0, action: Annotated[str, Query(max_length=10)] = ""
) -> Response:
    """A run: what it changed, or the plan of a held one."""
    document = visit.daemon.get(f"/v1/runs/{run_id}", after=after, limit=PAGE)
    if document["outcome"] == "held":
        return held_page(visit, document, action=action, after=after)
    here = f"/runs/{run_id}"
    sees_entries = document["rejected"] and visit.may_edit(document["folder_id"])
    rejected = visit.daemon.get(f"/v1/runs/{run_id}/rejected", limit=PAGE)["entries"] if sees_entries else []
    return visit.render(
        "run.html.j2",
        section="runs",
        run=document,
        rejected=rejected,
        undo=_undo(visit, document),
        first=here if after else None,
        next=document["next_after"] and link(here, after=document["next_after"]),
    )


@router.get("/runs/{run_id}/undo")
def undo_plan(run_id: Id, visit: CurrentVisit) -> Response:
    """What an undo would change, to be confirmed."""
    document = visit.daemon.get(f"/v1/runs/{run_id}", limit=1)
    plan = visit.daemon.get(f"/v1/runs/{run_id}/undo")
    return visit.render("undo.html.j2", section="runs", run=document, plan=plan)


@router.post("/runs/{run_id}/undo")
def undo(run_id: Id, visit: CurrentVisit) -> Response:
    """Undo a run, and show the run that did so."""
    done = visit.daemon.post(f"/v1/runs/{run_id}/undo", timeout=visit.allow_long())
    return visit.redirect(f"/runs/{done['run']['run_id']}")


def _undo(visit: Visit, run: dict[str, Any]) -> dict[str, Any] | None:
    if run["outcome"] != "changed" or not visit.may_decide(run["folder_id"]):
        return None
    try:
        plan: dict[str, Any] = visit.daemon.get(f"/v1/runs/{run['run_id']}/undo")
    except DaemonError:
        return None
    return plan
