"""The thread that serves the API: at the control socket and, over TLS, at a port."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog
import uvicorn

from contactsync.control.protocol import ControlProtocol, TlsProtocol, WebProtocol, timed
from contactsync.control.socket import BACKLOG, Listening
from contactsync.control.tls_listener import TlsListener
from contactsync.errors import ContactsyncError, SettingsError
from contactsync.serving.address import bind
from contactsync.serving.tls_context import server_tls

if TYPE_CHECKING:
    from fastapi import FastAPI

    from contactsync.api.events import EventHub
    from contactsync.settings.schema import Api

log = structlog.get_logger()

START_SECONDS = 10.0
STOP_SECONDS = 2
"""The limit for open responses when the daemon stops."""
_TICK_SECONDS = 1.0
IDLE_SECONDS = 5
"""How long a connection may be open between two requests."""


class _Server(uvicorn.Server):
    ticked_at = 0.0
    loop: asyncio.AbstractEventLoop
    _ending: asyncio.Event
    tls: TlsListener
    web: socket.socket | None = None
    console_uid = -1

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Prepare for the web console and for TLS, which share the limits and the shutdown of uvicorn's own."""
        self.loop = asyncio.get_running_loop()
        self._ending = asyncio.Event()
        self.tls = TlsListener(self._make_tls_protocol)
        await super().startup(sockets)
        if self.web is not None:
            server = await self.loop.create_server(self._make_web_protocol, sock=self.web, backlog=BACKLOG)
            self.servers.append(server)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more connections, and end those that there are."""
        self.tls.close()
        await super().shutdown(sockets)

    def _make_tls_protocol(self) -> TlsProtocol:
        return TlsProtocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    def _make_web_protocol(self) -> WebProtocol:
        state = {"server_state": self.server_state, "app_state": self.lifespan.state}
        return WebProtocol(config=self.config, console_uid=self.console_uid, **state)

    async def main_loop(self) -> None:
        """Note the time and renew the Date header each second; uvicorn would wake up ten times."""
        while not await self.on_tick(0):
            self.ticked_at = time.monotonic()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), _TICK_SECONDS)

    def end(self) -> None:
        """Shut down at once; any thread may call it."""
        self.should_exit = True
        if self.started:
            with suppress(RuntimeError):  # the loop is closed
                self.loop.call_soon_threadsafe(self._ending.set)


class ControlServer:
    """uvicorn in a thread of its own; the main thread handles signals."""

    def __init__(self, app: FastAPI, hub: EventHub, listening: Listening, console_uid: int) -> None:
        self._hub = hub
        self._listening = listening.control
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
        self._server.web, self._server.console_uid = listening.web, console_uid
        self._address = ""
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

    def listen(self, settings: Api) -> None:
        """Serve TLS connections by these settings, or as before if that is not possible; the log says why."""
        address = self._address
        try:
            tls = server_tls(settings) if settings.listen else None
            listening = bind(settings.listen, "api") if settings.listen not in {"", address} else None
        except SettingsError as error:
            log.error("api.not_listening", listen=settings.listen, error_code=error.code, error=str(error))
            return
        self._address = settings.listen
        self._server.loop.call_soon_threadsafe(self._apply, tls.context if tls else None, listening)
        if tls is not None:
            expires_at = tls.expires_at.isoformat()
            log.info("api.listening", listen=settings.listen, certificate_expires_at=expires_at)
        elif address:
            log.info("api.closed", listen=address)

    def _apply(self, context: ssl.SSLContext | None, listening: socket.socket | None) -> None:
        if context is None:
            self._server.tls.close()
            return
        self._server.tls.use(context)
        if listening is not None:
            self._server.tls.listen(listening)

    def stop(self) -> None:
        """Accept no more connections, end the event streams and the thread."""
        self._hub.close()
        self._server.end()
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
