"""Sign in and out."""

from __future__ import annotations

from http import HTTPStatus

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from contactsync.client import Daemon, DaemonError
from contactsync.web.context import context_of
from contactsync.web.person import Person
from contactsync.web.rendering import render
from contactsync.web.signin.page import begin_session, sign_in_page

log = structlog.get_logger()

router = APIRouter()


@router.get("/sign-in")
def sign_in_form(request: Request, to: str = "/") -> Response:
    """The form."""
    return sign_in_page(request, to=to)


@router.get("/sign-in/{code}")
def link(request: Request, code: str) -> Response:
    """A page with a button: programs that look at links, such as those of mail, must not use up the code."""
    return render(request, "sign_in_link.html.j2", code=code)


@router.post("/sign-in/{code}")
def follow_link(request: Request, code: str) -> Response:
    """Sign in by a code of `contactsync web sign-in`."""
    context = context_of(request)
    try:
        user = Daemon(context.socket).post("/v1/console/sign-in-codes/redeem", {"code": code})["user"]
    except DaemonError as error:
        address = context.address_of(request)
        log.warning("web.sign_in_refused", how="link", address=address, error_code=error.code)
        return sign_in_page(request, refused=f"{error.message} {error.hint}", status=HTTPStatus.FORBIDDEN)
    return begin_session(request, Person(user, admin=True, how="link", address=context.address_of(request)), "/")


@router.post("/sign-out")
def sign_out(request: Request) -> Response:
    """End the session, and have the browser forget what it keeps of the console."""
    context = context_of(request)
    session = context.sessions.end(request.state.token)
    if session:
        log.info("web.signed_out", user=session.person.user, address=session.person.address)
    response = RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
    response.delete_cookie(context.cookie, path="/", secure=context.secure, httponly=True, samesite="lax")
    response.headers["Clear-Site-Data"] = '"cache", "cookies", "storage"'
    return response
