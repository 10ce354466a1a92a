"""Why a person is in a folder, or not."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from contactsync.serving.client import DaemonError
from contactsync.web.pages.browse import wants_password
from contactsync.web.pages.folders import Id, render_folder
from contactsync.web.visit import CurrentForm, CurrentVisit, Visit
from contactsync.web.words.problems import problem_of

router = APIRouter()

_LONGEST = 500


@router.get("/folders/{definition_id}/explain")
def explain(definition_id: Id, visit: CurrentVisit, who: Annotated[str, Query(max_length=_LONGEST)] = "") -> Response:
    """The question, and its answer once a person is named. The directory is read for one who is not in the folder."""
    return _answer(visit, definition_id, who or visit.take_kept().get("who", ""))


@router.post("/folders/{definition_id}/explain")
def explain_with_password(definition_id: Id, visit: CurrentVisit, form: CurrentForm) -> Response:
    """The same with a password that is used for this request only."""
    return _answer(visit, definition_id, form.get("who", "")[:_LONGEST], form.get("password", ""), typing=True)


def _answer(visit: Visit, definition_id: int, who: str, password: str = "", *, typing: bool = False) -> Response:
    definition = visit.daemon.get(f"/v1/definitions/{definition_id}")
    visit.require_editor(definition["folder_id"])
    explained, problem, asked = None, None, None
    if who.strip():
        path, question = f"/v1/definitions/{definition_id}/explain", {"who": who.strip()}
        try:
            explained = _ask(visit, path, question, password)
        except DaemonError as error:
            if not typing and wants_password(error):  # the page asks for it
                typing, asked = True, problem_of(error)
            else:
                problem = problem_of(error)
    return render_folder(
        visit,
        "explain.html.j2",
        definition,
        "explain",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if asked else HTTPStatus.OK,
        who=who,
        explained=explained,
        problem=problem,
        asked=asked,
        typing=typing,
    )


def _ask(visit: Visit, path: str, question: dict[str, str], password: str) -> Any:
    if password:
        return visit.daemon.post(path, {**question, "password": password}, timeout=visit.allow_long())
    return visit.daemon.get(path, timeout=visit.allow_long(), **question)
