"""The choice of a language, which the browser keeps in a cookie."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from contactsync.web.context import context_of
from contactsync.web.language import COOKIE, LANGUAGES
from contactsync.web.signin.page import local_path

router = APIRouter()

_YEAR_SECONDS = 365 * 24 * 60 * 60


@router.post("/language")
def choose_language(request: Request, language: Annotated[str, Form()] = "") -> Response:
    """Keep a language, and go back to the page of the form."""
    context = context_of(request)
    referer = urlsplit(request.headers.get("referer", ""))
    own = f"{referer.scheme}://{referer.netloc}" == context.origin
    path = f"{referer.path}?{referer.query}".removesuffix("?") if own else "/"
    response = RedirectResponse(local_path(path), HTTPStatus.SEE_OTHER)
    if language in LANGUAGES:
        response.set_cookie(
            COOKIE, language, max_age=_YEAR_SECONDS, secure=context.secure, httponly=True, samesite="lax"
        )
    return response
