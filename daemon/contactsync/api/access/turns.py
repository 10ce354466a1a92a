"""Few requests of each person at the web console at a time: further ones of the same person wait."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from anyio import Semaphore

from contactsync.errors import TooMany

MOST = 8
"""Requests of a person that may run or wait: the mapping editor asks after each change."""


@dataclass(slots=True)
class _Turn:
    places: Semaphore
    requests: int = 0


class Turns:
    """Whose turn it is, by name; `doing` says what the requests do. For the event loop."""

    def __init__(self, at_once: int, doing: str) -> None:
        self._at_once = at_once
        self._doing = doing
        self._turns: dict[str, _Turn] = {}

    @asynccontextmanager
    async def of(self, person: str) -> AsyncIterator[None]:
        """Wait until less than `at_once` requests of this person run. Raises TooMany if too many wait already."""
        turn = self._turns.setdefault(person, _Turn(Semaphore(self._at_once)))
        if turn.requests >= MOST:
            raise TooMany(f"{MOST} of your requests {self._doing} already.", hint="Wait until they are answered.")
        turn.requests += 1
        try:
            async with turn.places:
                yield
        finally:
            turn.requests -= 1
            if not turn.requests:
                del self._turns[person]
