"""The locks of jobs: a directory server has as many as runs of all nodes may be in progress there at once."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

_LONGEST_SERVER = 150


class ServerSlots:
    """The locks of definitions. `server_of` and `find_server` as in FleetCallbacks."""

    def __init__(self, server_of: Callable[[int], str], find_server: Callable[[int], str], *, per_server: int) -> None:
        self._server_of = server_of
        self._find_server = find_server
        self._per_server = per_server

    def lock_of(self, definition_id: int) -> str | None:
        """The lock of a definition's jobs; None if this node has not read the definition yet."""
        server = self._server_of(definition_id)
        return self._slot(server, definition_id) if server else None

    def find_lock(self, definition_id: int) -> str:
        """The same after the definition has been read. Raises DatabaseError."""
        server = self._find_server(definition_id)
        return self._slot(server, definition_id) if server else f"definition {definition_id}"

    def _slot(self, server: str, definition_id: int) -> str:
        """One of `per_server` slots of the definition's server, always the same."""
        if len(server) > _LONGEST_SERVER:
            server = f"{server[:_LONGEST_SERVER]}…{blake2b(server.encode(), digest_size=8).hexdigest()}"
        return f"{server}#{definition_id % self._per_server}"
