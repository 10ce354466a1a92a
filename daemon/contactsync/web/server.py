"""The process of the console: uvicorn, until SIGTERM or SIGINT."""

from __future__ import annotations

import signal
import ssl
from collections.abc import MutableMapping
from typing import TYPE_CHECKING

import structlog
import uvicorn

from contactsync import __version__
from contactsync.errors import UsageError
from contactsync.serving.tls_context import server_tls
from contactsync.settings.extras import install_hint, is_installed
from contactsync.settings.schema import Settings
from contactsync.web.app import create_app
from contactsync.web.context import WebContext
from contactsync.web.listening import listening_socket
from contactsync.web.middleware.hosts import LOOPBACK, host_name
from contactsync.web.protocol import WebProtocol
from contactsync.web.sessions import Sessions
from contactsync.web.signin.directory import DirectorySignIn
from contactsync.web.signin.proxy import ProxySignIn

if TYPE_CHECKING:
    from contactsync.web.signin.oidc.sign_in import OidcSignIn

log = structlog.get_logger()

STOP_SECONDS = 5
IDLE_SECONDS = 30
_MOST_CONNECTIONS = 1000


def run_web(settings: Settings, environ: MutableMapping[str, str]) -> int:
    """Serve the console until a signal; returns the exit code. Raises SettingsError."""
    tls = server_tls(settings.web).context if settings.web.tls_certificate or settings.web.tls_key else None
    with listening_socket(settings.web, environ) as listening:
        context = _context(settings)
        server = uvicorn.Server(_config(context, tls))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)  # uvicorn raises the signal once more when it has stopped
        log.info("web.listening", url=context.origin, version=__version__)
        server.run(sockets=[listening])
    log.info("web.stopped")
    return 0


def _config(context: WebContext, tls: ssl.SSLContext | None) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(context),
        http=WebProtocol,
        loop="asyncio",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
        ssl_context_factory=(lambda _config, _default: tls) if tls else None,
    )


def _context(settings: Settings) -> WebContext:
    origin = settings.web.origin
    own = host_name(origin.partition("://")[2])
    hosts = {own, *map(host_name, settings.web.hosts.split()), *(LOOPBACK if own in LOOPBACK else ())}
    return WebContext(
        settings=settings,
        origin=origin,
        hosts=frozenset(hosts),
        sessions=Sessions(),
        directory=DirectorySignIn(settings) if settings.sign_in.query else None,
        oidc=_oidc(settings) if settings.sign_in.oidc_issuer else None,
        proxy=ProxySignIn(settings.sign_in) if settings.sign_in.proxy_user and settings.sign_in.proxy_header else None,
    )


def _oidc(settings: Settings) -> OidcSignIn:
    if not is_installed("oidc"):
        raise UsageError("The packages for [sign_in] oidc_issuer are not installed.", hint=install_hint("oidc"))
    from contactsync.web.signin.oidc.sign_in import OidcSignIn  # noqa: PLC0415 -- it needs an extra

    return OidcSignIn(settings)
