"""`contactsync web` and `contactsync web sign-in`."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING

from contactsync.cli.output.text import show_json, show_text
from contactsync.errors import NeedsDaemon, UsageError
from contactsync.log.library import import_structlog
from contactsync.serving.client import live_daemon
from contactsync.settings.extras import install_hint, is_installed

if TYPE_CHECKING:
    from contactsync.cli.context import Invocation


def serve(invocation: Invocation, environ: MutableMapping[str, str]) -> int:
    """Serve the console; returns the exit code. Raises SettingsError, UsageError."""
    if not is_installed("web"):
        raise UsageError("The packages of the web console are not installed.", hint=install_hint("web"))
    import_structlog()
    from contactsync.web.server import run_web

    invocation.become_service()
    return run_web(invocation.settings, environ)


def print_sign_in_link(invocation: Invocation, *, as_json: bool) -> None:
    """Print the link. Raises NeedsDaemon, ControlError."""
    daemon = live_daemon(invocation.control_socket)
    if daemon is None:
        raise NeedsDaemon(
            f"No daemon listens at {invocation.control_socket}, and only a daemon can make a link.",
            hint="Start it: systemctl start contactsync.service, or `contactsync daemon`.",
        )
    answer = daemon.post("/v1/console/sign-in-codes")
    url = f"{invocation.settings.web.origin}/sign-in/{answer['code']}"
    if as_json:
        show_json(invocation.out, {"url": url, "expires_at": answer["expires_at"]})
        return
    invocation.out.out(url, highlight=False)
    show_text(invocation.err, "It signs one browser in as an administrator, once, within five minutes.")
