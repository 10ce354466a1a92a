"""Limits of a request: the size of its body, and the time until its answer begins."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BODY_BYTES = 64 * 1024
REQUEST_SECONDS = 30.0


class BodyLimit:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        read = 0

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MOST_BODY_BYTES:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return message

        await self._app(scope, limited if scope["type"] == "http" else receive, send)


class TimeLimit:
    """ASGI middleware. The limit is for the time until the answer begins: a stream of events may go on."""

    def __init__(self, app: ASGIApp, *, seconds: float = REQUEST_SECONDS) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, late = asyncio.Event(), False

        async def noted(message: Message) -> None:
            if not late:
                begun.set()
                await send(message)

        answer = asyncio.ensure_future(self._app(scope, receive, noted))
        beginning = asyncio.ensure_future(begun.wait())
        try:
            await asyncio.wait({answer, beginning}, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
            if begun.is_set() or answer.done():
                await answer
                return
            late = True
            text = "The console gave no answer in time. Load the page again.\n"
            await PlainTextResponse(text, HTTPStatus.GATEWAY_TIMEOUT)(scope, receive, send)
        finally:
            beginning.cancel()
            answer.cancel()  # a thread of it may go on, until the daemon has answered
