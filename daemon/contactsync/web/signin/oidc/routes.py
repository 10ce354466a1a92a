"""To the provider and back. Both are links: a form that leads to another site is blocked by `form-action`."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

import structlog
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from contactsync.web.context import context_of
from contactsync.web.middleware.limits import allow_long
from contactsync.web.signin.oidc.failures import OF_PROVIDER, Reason, SignInFailed, sentence
from contactsync.web.signin.oidc.sealed import BEGUN_SECONDS
from contactsync.web.signin.page import begin_session, local_path, sign_in_page, too_many, typed_before

if TYPE_CHECKING:
    from contactsync.web.signin.oidc.sign_in import OidcSignIn

log = structlog.get_logger()

router = APIRouter()


def _provider(request: Request) -> OidcSignIn:
    oidc = context_of(request).oidc
    if oidc is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return oidc


Oidc = Annotated["OidcSignIn", Depends(_provider)]


@router.get("/sign-in/oidc", response_model=None)
def go(request: Request, oidc: Oidc, to: str = "/") -> Response:
    """Send the browser to the provider."""
    allow_long(request.state)
    try:
        url, begun = oidc.begin(local_path(to))
    except SignInFailed as failure:
        return _refuse(request, oidc, failure, to)
    response = RedirectResponse(url, HTTPStatus.SEE_OTHER)
    context = context_of(request)
    response.set_cookie(
        _cookie(request), begun, BEGUN_SECONDS, path="/", secure=context.secure, httponly=True, samesite="lax"
    )
    return response


@router.get("/sign-in/oidc/back", response_model=None)
def come_back(request: Request, oidc: Oidc) -> Response:
    """Sign in the person whom the provider has sent back."""
    allow_long(request.state)
    context = context_of(request)
    address = context.address_of(request)
    if wait := context.attempts.begin(None, address):
        return sign_in_page(request, refused=too_many(wait), status=HTTPStatus.TOO_MANY_REQUESTS)
    begun = request.cookies.get(_cookie(request), "")
    try:
        done = oidc.finish(begun, dict(request.query_params), address)
    except SignInFailed as failure:
        if failure.reason is not Reason.CODE:
            context.attempts.withdraw(None, address)
        return _refuse(request, oidc, failure, oidc.begun.open(begun).get("to", "/"))
    context.attempts.withdraw(None, address)
    response = begin_session(request, done.person, done.to, typed_before(request, done.to), done.tokens)
    response.delete_cookie(_cookie(request), secure=context.secure, httponly=True, samesite="lax")
    return response


def _refuse(request: Request, oidc: OidcSignIn, failure: SignInFailed, to: str) -> Response:
    told = {
        "address": context_of(request).address_of(request),
        "error_code": failure.code,
        "error": failure.message,
    }
    if failure.reason in OF_PROVIDER:
        log.error("web.provider_failed", **told)
    else:
        log.warning("web.sign_in_refused", how="oidc", user=failure.user, **told)
    return sign_in_page(request, to=to, refused=sentence(failure, oidc.host), status=failure.status)


def _cookie(request: Request) -> str:
    return f"{context_of(request).cookie}-oidc"
