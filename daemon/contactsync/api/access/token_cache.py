"""The valid tokens in memory, so that a request costs no question to the database."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime

import structlog
from anyio import CapacityLimiter, to_thread

from contactsync.errors import DatabaseError, DatabaseUnavailable
from contactsync.store.pool import Pool, connection_of
from contactsync.store.record.audit import confirm_locally
from contactsync.store.tokens import TokenRow, note_token_uses, read_tokens

log = structlog.get_logger()

FRESH_SECONDS = 0.8
"""How old the tokens in memory may be: a revocation counts within a second."""
PAUSE_SECONDS = 0.05
"""The least time between two reads, however many unknown tokens are tried."""
READ_SECONDS = 10.0
NOTE_SECONDS = 60.0
"""The least time between two notes of the last use of a token."""


class TokenCache:
    """Reads all valid tokens for a request if they are old. For the event loop's thread."""

    def __init__(self, pool: Pool, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._clock = clock
        self._tokens: Mapping[bytes, TokenRow] = {}
        self._read_at = -math.inf
        self._reading = asyncio.Lock()
        self._unreadable = False
        self._noted_at: dict[int, float] = {}
        self._notes: set[asyncio.Task[None]] = set()
        # Threads of their own: the API's may all wait for PostgreSQL.
        self._readers, self._writers = CapacityLimiter(1), CapacityLimiter(1)

    async def find(self, digest: bytes, *, maybe_new: bool = False) -> TokenRow | None:
        """The valid token with this digest. Raises DatabaseError if the tokens cannot be read.

        `maybe_new`: an unknown token may have been added since the last read, so that the tokens are read again.
        """
        now = self._clock()
        await self._read_after(now - FRESH_SECONDS)
        if maybe_new and digest not in self._tokens:
            await self._read_after(now)
        token = self._tokens.get(digest)
        if token is None or (token.expires_at is not None and token.expires_at <= datetime.now(UTC)):
            return None
        return token

    def note_use(self, token: TokenRow) -> None:
        """Record the use of a token, at most once a minute; it is not waited for."""
        now = self._clock()
        if now - self._noted_at.get(token.token_id, -NOTE_SECONDS) >= NOTE_SECONDS and not self._notes:
            self._noted_at[token.token_id] = now
            note = asyncio.ensure_future(to_thread.run_sync(self._note, token.token_id, limiter=self._writers))
            self._notes.add(note)
            note.add_done_callback(self._notes.discard)

    async def _read_after(self, moment: float) -> None:
        """Read the tokens unless they were read after this moment. Requests that wait share one read."""
        while self._read_at < moment:
            async with self._reading:
                if self._read_at < moment:
                    await asyncio.sleep(self._read_at + PAUSE_SECONDS - self._clock())
                    await self._read()

    async def _read(self) -> None:
        try:
            await self._read_all()
        except DatabaseError as error:
            if not self._unreadable:
                log.error("api.tokens_unreadable", error_code=error.code, error=str(error))
            self._unreadable = True
            raise
        self._unreadable = False

    async def _read_all(self) -> None:
        # The age counts from before the read: what is committed during it may not be in it.
        began = self._clock()
        try:
            async with asyncio.timeout(READ_SECONDS):
                rows = await to_thread.run_sync(self._rows, limiter=self._readers, abandon_on_cancel=True)
        except TimeoutError:
            raise DatabaseUnavailable(
                "The database does not answer, so that no token can be checked.", hint="The log says more."
            ) from None
        self._tokens = {row.digest: row for row in rows}
        self._noted_at = {row.token_id: at for row in rows if (at := self._noted_at.get(row.token_id)) is not None}
        self._read_at = began

    def _rows(self) -> list[TokenRow]:
        with connection_of(self._pool) as connection:
            return read_tokens(connection, valid=True)

    def _note(self, token_id: int) -> None:
        with suppress(DatabaseError), connection_of(self._pool) as connection, connection.transaction():
            confirm_locally(connection)
            note_token_uses(connection, [token_id])
