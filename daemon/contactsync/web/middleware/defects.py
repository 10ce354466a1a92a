"""Answers an unexpected error with a page, and logs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from fastapi import Request

from contactsync.web.error_pages import defect_page, path_for_log

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger()


class Defects:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception:
            if scope["type"] != "http" or begun:
                raise
            log.exception("web.crashed", method=scope["method"], path=path_for_log(scope))
            await defect_page(Request(scope))(scope, receive, send)
