"""Around every request: a limit for its body, a problem for what nobody foresaw, a log line for what changes things."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from anyio import to_thread

from contactsync.api.problems import problem_of_status, respond

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from contactsync.api.actor import Actor

log = structlog.get_logger()

MOST_BODY_BYTES = 64 * 1024
_LOOKING = frozenset({"GET", "HEAD", "OPTIONS"})
_DETAIL = {
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something that contactsync did not foresee went wrong; the log has the details."
}
"""Where HTTP's own words would leave people without a next step."""


class _TooLarge(Exception):
    """The body is longer than it may be."""


class ErrorMiddleware:
    """ASGI middleware; nothing but a cancellation gets past it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0
        taken = 0

        async def limited() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MOST_BODY_BYTES:
                raise _TooLarge
            return message

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, limited, noted)
        except _TooLarge:
            await _answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, scope, receive, noted, begun=bool(status))
        except Exception:
            log.exception("control.crashed", method=scope["method"], path=scope["path"])
            await _answer(HTTPStatus.INTERNAL_SERVER_ERROR, scope, receive, noted, begun=bool(status))
        finally:
            if scope["method"] not in _LOOKING:
                await to_thread.run_sync(_log_call, scope, status)


async def _answer(status: HTTPStatus, scope: Scope, receive: Receive, send: Send, *, begun: bool) -> None:
    if begun:
        scope["state"]["abort"]()
        return
    await respond(problem_of_status(status, _DETAIL.get(status), scope["path"]))(scope, receive, send)


def _log_call(scope: Scope, status: int) -> None:
    """Who told the daemon to do what; not on the event loop, since a user's name may come over the network."""
    actor: Actor = scope["state"]["actor"]
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
