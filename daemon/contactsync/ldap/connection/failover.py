"""Remembers for a while which servers could not be used, so that not every run waits for them again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

from contactsync.ldap.query.address import ServerAddress

REMEMBER_SECONDS = 300.0
"""Through a round of many folders, and not so long that a server that is back stays idle."""


class Outages:
    """Servers that could not be used lately; threads may share it. They are tried last, not never."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._until: dict[ServerAddress, float] = {}

    def in_order(self, servers: Iterable[ServerAddress]) -> tuple[ServerAddress, ...]:
        """The servers in their order, but those that could not be used lately after the others."""
        now = time.monotonic()
        with self._guard:
            self._until = {server: until for server, until in self._until.items() if now < until}
            return tuple(sorted(servers, key=lambda server: server in self._until))

    def add(self, server: ServerAddress) -> None:
        """Note that a server could not be used."""
        with self._guard:
            self._until[server] = time.monotonic() + REMEMBER_SECONDS

    def discard(self, server: ServerAddress) -> None:
        """Forget it: the server was used."""
        with self._guard:
            self._until.pop(server, None)
