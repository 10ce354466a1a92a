"""uvicorn's HTTP/1.1 protocol, with the peer as actor and limits for silent clients and for connections."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from contactsync.api.problems import MEDIA_TYPE, problem_of_status
from contactsync.control.peer import peer_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send
    from uvicorn import Config
    from uvicorn.server import ServerState

REQUEST_SECONDS = 10.0
"""How long a client may take to send a request; uvicorn's protocol has no limit."""
MOST_CONNECTIONS = 64
"""Each takes a file descriptor that a run may need. With the backlog it is far below the usual limit of 1,024."""


class ControlProtocol(H11Protocol):
    """One connection. `request.state.actor` is the peer, `request.state.abort` closes the connection at once.

    Above the limit of connections, the one is closed that has waited longest for a request: a new client is served,
    however many others are silent.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._request_state = {**app_state, "connection": self}
        super().__init__(config, server_state, self._request_state, _loop)
        self._others = server_state.connections
        self._requests = 0
        self._timer: asyncio.TimerHandle | None = None
        self.waiting_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Identify the peer, and close another connection if there are too many."""
        super().connection_made(transport)
        peer = peer_of(transport.get_extra_info("socket"))
        self._request_state |= {"actor": peer, "abort": transport.abort}
        self._wait_for_request()
        self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def request_started(self) -> None:
        """A request is here, at least its headers."""
        self._requests += 1
        self._stop_waiting()

    def request_ended(self) -> None:
        """The request is answered. The next one, if it was pipelined, may have started before."""
        self._requests -= 1
        if not self._requests and not self.transport.is_closing():
            self._wait_for_request()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP with a problem document.

        A method of uvicorn's that is not documented: no public hook sees octets that are not HTTP.
        """
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.abort()
            return
        body = problem_of_status(HTTPStatus.BAD_REQUEST, msg).model_dump_json(exclude_none=True).encode()
        headers = [("content-type", MEDIA_TYPE), ("content-length", str(len(body))), ("connection", "close")]
        response = h11.Response(status_code=HTTPStatus.BAD_REQUEST, headers=headers, reason=b"Bad Request")
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _wait_for_request(self) -> None:
        """Start the timer; octets of an incomplete request do not restart it."""
        loop = asyncio.get_running_loop()
        self.waiting_since = loop.time()
        self._timer = loop.call_later(REQUEST_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self.waiting_since = None

    def _make_room(self) -> None:
        protocols = [other for other in self._others if isinstance(other, ControlProtocol)]
        open_ones = [other for other in protocols if not other.transport.is_closing()]
        if len(open_ones) > MOST_CONNECTIONS:
            # There always is one: the new connection has no request yet.
            waiting = [other for other in open_ones if other.waiting_since is not None]
            min(waiting, key=lambda other: other.waiting_since or 0.0).transport.abort()


def timed(app: ASGIApp) -> ASGIApp:
    """The ASGI application, whose requests stop and restart the timers of their connections."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        connection: ControlProtocol = scope["state"].pop("connection")
        connection.request_started()
        try:
            await app(scope, receive, send)
        finally:
            connection.request_ended()

    return call
