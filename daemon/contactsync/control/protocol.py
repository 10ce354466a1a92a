"""uvicorn's HTTP/1.1 protocol, with the peer as actor and limits for silent clients and for connections."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from contactsync.api.problems import MEDIA_TYPE, problem_of_status
from contactsync.serving.peer import peer_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send
    from uvicorn.server import ServerState

REQUEST_SECONDS = 10.0
"""How long a client may take to send a request; uvicorn's protocol has no limit."""
MOST_CONNECTIONS = 64
"""Each takes a file descriptor that a run may need. With the backlog it is far below the usual limit of 1,024.

Event streams do not count: they have a limit of their own.
"""
_MOST_HEADER_BYTES = 2_000_000
"""At the console's socket: the header that names a person has all groups, which may be thousands of DNs."""


class LimitedProtocol(H11Protocol):
    """One connection, whose request state has what `identify` returns; `request.state.abort` closes it at once.

    `request.state.watching` is called for a stream of events.
    Above the limit of connections, the one is closed that has waited longest for a request: a new client is served,
    however many others are silent.
    """

    def __init__(self, *, server_state: ServerState, app_state: dict[str, Any], **more: Any) -> None:
        self._request_state = {**app_state, "connection": self}
        super().__init__(server_state=server_state, app_state=self._request_state, **more)
        self._all = server_state.connections
        self._requests = 0
        self._timer: asyncio.TimerHandle | None = None
        self.waiting_since: float | None = None
        self.watches = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Identify the peer, and close another connection if there are too many of this kind."""
        super().connection_made(transport)
        self._request_state |= {
            **self.identify(transport),
            "abort": transport.abort,
            "watching": self._watch,
        }
        self._wait_for_request()
        connections = [each for each in self._all if isinstance(each, type(self)) and not each.watches]
        waiting = [each for each in connections if each.waiting_since is not None and not each.transport.is_closing()]
        if sum(not each.transport.is_closing() for each in connections) > MOST_CONNECTIONS:
            min(waiting, key=lambda each: each.waiting_since or 0.0).transport.abort()

    def identify(self, transport: asyncio.Transport) -> dict[str, Any]:
        """What the request state has about the client."""
        raise NotImplementedError

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def request_started(self) -> None:
        """The headers of a request are here."""
        self._requests += 1
        self._stop_waiting()

    def request_ended(self) -> None:
        """A request is answered; the next one, if it was pipelined, has started already."""
        self._requests -= 1
        if not self._requests and not self.transport.is_closing():
            self._wait_for_request()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP with a problem. It is internal to uvicorn, which has no public hook for this."""
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.abort()
            return
        body = problem_of_status(HTTPStatus.BAD_REQUEST, msg).model_dump_json(exclude_none=True).encode()
        headers = [("content-type", MEDIA_TYPE), ("content-length", str(len(body))), ("connection", "close")]
        response = h11.Response(status_code=HTTPStatus.BAD_REQUEST, headers=headers, reason=b"Bad Request")
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _watch(self) -> None:
        self.watches = True

    def _wait_for_request(self) -> None:
        """Start the timer; octets of an incomplete request do not restart it."""
        loop = asyncio.get_running_loop()
        self.waiting_since = loop.time()
        self._timer = loop.call_later(REQUEST_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self.waiting_since = None


class ControlProtocol(LimitedProtocol):
    """A connection to the control socket. `request.state.actor` is the peer."""

    def identify(self, transport: asyncio.Transport) -> dict[str, Any]:
        """The peer, by the kernel."""
        return {"actor": peer_of(transport.get_extra_info("socket"))}


class WebProtocol(LimitedProtocol):
    """A connection to the web console's socket. `request.state.console` says whether the peer is the console."""

    def __init__(self, *, console_uid: int, **more: Any) -> None:
        self._console_uid = console_uid
        super().__init__(**more)
        self.conn = h11.Connection(h11.SERVER, _MOST_HEADER_BYTES)  # uvicorn's setting would count for all sockets

    def identify(self, transport: asyncio.Transport) -> dict[str, Any]:
        """Compare the user of the peer, by the kernel, with the console's."""
        return {"console": peer_of(transport.get_extra_info("socket")).uid == self._console_uid}


class TlsProtocol(LimitedProtocol):
    """A connection over TLS. `request.state.address` is the client's; a token in the request names the actor."""

    def identify(self, transport: asyncio.Transport) -> dict[str, Any]:
        """The address of the client."""
        return {"address": transport.get_extra_info("peername")[0]}


def timed(app: ASGIApp) -> ASGIApp:
    """The ASGI application, whose requests stop and restart the timers of their connections."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        connection = scope["state"].pop("connection", None)
        if connection is None:  # the lifespan
            await app(scope, receive, send)
            return
        connection.request_started()
        try:
            await app(scope, receive, send)
        finally:
            connection.request_ended()

    return call
