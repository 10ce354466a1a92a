"""The ASGI application of the console."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from anyio import to_thread
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.middleware.gzip import GZipMiddleware

from contactsync.errors import ControlError
from contactsync.serving.client import Daemon
from contactsync.web import static_files
from contactsync.web.context import WebContext, context_of
from contactsync.web.error_pages import add_error_pages
from contactsync.web.middleware.defects import Defects
from contactsync.web.middleware.headers import SecurityHeaders
from contactsync.web.middleware.hosts import HostCheck
from contactsync.web.middleware.limits import BodyLimit, TimeLimit
from contactsync.web.middleware.origin import OriginCheck
from contactsync.web.middleware.session import SessionLookup
from contactsync.web.pages import (
    browse,
    choose_language,
    contacts,
    daemon,
    decisions,
    deeds,
    explain,
    folders,
    overview,
    progress,
    rights,
    runs,
    settings,
)
from contactsync.web.pages.folder import changes, edits, mapping, removal
from contactsync.web.signin import routes as signin
from contactsync.web.signin.oidc import routes as oidc

THREADS = 16
"""The limit of requests that wait for the daemon at once."""
PAGES = (
    overview,
    settings,
    folders,
    contacts,
    deeds,
    progress,
    explain,
    browse,
    rights,
    changes,
    edits,
    mapping,
    removal,
    decisions,
    runs,
    daemon,
    choose_language,
)
"""The modules of the pages."""

_health = APIRouter()


def create_app(context: WebContext) -> FastAPI:
    """The application over these parts."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=_lifespan)
    app.state.context = context
    for router in (_health, static_files.router, oidc.router, signin.router, *(page.router for page in PAGES)):
        app.include_router(router)
    add_error_pages(app)
    # The last one is the first to see a request.
    app.add_middleware(Defects)
    app.add_middleware(SessionLookup, sessions=context.sessions, cookie=context.cookie)
    app.add_middleware(BodyLimit)
    app.add_middleware(TimeLimit)
    app.add_middleware(OriginCheck)
    app.add_middleware(HostCheck, hosts=context.hosts)
    app.add_middleware(GZipMiddleware, minimum_size=500)
    app.add_middleware(SecurityHeaders, secure=context.secure)
    return app


@asynccontextmanager
async def _lifespan(_app: FastAPI) -> AsyncIterator[None]:
    to_thread.current_default_thread_limiter().total_tokens = THREADS
    yield


@_health.get("/health")
def health(request: Request) -> Response:
    """Whether the console and the daemon work, for the web server in front: 200 or 503."""
    try:
        Daemon(context_of(request).socket).get("/v1/health/live")
    except ControlError as error:
        return JSONResponse({"healthy": False, "code": error.code}, HTTPStatus.SERVICE_UNAVAILABLE)
    return JSONResponse({"healthy": True})
