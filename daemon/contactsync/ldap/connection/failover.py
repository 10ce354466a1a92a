"""Remembers which servers failed, so that not every run waits for them again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

from contactsync.ldap.query.address import ServerAddress

REMEMBER_SECONDS = 300.0
"""Long enough for the runs of many folders, and short enough that a server is soon used again."""


class Outages:
    """The servers that failed lately, to be tried last. Thread-safe."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._until: dict[ServerAddress, float] = {}

    def in_order(self, servers: Iterable[ServerAddress]) -> tuple[ServerAddress, ...]:
        """The servers in their order, but those that failed lately behind the others."""
        now = time.monotonic()
        with self._guard:
            self._until = {server: until for server, until in self._until.items() if now < until}
            return tuple(sorted(servers, key=lambda server: server in self._until))

    def add(self, server: ServerAddress) -> None:
        """Record that a server failed."""
        with self._guard:
            self._until[server] = time.monotonic() + REMEMBER_SECONDS

    def discard(self, server: ServerAddress) -> None:
        """Record that a server could be used."""
        with self._guard:
            self._until.pop(server, None)
