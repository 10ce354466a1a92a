"""Around every request: a limit of its body, a problem for an unexpected error, a log line unless it only reads."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from anyio import to_thread

from contactsync import __version__
from contactsync.api.problems import problem_of_status, respond

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from contactsync.api.actor import Requester

log = structlog.get_logger()

MOST_BODY_BYTES = 64 * 1024
_LARGE_BODY_BYTES = 16 * 1024 * 1024
_LARGE_BODIES = frozenset({"/v1/definitions/plan", "/v1/definitions/apply"})
"""The paths whose requests have many definitions."""
_VERSION = (b"contactsync-version", __version__.encode())
"""A header of every answer."""
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_DETAIL = {HTTPStatus.INTERNAL_SERVER_ERROR: "An unexpected error occurred. The log has the details."}
"""In place of HTTP's own words, to say what to do next."""


class _TooLarge(Exception):
    """The body is too large."""


class ErrorMiddleware:
    """ASGI middleware that answers every exception except a cancellation."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0
        received = 0
        limit = _LARGE_BODY_BYTES if scope["path"] in _LARGE_BODIES else MOST_BODY_BYTES

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise _TooLarge
            return message

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], _VERSION]
            await send(message)

        try:
            await self._app(scope, limited, observed)
        except _TooLarge:
            await _answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, scope, receive, observed, begun=bool(status))
        except Exception:
            log.exception("control.crashed", method=scope["method"], path=scope["path"])
            await _answer(HTTPStatus.INTERNAL_SERVER_ERROR, scope, receive, observed, begun=bool(status))
        finally:
            if scope["method"] not in _READING:
                await to_thread.run_sync(_log_call, scope, status)


async def _answer(status: HTTPStatus, scope: Scope, receive: Receive, send: Send, *, begun: bool) -> None:
    if begun:
        scope["state"]["abort"]()
        return
    await respond(problem_of_status(status, _DETAIL.get(status), scope["path"]))(scope, receive, send)


def _log_call(scope: Scope, status: int) -> None:
    """Log who made the request; not on the event loop, because the actor's name may have to be looked up."""
    actor: Requester = scope["state"]["actor"]
    error = status >= HTTPStatus.INTERNAL_SERVER_ERROR or not status
    log.log(
        logging.WARNING if error else logging.INFO,
        "control.call",
        method=scope["method"],
        path=scope["path"],
        uid=actor.uid,
        pid=actor.pid,
        user=actor.name,
        status=status,
        outcome="failed" if error else "refused" if status >= HTTPStatus.BAD_REQUEST else "done",
    )
