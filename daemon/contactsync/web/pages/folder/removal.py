"""The removal of a folder: what would be lost, and its name as the confirmation."""

from __future__ import annotations

import unicodedata
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from contactsync.errors import AdministratorsOnly
from contactsync.serving.client import DaemonError
from contactsync.web.pages.folders import Id
from contactsync.web.visit import CurrentForm, CurrentVisit, Visit
from contactsync.web.words.problems import in_words

router = APIRouter()


@router.get("/folders/{definition_id}/remove")
def removal(definition_id: Id, visit: CurrentVisit) -> Response:
    """What would be lost."""
    return _render(visit, _definition(visit, definition_id))


@router.post("/folders/{definition_id}/remove")
def remove(definition_id: Id, visit: CurrentVisit, form: CurrentForm) -> Response:
    """Remove the folder if its name was typed; the list of folders then says so."""
    definition = _definition(visit, definition_id)
    if _visible(form.get("name", "")) != _expected(definition):
        return _render(visit, definition, form, visit.gettext("This is not the name of the folder."))
    try:
        visit.daemon.delete(f"/v1/definitions/{definition_id}", keep_contacts=form.get("keep") == "true")
    except DaemonError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            raise
        return _render(visit, definition, form, in_words(error.code, error.message, error.hint))
    return visit.redirect("/folders?removed=true")


def _definition(visit: Visit, definition_id: int) -> dict[str, Any]:
    definition: dict[str, Any] = visit.daemon.get(f"/v1/definitions/{definition_id}")
    if not visit.may_remove(definition["folder_id"]):
        raise AdministratorsOnly(
            visit.gettext("You may not remove this folder."), hint=visit.gettext("Ask an administrator.")
        )
    return definition


def _expected(definition: dict[str, Any]) -> str:
    """What is typed as the confirmation: the name, or the number of a folder whose name has nothing visible."""
    return _visible(definition["label"]) or str(definition["definition_id"])


def _visible(text: str) -> str:
    """The text as people see it. What cannot be seen cannot be typed."""
    composed = unicodedata.normalize("NFC", text)
    return " ".join("".join(each if each.isprintable() else " " for each in composed).split())


def _render(visit: Visit, definition: dict[str, Any], form: dict[str, str] | None = None, error: str = "") -> Response:
    page = visit.daemon.get("/v1/folders", after=definition["folder_id"] - 1, limit=1)
    (folder,) = page["folders"]
    status = HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.OK
    return visit.render(
        "remove.html.j2",
        status=status,
        section="folders",
        definition=definition,
        expected=_expected(definition),
        stay=max(folder["contacts"] - definition["contacts"], 0),
        whole=folder["definitions"] == [definition["definition_id"]],
        form=form or {},
        error=error,
    )
