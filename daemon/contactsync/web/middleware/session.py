"""Finds the session and the language of each request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from contactsync.web.language import COOKIE, language_for, use_language

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from contactsync.web.sessions import Sessions


class SessionLookup:
    """ASGI middleware. `state.session` becomes the session, or None; `state.token` the text of its cookie."""

    def __init__(self, app: ASGIApp, *, sessions: Sessions, cookie: str) -> None:
        self._app = app
        self._sessions = sessions
        self._cookie = cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            cookies = cookie_parser(headers.get("cookie", ""))
            token = cookies.get(self._cookie, "")
            state = scope.setdefault("state", {})
            state["token"], state["session"] = token, self._sessions.find(token) if token else None
            use_language(language_for(cookies.get(COOKIE, ""), headers.get("accept-language", "")))
        await self._app(scope, receive, send)
