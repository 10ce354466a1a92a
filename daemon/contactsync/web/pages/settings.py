"""The LDAP synchronization of a folder: the form, its test, what it would change, and its save; new folders."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from contactsync.serving.client import DaemonError
from contactsync.web.pages.browse import Dn, browse_draft
from contactsync.web.pages.fields import (
    CONNECTION,
    WHO_AND_WHEN,
    FormField,
    form_fields,
    show_stored,
    show_typed,
    typed_changes,
)
from contactsync.web.pages.folders import Id, link, render_folder
from contactsync.web.visit import CurrentForm, CurrentVisit, Visit
from contactsync.web.words.problems import in_words, problem_of

router = APIRouter()

_SHOWN = 50
_PLACE = ("query", "user", "tls", "tls_verify")
_SEARCH = ("query", "user", *WHO_AND_WHEN, *CONNECTION)
_ASKED = {"browse": _PLACE, "test": _SEARCH, "preview": _SEARCH}
"""The fields that matter for a question about a directory; the folder itself may have no name yet."""
_NEW = {"mode": "auto", "tls": "auto", "tls_verify": True, "schedule": "every 15m"}


@router.get("/folders/new")
def new_folder(visit: CurrentVisit) -> Response:
    """An empty form."""
    fields = _new_fields(visit)
    show_typed(fields, visit.take_kept())
    return _render_new(visit, fields)


@router.post("/folders/new")
def add_folder(visit: CurrentVisit, form: CurrentForm) -> Response:
    """Browse the directory, test the settings, show what they would bring, or add the folder."""
    fields = _new_fields(visit)
    show_typed(fields, form)
    if "take" in form:  # an entry of the directory as the base
        fields["base"].value = form["take"]
        return _render_new(visit, fields)
    do = "browse" if "to" in form else form.get("do", "")
    wanted = {name: fields[name] for name in _ASKED.get(do, fields)}
    changes, errors = typed_changes(wanted, form, {}, visit.gettext)
    changes = {name: value for name, value in changes.items() if value is not None}
    if errors:
        return _render_new(visit, fields, **_marked(visit, fields, errors))
    try:
        if do == "browse":
            return _render_new(visit, fields, view=browse_draft(visit, changes, form.get("to", "")))
        if do in _ASKED:
            return _render_new(visit, fields, **_ask(visit, do, changes))
        added = visit.daemon.post("/v1/definitions", changes)
        # Also one with the schedule "manual" starts: the button says so.
        ticket = visit.daemon.post(f"/v1/definitions/{added['definition_id']}/sync")
    except DaemonError as error:
        return _render_new(visit, fields, **_failure(visit, fields, error))
    return visit.redirect(link(f"/folders/{added['definition_id']}/progress", request=ticket["request_id"]))


@router.get("/folders/{definition_id}/settings")
def settings(definition_id: Id, visit: CurrentVisit, *, saved: bool = False, base: Dn = "") -> Response:
    """The form with the stored settings; `base` is filled in, and not saved."""
    definition = visit.daemon.get(f"/v1/definitions/{definition_id}")
    visit.require_editor(definition["folder_id"])
    fields = _stored_fields(visit, definition)
    show_typed(fields, {"base": base} if base else visit.take_kept())
    sentence = ""
    if saved:
        sentence = (
            visit.gettext("A run with these settings follows.")
            if definition["enabled"]
            else visit.gettext("The folder is paused.")
        )
    return _render(visit, definition, fields, saved=sentence, taken=bool(base))


@router.post("/folders/{definition_id}/settings")
def edit(definition_id: Id, visit: CurrentVisit, form: CurrentForm) -> Response:
    """Test the settings, show what they would change, or save them. Fields that are missing stay as they are."""
    definition = visit.daemon.get(f"/v1/definitions/{definition_id}")
    visit.require_editor(definition["folder_id"])
    fields = _stored_fields(visit, definition)
    show_typed(fields, form)
    changes, errors = typed_changes(fields, form, definition, visit.gettext)
    do = form.get("do", "")
    try:
        if not errors and do in {"test", "preview"}:
            return _render(visit, definition, fields, **_ask(visit, do, {"definition_id": definition_id, **changes}))
        if not errors:
            if changes:
                visit.daemon.patch(f"/v1/definitions/{definition_id}", changes)
            return visit.redirect(f"/folders/{definition_id}/settings?saved=true")
    except DaemonError as error:
        return _render(visit, definition, fields, **_failure(visit, fields, error))
    return _render(visit, definition, fields, **_marked(visit, fields, errors))


def _ask(visit: Visit, do: str, draft: dict[str, Any]) -> dict[str, Any]:
    seconds = visit.allow_long()
    if do == "test":
        return {"check": visit.daemon.post("/v1/check", draft, timeout=seconds)}
    return {"preview": visit.daemon.post("/v1/preview", draft, timeout=seconds, limit=_SHOWN)}


def _failure(visit: Visit, fields: dict[str, FormField], error: DaemonError) -> dict[str, Any]:
    """What the page says about a refused request. An error without a field has no mark in the form."""
    if error.status == HTTPStatus.NOT_FOUND:
        raise error
    errors = {}
    for each in error.errors:
        name = (each.get("pointer") or "").removeprefix("/").partition("/")[0]
        code = each.get("code") or error.code
        if name != "query" and code in {"definition", "definition.query"}:  # their sentences are about the folder
            code = "directory.filter" if name == "filter" else "malformed_request"
        errors[name] = in_words(code, each["detail"], each.get("hint") or "")
    if errors:
        return _marked(visit, fields, errors)
    title = (
        visit.gettext("The directory could not be read")
        if error.status == HTTPStatus.BAD_GATEWAY
        else visit.gettext("This was not possible")
    )
    return {
        "problem": {"title": title, **problem_of(error)},
        "status": HTTPStatus.UNPROCESSABLE_ENTITY,
    }


def _marked(visit: Visit, fields: dict[str, FormField], errors: dict[str, str]) -> dict[str, Any]:
    for name, sentence in errors.items():
        if name in fields:
            fields[name].error = sentence
    problem = {"title": visit.gettext("Please correct these fields"), "detail": "", "hint": ""}
    return {"problem": problem, "errors": errors, "status": HTTPStatus.UNPROCESSABLE_ENTITY}


def _stored_fields(visit: Visit, definition: dict[str, Any]) -> dict[str, FormField]:
    fields = form_fields(visit.gettext)
    del fields["folder"], fields["owner"]
    show_stored(fields, definition)
    empty = visit.gettext("Empty:")
    for name, field in fields.items():
        default = definition["in_effect"].get(name)
        if default and default["value"] is not None and default["source"] != "definition" and field.kind != "choice":
            field.hint = f"{field.hint} {empty} {default['value']}".strip()
    return fields


def _new_fields(visit: Visit) -> dict[str, FormField]:
    fields = form_fields(visit.gettext)
    show_stored(fields, _NEW)
    return fields


def _groups(
    visit: Visit, fields: dict[str, FormField], errors: dict[str, str]
) -> list[tuple[str, tuple[str, ...], bool]]:
    """The groups that can be opened; one with a mistake, or with values of the query's own, is open."""
    own = any(fields[name].value for name in ("base", "filter"))
    return [
        (visit.gettext("Who of them, and when"), WHO_AND_WHEN, own or bool(errors.keys() & {*WHO_AND_WHEN})),
        (visit.gettext("Connection and limits"), CONNECTION, bool(errors.keys() & {*CONNECTION})),
    ]


def _render(visit: Visit, definition: dict[str, Any], fields: dict[str, FormField], **values: Any) -> Response:
    values = {"problem": None, "errors": {}, "check": None, "preview": None, "saved": "", "taken": False, **values}
    groups = _groups(visit, fields, values["errors"])
    values["may_map"] = visit.may_map()
    values["may_remove"] = visit.may_remove(definition["folder_id"])
    # The answer to a form says more than the state of the folder.
    values["answered"] = any(values[name] for name in ("problem", "check", "preview", "saved"))
    return render_folder(visit, "settings.html.j2", definition, "settings", fields=fields, groups=groups, **values)


def _render_new(visit: Visit, fields: dict[str, FormField], **values: Any) -> Response:
    values = {"problem": None, "errors": {}, "check": None, "preview": None, "view": None, **values}
    groups = _groups(visit, fields, values["errors"])
    return visit.render("new_folder.html.j2", section="folders", fields=fields, groups=groups, **values)
