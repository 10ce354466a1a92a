"""uvicorn's HTTP/1.1 protocol, with the user of the process at the other end of a Unix socket."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from contactsync.serving.peer import peer_of


class WebProtocol(H11Protocol):
    """One connection. `request.state.peer_uid` is the user at the other end of a Unix socket, None for TCP."""

    def __init__(self, *, server_state: ServerState, app_state: dict[str, Any], **more: Any) -> None:
        self._request_state = {**app_state, "peer_uid": None}
        super().__init__(server_state=server_state, app_state=self._request_state, **more)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Note the user of the peer."""
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family == socket.AF_UNIX:
            self._request_state["peer_uid"] = peer_of(connection).uid
