"""The sign-in page, the begin and the end of a session."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

import structlog
from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from contactsync.web.context import context_of
from contactsync.web.language import ngettext
from contactsync.web.person import Person
from contactsync.web.rendering import render
from contactsync.web.sessions import Tokens
from contactsync.web.signin.oidc.sealed import TYPED_SECONDS

log = structlog.get_logger()

TYPED = "typed."
"""Begins the names of the fields that hold what was typed before a session ended."""
_FORM = ":form"
"""The name, which is that of no field, of the path of the form."""


def sign_in_page(
    request: Request,
    *,
    to: str = "/",
    typed: Mapping[str, str] | None = None,
    name: str = "",
    ended: bool = False,
    refused: str = "",
    status: int = HTTPStatus.OK,
) -> Response:
    """The page; afterwards the browser goes to the path `to`, whose form then has the fields `typed`."""
    context = context_of(request)
    kept = context.oidc.typed.seal({**typed, _FORM: local_path(to)}) if context.oidc and typed else ""
    response = render(
        request,
        "sign_in.html.j2",
        http_status=status,
        to=local_path(to),
        typed=typed or {},
        ended=ended,
        refused=refused,
        name=name,
        prefix=TYPED,
        with_directory=context.directory is not None,
        provider=context.oidc.host if context.oidc else "",
        kept=bool(kept),
    )
    if kept:
        cookie, age = _typed_cookie(request), TYPED_SECONDS
        response.set_cookie(cookie, kept, age, path="/", secure=context.secure, httponly=True, samesite="lax")
    return response


def begin_session(
    request: Request,
    person: Person,
    to: str,
    typed: Mapping[str, str] | None = None,
    tokens: Tokens | None = None,
) -> Response:
    """Begin a session, in place of the browser's last one, and go to the path `to`."""
    context, path = context_of(request), local_path(to)
    context.sessions.end(request.state.token)
    token = context.sessions.begin(person)
    session = context.sessions.find(token)
    if session:
        session.tokens = tokens
        if typed:
            session.keep(urlsplit(path).path, typed)
    response = RedirectResponse(path, HTTPStatus.SEE_OTHER)
    response.set_cookie(context.cookie, token, path="/", secure=context.secure, httponly=True, samesite="lax")
    if _typed_cookie(request) in request.cookies:
        response.delete_cookie(_typed_cookie(request), secure=context.secure, httponly=True, samesite="lax")
    log.info("web.signed_in", user=person.user, admin=person.admin, how=person.how, address=person.address)
    return response


def too_many(wait: float) -> str:
    """The sentence about too many failed attempts, with the time to wait in seconds."""
    minutes = int(wait // 60) + 1
    return ngettext(
        "There were too many failed attempts. Try again in a minute.",
        "There were too many failed attempts. Try again in %(minutes)d minutes.",
        minutes,
    ) % {"minutes": minutes}


def typed_before(request: Request, to: str) -> Mapping[str, str]:
    """What was typed into the form at the path `to` before a person went to the provider."""
    context = context_of(request)
    sealed = request.cookies.get(_typed_cookie(request), "")
    typed = context.oidc.typed.open(sealed) if context.oidc else {}
    return typed if typed.pop(_FORM, "") == to else {}


def _typed_cookie(request: Request) -> str:
    return f"{context_of(request).cookie}-typed"


def local_path(path: str) -> str:
    r"""The path of a page of this console; the overview for anything else, such as `//host` and `/\host`."""
    is_local = path.startswith("/") and path[1:2] not in {"/", "\\"} and path.isprintable()
    return path if is_local and not urlsplit(path).netloc else "/"
