"""uvicorn's HTTP/1.1 with what a socket needs that many may connect to: who it is, patience, and an end of room."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from contactsync.api.actor import peer_of
from contactsync.api.problems import MEDIA_TYPE, problem_of_status

REQUEST_SECONDS = 10.0
"""How long a client may take for a request, headers and body; uvicorn's own h11 protocol waits for ever."""
MOST_CONNECTIONS = 64
"""Each is a file descriptor that a run may need. With the backlog it stays far below the usual limit of 1,024."""


class ControlProtocol(H11Protocol):
    """One connection. `request.state.peer` is the Peer, `request.state.abort` cuts the connection off at once.

    When there is no room, the connection goes that has owed a whole request for longest: a newcomer that asks
    something is served, however many others keep silent.
    """

    owing_since: float | None = None
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Note who it is, and make room."""
        super().connection_made(transport)
        peer = peer_of(transport.get_extra_info("socket"))
        self.app_state = {**self.app_state, "peer": peer, "abort": transport.abort}
        self._watch_the_clock()
        self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._owes(owing=False)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """As uvicorn does, and see whether the client still owes us something."""
        super().handle_events()
        self._watch_the_clock()

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP gets a problem as well."""
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.abort()
            return
        body = problem_of_status(HTTPStatus.BAD_REQUEST, msg).model_dump_json(exclude_none=True).encode()
        headers = [("content-type", MEDIA_TYPE), ("content-length", str(len(body))), ("connection", "close")]
        response = h11.Response(status_code=HTTPStatus.BAD_REQUEST, headers=headers, reason=b"Bad Request")
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _watch_the_clock(self) -> None:
        self._owes(owing=self.conn.their_state in {h11.IDLE, h11.SEND_BODY})

    def _owes(self, *, owing: bool) -> None:
        """Start the clock when the client begins to owe a request; some octets of it do not set it back."""
        if not owing and self._patience:
            self._patience.cancel()
            self._patience = self.owing_since = None
        elif owing and self._patience is None:
            self.owing_since = self.loop.time()
            self._patience = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)

    def _make_room(self) -> None:
        here = [other for other in self.connections if isinstance(other, ControlProtocol)]
        there = [other for other in here if not other.transport.is_closing()]
        if len(there) > MOST_CONNECTIONS:
            # The newcomer is among them, so there always is one.
            owing = [other for other in there if other.owing_since is not None]
            min(owing, key=lambda other: other.owing_since or 0.0).transport.abort()
