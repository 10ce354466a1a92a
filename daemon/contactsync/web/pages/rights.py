"""Who may see and who may edit a folder, for administrators."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from contactsync.serving.client import DaemonError
from contactsync.web.context import Administrator
from contactsync.web.pages.folders import Id, render_folder
from contactsync.web.visit import CurrentForm, CurrentVisit, Visit
from contactsync.web.words.problems import in_words

router = APIRouter()

_RIGHTS = {"view", "edit"}
_LONGEST = 256


@router.get("/folders/{definition_id}/rights")
def rights(definition_id: Id, visit: CurrentVisit, _administrator: Administrator) -> Response:
    """The rights in a folder, and a form for one more."""
    return _render(visit, visit.daemon.get(f"/v1/definitions/{definition_id}"), visit.take_kept())


@router.post("/folders/{definition_id}/rights")
def change(definition_id: Id, visit: CurrentVisit, _administrator: Administrator, form: CurrentForm) -> Response:
    """Give a right to a person or a group, in place of the one before, or take it away."""
    definition = visit.daemon.get(f"/v1/definitions/{definition_id}")
    path = f"/v1/folders/{definition['folder_id']}/rights"
    who, is_group = form.get("who", "").strip(), form.get("kind") == "group"
    if not who:
        return _render(visit, definition, form, visit.gettext("This field is needed."))
    if len(who) > _LONGEST:
        return _render(visit, definition, form, visit.gettext("A name has at most 256 characters."))
    try:
        if form.get("do") == "add":
            right = form.get("right") if form.get("right") in _RIGHTS else "view"
            visit.daemon.post(path, {"who": who, "is_group": is_group, "right": right})
        else:
            visit.daemon.delete(path, who=who, is_group=is_group)
    except DaemonError as error:
        # Another administrator has taken it away, or removed the folder: the page says which.
        if error.status != HTTPStatus.NOT_FOUND:
            return _render(visit, definition, form, in_words(error.code, error.message, error.hint))
    return visit.redirect(f"/folders/{definition_id}/rights")


def _render(visit: Visit, definition: dict[str, Any], form: Mapping[str, str], error: str = "") -> Response:
    document = visit.daemon.get(f"/v1/folders/{definition['folder_id']}/rights")
    status = HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.OK
    return render_folder(
        visit, "rights.html.j2", definition, "rights", status=status, rights=document, form=form, error=error
    )
