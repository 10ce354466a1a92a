"""Limits of a request: the size of its body, and the time until its answer begins."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.datastructures import State
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BODY_BYTES = 64 * 1024
REQUEST_SECONDS = 30.0
LONG_REQUEST_SECONDS = 300.0
"""For what reads a directory or undoes a run."""
_END_SECONDS = 10.0
"""The time to answer that the daemon did not, at the end of a long request."""


def allow_long(state: State) -> None:
    """Give the answer to a request more time than others have."""
    state.answer_seconds = LONG_REQUEST_SECONDS + _END_SECONDS


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
    """ASGI middleware. The limit is for the time until the answer begins: a stream of events may go on.

    `state.answer_seconds` is another limit, if the page of the request has set one.
    """

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
            waited = 0.0
            while not (begun.is_set() or answer.done()):
                rest = scope.get("state", {}).get("answer_seconds", self._seconds) - waited
                if rest <= 0:
                    break
                await asyncio.wait({answer, beginning}, timeout=rest, return_when=asyncio.FIRST_COMPLETED)
                waited += rest
            if begun.is_set() or answer.done():
                await answer
                return
            late = True
            text = "The console gave no answer in time. It may still do what was asked: look before you ask again.\n"
            await PlainTextResponse(text, HTTPStatus.GATEWAY_TIMEOUT)(scope, receive, send)
        finally:
            beginning.cancel()
            answer.cancel()  # a thread of it may go on, until the daemon has answered
