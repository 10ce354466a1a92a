"""The entries of a directory, one level at a time, to find a base; in a folder and while one is added."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from contactsync.serving.client import DaemonError
from contactsync.web.pages.folders import Id, render_folder
from contactsync.web.visit import CurrentForm, CurrentVisit, Visit
from contactsync.web.words.problems import problem_of

router = APIRouter()

_MOST_ENTRIES = 200
Dn = Annotated[str, Query(max_length=4096, pattern=r"^[^\x00]*$")]


@router.get("/folders/{definition_id}/browse")
def browse(definition_id: Id, visit: CurrentVisit, base: Dn = "") -> Response:
    """The children of a base, or of each naming context."""
    definition = _definition(visit, definition_id)
    if not base:
        base = visit.take_kept().get("base", "")
    # A password that the directory has refused is not sent again by looking at a page.
    if definition["state"] == "locked" or lacks_password(definition):
        return _render(visit, definition, base, typing=True)
    return _level(visit, definition, base)


@router.post("/folders/{definition_id}/browse")
def browse_with_password(definition_id: Id, visit: CurrentVisit, form: CurrentForm) -> Response:
    """The same with a password that is used for this request only."""
    definition = _definition(visit, definition_id)
    return _level(visit, definition, form.get("to", form.get("base", "")), form.get("password", ""), typing=True)


def browse_draft(visit: Visit, draft: dict[str, Any], base: str) -> Any:
    """The children of a base, or of each naming context, in the directory of these settings."""
    at = {"at": base.strip()} if base.strip() else {}
    return visit.daemon.post("/v1/browse", {**draft, **at, "limit": _MOST_ENTRIES}, timeout=visit.allow_long())


def lacks_password(definition: dict[str, Any]) -> bool:
    """Whether a definition has a user whose password is not stored."""
    stored = definition["password_stored"] or definition["password_ref"]
    return bool(definition["auth"] == "simple" and definition["user"] and not stored)


def wants_password(error: DaemonError) -> bool:
    """Whether a password that is typed now may help."""
    return "password" in error.fields or error.code.startswith("directory.credentials")


def _definition(visit: Visit, definition_id: int) -> dict[str, Any]:
    definition: dict[str, Any] = visit.daemon.get(f"/v1/definitions/{definition_id}")
    visit.require_editor(definition["folder_id"])
    return definition


def _level(
    visit: Visit, definition: dict[str, Any], base: str, password: str = "", *, typing: bool = False
) -> Response:
    draft = {"definition_id": definition["definition_id"]} | ({"password": password} if password else {})
    try:
        view = browse_draft(visit, draft, base)
    except DaemonError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            raise
        return _render(visit, definition, base, problem=error, typing=typing or wants_password(error))
    return _render(visit, definition, base, view=view, typing=typing)


def _render(
    visit: Visit,
    definition: dict[str, Any],
    base: str,
    *,
    view: dict[str, Any] | None = None,
    problem: DaemonError | None = None,
    typing: bool = False,
) -> Response:
    return render_folder(
        visit,
        "browse.html.j2",
        definition,
        "settings",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK,
        title=visit.gettext("Browse the directory"),
        base=base,
        view=view,
        problem=problem and problem_of(problem),
        typing=typing,
    )
