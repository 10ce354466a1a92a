"""A held run: exactly who would be deleted, or what would be cleared, and the decision about it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Form
from fastapi.responses import Response, StreamingResponse

from contactsync.serving.client import DaemonError
from contactsync.web.pages.folders import PAGE, Id, link
from contactsync.web.visit import CurrentVisit, Visit
from contactsync.web.words.formats import plain
from contactsync.web.words.problems import problem_of

router = APIRouter()

_CSV_PAGE = 1000
_CSV_FIELDS = ("display_name", "emails", "department", "title", "employee_number")
_SHOWN = {"delete": "delete", "clear": "clear", "all": None}
"""What the page shows by its parameter, as the API's filter."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would execute (OWASP, CSV injection)."""


def held_page(
    visit: Visit,
    run: dict[str, Any],
    *,
    action: str = "",
    after: int = 0,
    problem: dict[str, Any] | None = None,
    status: int = HTTPStatus.OK,
) -> Response:
    """The plan of a held run, or the newest one that would lose the same."""
    run_id = run["run_id"]
    action = action if action in _SHOWN else "delete"
    plan = _plan(visit, run_id, _SHOWN[action], after)
    if action == "delete" and plan["cleared"] and not plan["deleted"]:
        action = "clear"
        plan = _plan(visit, run_id, action, after)
    here = f"/runs/{plan['run_id']}"
    details = visit.daemon.get(f"/v1/runs/{plan['run_id']}/details", limit=1)
    return visit.render(
        "held.html.j2",
        status=status,
        section="runs",
        plan=plan,
        run_id=run_id,
        newest=plan["run_id"],
        folder_id=run["folder_id"],
        rejected=run["rejected"],
        most_cleared=max(plan["cleared"].values(), default=0),
        sentence=details["held"] and details["held"]["sentence"],
        action=action,
        may_decide=visit.may_decide(run["folder_id"]),
        problem=problem,
        first=link(here, action=action) if after else None,
        next=plan["next_after"] and link(here, action=action, after=plan["next_after"]),
    )


def _plan(visit: Visit, run_id: int, action: str | None, after: int) -> dict[str, Any]:
    plan: dict[str, Any] = visit.daemon.get(f"/v1/runs/{run_id}/plan", action=action, after=after, limit=PAGE)
    if plan["replaced_by"]:
        plan = visit.daemon.get(f"/v1/runs/{plan['replaced_by']}/plan", action=action, after=after, limit=PAGE)
    return plan


@router.get("/runs/{run_id}/plan.csv")
def plan_csv(run_id: Id, visit: CurrentVisit) -> Response:
    """All contacts that a held plan would delete or clear as CSV, for a spreadsheet."""
    first = _csv_page(visit, run_id, "delete")
    headers = {"Content-Disposition": f'attachment; filename="run-{run_id}.csv"'}
    return StreamingResponse(_csv(visit, run_id, first), media_type="text/csv; charset=utf-8", headers=headers)


def _csv(visit: Visit, run_id: int, page: dict[str, Any]) -> Iterator[str]:
    """The values that would be lost: of a deleted contact some fields, of another one its cleared fields."""
    cleared = [field for field in page["cleared"] if field not in _CSV_FIELDS]
    yield "\ufeff" + _line(["contact_id", *_CSV_FIELDS, *cleared])
    for action in ("delete", "clear") if page["cleared"] else ("delete",):
        page = page if action == "delete" else _csv_page(visit, run_id, action)
        while True:
            for change in page["changes"]:
                yield _line([change["contact_id"], *(_lost(change, name) for name in (*_CSV_FIELDS, *cleared))])
            if not page["next_after"]:
                break
            page = _csv_page(visit, run_id, action, page["next_after"])


def _csv_page(visit: Visit, run_id: int, action: str, after: int = 0) -> dict[str, Any]:
    page: dict[str, Any] = visit.daemon.get(f"/v1/runs/{run_id}/plan", action=action, after=after, limit=_CSV_PAGE)
    return page


def _lost(change: dict[str, Any], name: str) -> str:
    """The contact's name, or the value of a field that has none after the change."""
    if name == "display_name":
        return change["display_name"] or ""
    column, _, key = name.partition(".")
    field = change["fields"].get("photo_digest" if name == "photo" else column) or {"before": None, "after": None}
    before, after = (value.get(key) if key and value else value for value in (field["before"], field["after"]))
    return plain(before) if before and not after else ""


def _line(cells: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(f"'{cell}" if str(cell).startswith(_FORMULA) else cell for cell in cells)
    return text.getvalue()


@router.post("/runs/{run_id}/approve")
def approve(run_id: Id, visit: CurrentVisit, digest: Annotated[str, Form()] = "") -> Response:
    """Approve exactly the losses that were shown; the folder then shows its run."""
    return _decide(visit, run_id, "approve", digest)


@router.post("/runs/{run_id}/reject")
def reject(run_id: Id, visit: CurrentVisit, digest: Annotated[str, Form()] = "") -> Response:
    """Discard the plan that was shown, or withdraw its approval."""
    return _decide(visit, run_id, "reject", digest)


def _decide(visit: Visit, run_id: int, decision: str, digest: str) -> Response:
    try:
        done = visit.daemon.post(f"/v1/runs/{run_id}/{decision}", digest=digest if decision == "approve" else None)
    except DaemonError as error:
        run = visit.daemon.get(f"/v1/runs/{run_id}", limit=1)
        if run["outcome"] != "held":
            raise
        problem = {"title": visit.gettext("Nothing was decided"), **problem_of(error)}
        return held_page(visit, run, problem=problem, status=HTTPStatus.CONFLICT)
    if decision == "approve":
        return visit.redirect(f"/folders/{done['definition_id']}/progress?after={done['run_id']}")
    return visit.redirect(f"/runs/{run_id}")
