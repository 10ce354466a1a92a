"""The ASGI application of the API; its OpenAPI document is at /v1/openapi.json."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from anyio import to_thread
from fastapi import Depends, FastAPI
from fastapi.openapi.utils import get_openapi

from contactsync import __version__
from contactsync.api.access.authentication import Authentication
from contactsync.api.access.guard import guard
from contactsync.api.access.token_cache import TokenCache
from contactsync.api.context import ApiContext
from contactsync.api.middleware import ErrorMiddleware
from contactsync.api.problems import Problem, add_handlers, problem_responses
from contactsync.api.routes import (
    audit,
    console,
    contacts,
    decisions,
    declarations,
    definitions,
    drafts,
    events,
    fleet,
    log,
    read,
    requests,
    run_lists,
    runs,
    tokens,
)

THREADS = 4
"""The limit of requests that use the database at once; others wait."""

DESCRIPTION = """\
Status, runs and control of the contactsync daemon, on its Unix socket. A user who may connect may do everything.
Programs on other machines use it over TLS with a token, which has rights and is for some folders or for everything.

A path names a definition by its id. `GET /v1/definitions?name=` finds it by its label (`Staff`, `anna/Private`,
`Staff:branch`).
"""

_TOKEN = {
    "type": "http",
    "scheme": "bearer",
    "description": "The token that `contactsync tokens add` prints. The Unix socket needs none.",
}
"""OpenAPI's Security Scheme Object."""


def create_app(context: ApiContext) -> FastAPI:
    """The application over these parts of the daemon."""
    app = FastAPI(
        title="contactsync",
        version=__version__,
        description=DESCRIPTION,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
        responses=problem_responses(),
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.context = context
    reading = (read, log, run_lists, contacts, audit, events, fleet)
    for part in (*reading, declarations, definitions, drafts, requests, runs, decisions, tokens, console):
        app.include_router(part.router, prefix="/v1", dependencies=[Depends(guard)])
    add_handlers(app)
    app.add_middleware(ErrorMiddleware)
    # The last one is the first to see a request.
    app.add_middleware(
        Authentication,
        cache=TokenCache(context.pool),
        requests_per_minute=lambda: context.settings().api.requests_per_minute,
    )
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    to_thread.current_default_thread_limiter().total_tokens = THREADS
    app.state.context.hub.open(asyncio.get_running_loop())
    yield


def _document(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, with the schema of problems, and the first sentence about a route as its summary."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= problem.pop("$defs", {}) | {"Problem": problem}
        for operation in (each for path in document["paths"].values() for each in path.values()):
            operation["summary"] = operation["description"].partition(".")[0]
        document["components"]["securitySchemes"] = {"token": _TOKEN}
        document["security"] = [{"token": []}, {}]
        app.openapi_schema = document
    return app.openapi_schema
