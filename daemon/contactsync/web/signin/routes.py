"""Sign in and out."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import structlog
from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from contactsync.errors import ContactsyncError
from contactsync.ldap.accounts import AccountState, AccountUnusable
from contactsync.serving.client import Daemon, DaemonError
from contactsync.web.context import context_of
from contactsync.web.language import gettext as _
from contactsync.web.person import Person
from contactsync.web.rendering import render
from contactsync.web.signin.page import TYPED, begin_session, sign_in_page, too_many
from contactsync.web.words.problems import in_words

log = structlog.get_logger()

router = APIRouter()

_MOST_FIELDS = 200


@router.get("/sign-in")
def sign_in_form(request: Request, to: str = "/") -> Response:
    """The form; not needed if the web server in front has signed the person in."""
    context = context_of(request)
    person = context.proxy.person(request, context.address_of(request)) if context.proxy else None
    return begin_session(request, person, to) if person else sign_in_page(request, to=to)


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Sign in with the password of the directory. The form also has what was typed before a session ended."""
    async with request.form(max_files=0, max_fields=_MOST_FIELDS) as form:
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
    return await run_in_threadpool(_sign_in, request, fields)


def _sign_in(request: Request, fields: Mapping[str, str]) -> Response:
    context = context_of(request)
    name, address, to = fields.get("name", "").strip(), context.address_of(request), fields.get("to", "/")
    typed = {key.removeprefix(TYPED): value for key, value in fields.items() if key.startswith(TYPED)}
    person, problem, status = None, "", HTTPStatus.FORBIDDEN
    if context.directory is None:
        problem = _("Nobody signs in by a password here.")
    elif wait := context.attempts.begin(name, address):
        problem = too_many(wait)
        status = HTTPStatus.TOO_MANY_REQUESTS
    else:
        try:
            person = context.directory.sign_in(name, fields.get("password", ""), address)
            problem = _("The user name or the password is wrong, or you may not sign in here.")
        except AccountUnusable as unusable:
            problem = _of_account(unusable.state)
            if unusable.state is AccountState.PASSWORD_EXPIRED:  # the password was right
                context.attempts.withdraw(name, address)
        except ContactsyncError as error:
            log.error("web.directory_failed", error_code=error.code, error=error.message)
            problem = _("The directory cannot check passwords now. The console's log has the reason.")
            status = HTTPStatus.SERVICE_UNAVAILABLE
            context.attempts.withdraw(name, address)
    if person:
        context.attempts.succeed(name, address)
        return begin_session(request, person, to, typed)
    log.warning("web.sign_in_refused", how="directory", user=name[:200], address=address, status=status)
    return sign_in_page(request, to=to, typed=typed, name=name, refused=problem, status=status)


def _of_account(state: AccountState) -> str:
    return {
        AccountState.LOCKED: _("The directory has locked this account. Wait until it is unlocked, or ask for that."),
        AccountState.DISABLED: _("This account is disabled in the directory, or has expired. Ask its administrator."),
        AccountState.PASSWORD_EXPIRED: _("Your password has to be changed. Change it where you log on, then sign in."),
    }[state]


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
        return sign_in_page(
            request, refused=in_words(error.code, error.message, error.hint), status=HTTPStatus.FORBIDDEN
        )
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
