"""The thread that serves the control socket."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import uvicorn

from contactsync.control.protocol import ControlProtocol, timed
from contactsync.control.socket import BACKLOG
from contactsync.errors import ContactsyncError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from contactsync.api.events import EventHub

START_SECONDS = 10.0
STOP_SECONDS = 2
"""The limit for open responses when the daemon stops."""
IDLE_SECONDS = 5
"""How long a connection may be open between two requests."""


class _Server(uvicorn.Server):
    ticked_at = 0.0

    async def on_tick(self, counter: int) -> bool:
        """Note the time; uvicorn calls this ten times a second."""
        self.ticked_at = time.monotonic()
        return await super().on_tick(counter)


class ControlServer:
    """uvicorn in a thread of its own; the main thread handles signals."""

    def __init__(self, app: FastAPI, hub: EventHub, listening: socket.socket) -> None:
        self._hub = hub
        self._listening = listening
        config = uvicorn.Config(
            timed(app),
            http=ControlProtocol,
            loop="asyncio",
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._serve, name="control", daemon=True)

    def start(self) -> None:
        """Start the thread and return as soon as it serves requests. Raises ContactsyncError."""
        self._server.ticked_at = time.monotonic()
        self._thread.start()
        end = time.monotonic() + START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > end:
                raise ContactsyncError("The control socket cannot be served.", hint="The log says why.")
            time.sleep(0.01)

    def stop(self) -> None:
        """Accept no more connections, end the event streams and the thread."""
        self._hub.close()
        self._server.should_exit = True
        self._thread.join(STOP_SECONDS + START_SECONDS)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def silent_seconds(self) -> float:
        """Seconds since the last tick of the event loop."""
        return time.monotonic() - self._server.ticked_at

    def _serve(self) -> None:
        self._server.run(sockets=[self._listening])
