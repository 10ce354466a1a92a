"""The port of the metrics: HTTP or HTTPS, with the name and password of a scraper if the settings have one.

The server of prometheus_client would wait for each TLS handshake before it accepts the next connection.
"""

from __future__ import annotations

import base64
import hmac
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIEnvironment

import structlog
from prometheus_client import CollectorRegistry, make_wsgi_app

from contactsync.errors import ContactsyncError, SettingsError
from contactsync.serving.address import bind
from contactsync.serving.limits import RateLimiter
from contactsync.serving.secret_file import read_secret
from contactsync.serving.tls_context import server_tls
from contactsync.settings.schema import Metrics

log = structlog.get_logger()

_SECONDS = 10
"""How long a client may take for its handshake, and for its request."""
_MOST_CLIENTS = 64
_LINES_PER_MINUTE = 10
"""The most lines of the log about one address."""


class MetricsServer:
    """Serves a registry as the settings say; without an address, not at all."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._metrics = make_wsgi_app(registry)
        self._context: ssl.SSLContext | None = None
        self._credentials = b""
        self._failures, self._guard = RateLimiter(burst_seconds=60), threading.Lock()

    @contextmanager
    def serving(self, settings: Metrics) -> Iterator[None]:
        """Serve within the block. Raises SettingsError or SecretError if these settings cannot be used."""
        if not settings.listen:
            yield
            return
        self._read_files(settings)
        with _Server(bind(settings.listen, "metrics"), lambda: self._context) as server:
            server.set_app(self._answer)
            thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()

    def reload(self, settings: Metrics) -> None:
        """Use the files of these settings from now on, or those before if they cannot be used; the log says why."""
        if settings.listen:
            try:
                self._read_files(settings)
            except ContactsyncError as error:
                log.error("metrics.not_reloaded", error_code=error.code, error=str(error))

    def _read_files(self, settings: Metrics) -> None:
        context = server_tls(settings).context if settings.tls_certificate or settings.tls_key else None
        if bool(settings.user) != bool(settings.password_file):
            raise SettingsError(
                "[metrics] user and password_file are needed together, and one of them is not set.",
                hint="Set both in settings.toml, or none.",
            )
        credentials = b""
        if settings.user:
            password = read_secret(settings.password_file, "[metrics] password_file")
            credentials = b"Basic " + base64.b64encode(f"{settings.user}:{password}".encode())
        if settings.tls_client_ca and context is None:
            raise SettingsError(
                "[metrics] tls_client_ca needs tls_certificate and tls_key.", hint="Set them in settings.toml."
            )
        self._context, self._credentials = context, credentials

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        given = environ.get("HTTP_AUTHORIZATION", "").encode("latin-1")
        if self._credentials and not hmac.compare_digest(given, self._credentials):
            if given:
                self._log_refused(environ["REMOTE_ADDR"])
            status = HTTPStatus.UNAUTHORIZED
            headers = [
                ("Content-Type", "text/plain; charset=utf-8"),
                ("WWW-Authenticate", 'Basic realm="contactsync", charset="UTF-8"'),
            ]
            start_response(f"{status.value} {status.phrase}", headers)
            return [b"The metrics need the user and the password of [metrics] in settings.toml.\n"]
        answer: Iterable[bytes] = self._metrics(environ, start_response)
        return answer

    def _log_refused(self, address: str) -> None:
        with self._guard:
            is_limited = self._failures.take(address, _LINES_PER_MINUTE)
        if not is_limited:
            log.warning("metrics.refused", address=address)


class _Handler(WSGIRequestHandler):
    """Handles one connection on a thread of its own, and logs nothing."""

    timeout = _SECONDS

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  (the name of the base class)
        pass


class _Server(ThreadingMixIn, WSGIServer):
    """A server on a socket that listens already. `context_of` gives the TLS context of a new connection, if any."""

    daemon_threads = True

    def __init__(self, listening: socket.socket, context_of: Callable[[], ssl.SSLContext | None]) -> None:
        address = listening.getsockname()
        super().__init__(address[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.server_name, self.server_port = address[:2]
        self.setup_environ()
        self._context_of = context_of
        self._free = threading.BoundedSemaphore(_MOST_CLIENTS)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection. Its handshake is made by its thread, with the first octets that are read."""
        connection, address = super().get_request()
        if context := self._context_of():
            connection = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def process_request(self, request: Any, client_address: Any) -> None:
        """Handle a connection on a thread, unless there are very many."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Handle a connection; then another one may have its place."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, which a client may have left before its handshake."""
        with suppress(OSError):
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """A client has left, is too slow, or speaks no TLS."""
        log.debug("metrics.connection_failed", address=client_address[0])
