"""Says on stderr why PostgreSQL keeps a command waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from contactsync.errors import ContactsyncError

if TYPE_CHECKING:
    from rich.console import Console

    from contactsync.serving.client import Daemon

WAIT_SECONDS = 5.0
_POLL_SECONDS = 1.0


@contextmanager
def waits_shown(console: Callable[[], Console], reason: Callable[[], str | None]) -> Iterator[None]:
    """Print the reason once, as soon as there is one after the first five seconds of the block.

    `console` makes the console only then, since rich takes a while to load.
    """
    ended = threading.Event()

    def look() -> None:
        pause = WAIT_SECONDS
        while not ended.wait(pause):
            pause = _POLL_SECONDS
            try:
                text = reason()
            except ContactsyncError:  # the command itself meets it, too
                continue
            if text and not ended.is_set():
                from contactsync.cli.output.text import show_text  # loads rich

                show_text(console(), text, style="yellow")
                return

    threading.Thread(target=look, name="waiting", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def reason_of_daemon(daemon: Daemon) -> Callable[[], str | None]:
    """Gives what the daemon reports about itself."""

    def reason() -> str | None:
        problems = daemon.get("/v1/status")["problems"]
        return f"Still waiting. The daemon says: {' '.join(problems)}" if problems else None

    return reason


def reason_of_database(conninfo: str) -> Callable[[], str | None]:
    """Gives what a session of contactsync waits for, if it still does so at the next call."""
    from contactsync.store.waits import STANDBY_HINT, read_waits

    seen: set[tuple[object, ...]] = set()

    def reason() -> str | None:
        waits = {(wait.pid, wait.query_start): wait for wait in read_waits(conninfo)}
        lasting = [wait for key, wait in waits.items() if key in seen]
        seen.clear()
        seen.update(waits)
        if not lasting:
            return None
        wait = lasting[0]
        return f"Still waiting: contactsync {wait.reason}." + (f" {STANDBY_HINT}" if wait.for_standby else "")

    return reason
