"""One request that reads a directory for each person at the web console: further ones of the same person wait."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from anyio import Lock

from contactsync.errors import TooMany

MOST = 8
"""Requests of a person that may wait: the mapping editor asks after each change."""


@dataclass(slots=True)
class _Turn:
    lock: Lock = field(default_factory=Lock)
    requests: int = 0


class Turns:
    """Whose turn it is, by name. For the event loop."""

    def __init__(self) -> None:
        self._turns: dict[str, _Turn] = {}

    @asynccontextmanager
    async def of(self, person: str) -> AsyncIterator[None]:
        """Wait for the requests of this person that came before. Raises TooMany if too many wait already."""
        turn = self._turns.setdefault(person, _Turn())
        if turn.requests >= MOST:
            raise TooMany(f"{MOST} of your requests use a directory already.", hint="Wait until they are answered.")
        turn.requests += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.requests -= 1
            if not turn.requests:
                del self._turns[person]
