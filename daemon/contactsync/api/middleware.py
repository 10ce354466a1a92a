"""Around every request: a limit of its body, a problem for an unexpected error, a log line unless it only reads."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from anyio import to_thread
from starlette.exceptions import HTTPException

from contactsync import __version__
from contactsync.api.actor import log_fields
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
BODY_SECONDS = 20.0
"""How long a client may take to send the body of a request."""
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_DETAIL = {HTTPStatus.INTERNAL_SERVER_ERROR: "An unexpected error occurred. The log has the details."}
"""In place of HTTP's own words, to say what to do next."""


class _Refused(HTTPException):
    """The body is too large, or it comes too slowly. FastAPI passes on only exceptions of this kind."""


class _Body:
    """Receives the body of a request, within the limits of its size and its time."""

    def __init__(self, receive: Receive, path: str) -> None:
        self._receive = receive
        self._most = _LARGE_BODY_BYTES if path in _LARGE_BODIES else MOST_BODY_BYTES
        self._due: float | None = asyncio.get_running_loop().time() + BODY_SECONDS
        self._bytes = 0

    async def receive(self) -> Message:
        """The next part; after the last one, the end of the connection. Raises _Refused."""
        try:
            async with asyncio.timeout_at(self._due):
                message = await self._receive()
        except TimeoutError:
            raise _Refused(HTTPStatus.REQUEST_TIMEOUT) from None
        self._bytes += len(message.get("body", b""))
        if self._bytes > self._most:
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if not message.get("more_body", False):
            self._due = None
        return message


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

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], _VERSION]
            await send(message)

        try:
            await self._app(scope, _Body(receive, scope["path"]).receive, observed)
        except _Refused as refused:
            await _answer(HTTPStatus(refused.status_code), scope, receive, observed, begun=bool(status))
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
        **log_fields(actor),
        status=status,
        outcome="failed" if error else "refused" if status >= HTTPStatus.BAD_REQUEST else "done",
    )
