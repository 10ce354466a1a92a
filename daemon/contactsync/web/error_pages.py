"""A page for each error: what happened, and what to do next. What was typed into a form is kept over a new sign-in."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from contactsync.errors import AdministratorsOnly, ContactsyncError, ControlError, ControlForbidden, OtherVersion
from contactsync.serving.client import DaemonError, DaemonSilent
from contactsync.web.context import context_of, session_of
from contactsync.web.errors import SessionNeeded
from contactsync.web.language import gettext as _
from contactsync.web.middleware.origin import SAFE
from contactsync.web.rendering import render
from contactsync.web.signin.page import sign_in_page
from contactsync.web.words.formats import utc
from contactsync.web.words.problems import in_english, in_words, problem_of, sentence_of

log = structlog.get_logger()

_FOLDER = "/folders/{definition_id}"
_SECRETS = ("password", "secret")
"""Parts of the names of fields that are not kept."""


def add_error_pages(app: FastAPI) -> None:
    """Answer each error with a page."""

    @app.exception_handler(SessionNeeded)
    async def on_session(request: Request, _error: SessionNeeded) -> Response:
        if request.method in SAFE:
            wanted = f"{request.url.path}?{request.url.query}".removesuffix("?")
            to = "" if wanted == "/" else f"?{urlencode({'to': wanted})}"
            return RedirectResponse(f"/sign-in{to}", HTTPStatus.SEE_OTHER)
        typed = await _typed(request)
        return sign_in_page(request, to=_form_of(request), typed=typed, ended=True, status=HTTPStatus.UNAUTHORIZED)

    @app.exception_handler(ContactsyncError)
    def on_error(request: Request, error: ContactsyncError) -> Response:
        return error_page(request, error)

    @app.exception_handler(RequestValidationError)
    def on_malformed(request: Request, error: RequestValidationError) -> Response:
        in_path = any(each["loc"][0] == "path" for each in error.errors())
        return _missing(request) if in_path else _impossible(request, HTTPStatus.UNPROCESSABLE_ENTITY)

    @app.exception_handler(HTTPException)
    def on_status(request: Request, error: HTTPException) -> Response:
        if error.status_code == HTTPStatus.NOT_FOUND:
            return _missing(request)
        if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            title, text = _("That is too much"), _("A form may have 64 kB. Nothing was done.")
            return _page(request, title, text, _("Go back, and try it another way."), error.status_code)
        return _impossible(request, error.status_code)


def path_for_log(scope: Mapping[str, Any]) -> str:
    """The path of a request; that of a link that signs in without its code, which may still be valid."""
    route, path = scope.get("route"), str(scope["path"])
    return str(route.path) if "code" in scope.get("path_params", {}) and route else path


def defect_page(request: Request) -> Response:
    """The page about an unexpected error, which the log has."""
    title, text = _("Something went wrong here"), _("The console met an unexpected error.")
    return _page(request, title, text, _("Its log has the details."), HTTPStatus.INTERNAL_SERVER_ERROR)


def error_page(request: Request, error: ContactsyncError) -> Response:
    """The page about an error of the daemon, or of the way to it."""
    if isinstance(error, DaemonError) and error.status == HTTPStatus.NOT_FOUND:
        return _missing_folder(request) if _is_of_folder(request) else _missing(request, error)
    title, status = _title_of(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("web.daemon_failed", path=path_for_log(request.scope), error_code=error.code, error=error.message)
    if isinstance(error, DaemonError):
        said = problem_of(error)
    elif isinstance(error, ControlError):  # its hint is for a user of the machine
        said = {"detail": sentence_of(error.code) or "", "hint": in_english(error.message)}
    else:  # of the console itself, in the language of the request already
        said = {"detail": error.message, "hint": error.hint}
    return _page(request, title, said["detail"], said["hint"], status, error.code)


def _title_of(error: ContactsyncError) -> tuple[str, int]:
    if isinstance(error, DaemonSilent | ControlForbidden):
        return _("The daemon does not answer"), HTTPStatus.SERVICE_UNAVAILABLE
    if isinstance(error, OtherVersion):
        return _("The daemon is of another version"), HTTPStatus.SERVICE_UNAVAILABLE
    if isinstance(error, AdministratorsOnly):
        return _("You may not do this"), HTTPStatus.FORBIDDEN
    status = error.status if isinstance(error, DaemonError) else HTTPStatus.CONFLICT
    if status == HTTPStatus.FORBIDDEN:
        return _("You may not do this"), status
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _("This is not possible now"), status
    return _("This was not done"), status


def _missing(request: Request, error: ContactsyncError | None = None) -> Response:
    text = in_words(error.code, error.message) if error else _("There is no such page.")
    hint = _("It may have been removed, or you may not see it. The overview has all that you may see.")
    return _page(request, _("Not found"), text, hint, HTTPStatus.NOT_FOUND)


def _is_of_folder(request: Request) -> bool:
    return str(getattr(request.scope.get("route"), "path", "")).startswith(_FOLDER)


def _missing_folder(request: Request) -> Response:
    """The page in place of one of a folder that is gone. Only an administrator may know that there was one."""
    removal = _removal(request)
    if removal is None:
        text = _("It was removed, or you may not see it any more. Nothing was done.")
        hint = _("The list of folders has all that you may see.")
        return _page(request, _("This folder is not there"), text, hint, HTTPStatus.NOT_FOUND)
    values = {"folder": removal["label"] or "", "who": removal["actor"], "when": utc(removal["at"])}
    text = _("%(who)s removed the folder %(folder)s on %(when)s. Nothing was done.") % values
    hint = _("Who did what, below Daemon, has its settings. The list of folders has all that there are.")
    return _page(request, _("This folder was removed"), text, hint, HTTPStatus.NOT_FOUND)


def _removal(request: Request) -> dict[str, Any] | None:
    """The deed of a removal, for administrators, if the definition in the path is gone and the audit has it."""
    session = session_of(request)
    if session is None or not session.person.admin:
        return None
    path = f"/v1/definitions/{request.path_params['definition_id']}/edits"
    try:
        deeds = context_of(request).daemon_for(session.person).get(path, limit=1)["deeds"]
    except ControlError:
        return None
    return next((deed for deed in deeds if deed["action"] == "definition.removed"), None)


def _impossible(request: Request, status: int) -> Response:
    title, text = _("That is not possible"), _("The page does not know this request. Nothing was done.")
    return _page(request, title, text, _("Go back, and try it another way."), status)


def _page(request: Request, title: str, text: str, hint: str, status: int, code: str = "") -> Response:
    return render(request, "error.html.j2", http_status=status, title=title, text=text, hint=hint, code=code)


async def _typed(request: Request) -> Mapping[str, str]:
    """The fields of the form in the body, without passwords; none if the body is no form."""
    try:
        async with request.form(max_files=0) as form:
            pairs = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    except HTTPException:
        return {}
    return {name: value for name, value in pairs if not any(part in name.lower() for part in _SECRETS)}


def _form_of(request: Request) -> str:
    """The path of the page whose form was sent: by Referer if it is of this console, else that of the request."""
    referer = urlsplit(request.headers.get("referer", ""))
    own = f"{referer.scheme}://{referer.netloc}" == context_of(request).origin
    return referer.path if own and referer.path else request.url.path
