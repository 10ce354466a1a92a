"""The port of the API: accepts TLS connections in the event loop that also serves the control socket.

asyncio's own server has no limit of handshakes, and cannot replace its certificate.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

import structlog

log = structlog.get_logger()

MOST_HANDSHAKES = 32
"""Beyond it the handshake ends that has taken longest: a new client is served, however many others are silent."""
HANDSHAKE_SECONDS = 10.0
_SHUTDOWN_SECONDS = 2.0
_PAUSE_SECONDS = 1.0


class TlsListener:
    """One listening socket at most. All its methods are for the event loop's thread."""

    def __init__(self, make_protocol: Callable[[], asyncio.Protocol]) -> None:
        self._make_protocol = make_protocol
        self._context: ssl.SSLContext | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._handshakes: dict[asyncio.Task[None], None] = {}

    def use(self, context: ssl.SSLContext) -> None:
        """Use this context for new connections."""
        self._context = context

    def listen(self, listening: socket.socket) -> None:
        """Accept connections from this socket, in place of the one before. Those that are open stay."""
        self.close()
        self._accepting = asyncio.ensure_future(self._accept(listening))

    def close(self) -> None:
        """Accept no more connections."""
        for task in [self._accepting, *self._handshakes]:
            if task is not None:
                task.cancel()
        self._accepting = None

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listening:
            while True:
                try:
                    connection, _ = await loop.sock_accept(listening)
                except OSError:  # no file descriptor is free, or the client has left already
                    await asyncio.sleep(_PAUSE_SECONDS)
                    continue
                if len(self._handshakes) >= MOST_HANDSHAKES:
                    oldest = next(iter(self._handshakes))
                    del self._handshakes[oldest]
                    oldest.cancel()
                task = loop.create_task(self._shake_hands(connection))
                self._handshakes[task] = None
                task.add_done_callback(lambda done: self._handshakes.pop(done, None))

    async def _shake_hands(self, connection: socket.socket) -> None:
        """Hand the connection over to a protocol, which lives as long as the connection."""
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                self._make_protocol,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
            )
        except OSError as error:  # ssl.SSLError and TimeoutError are kinds of it
            log.debug("api.handshake_failed", error=str(error))
            with suppress(OSError):
                connection.close()
        except asyncio.CancelledError:
            connection.close()
            raise
