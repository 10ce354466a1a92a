"""The passwords that directories have refused, shared by all nodes, so that no account is locked by several of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any

from contactsync.credentials.refused import Refusals, refused_before
from contactsync.errors import DatabaseError
from contactsync.store.errors import translated
from contactsync.store.pool import Pool, connection_of, plain_connection_of
from contactsync.store.statements import execute

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.fleet.node import Node
    from contactsync.ldap.connection.deadline import Deadline

_POLL_SECONDS = 0.02
"""How soon a run notices that another node offers the password no more."""
_LOOK_SECONDS = 0.1
_TRUSTED_SECONDS = 0.25
"""How long a look that found no refusals serves other runs, which ask before they use or open a connection."""
_MOST_SPARE = 4
"""The connections of the pool that live folders may hold while a directory decides, which may take a minute."""


class FleetRefusals(Refusals):
    """Keeps digests in a table; `key` is derived from the key for passwords, which only the nodes have."""

    def __init__(self, pool: Pool, key: bytes, node: Node) -> None:
        super().__init__(key)
        self._pool = pool
        self._node = node
        self._any = False
        """Whether there were refusals at the last look."""
        self._looked_at = float("-inf")
        self._spare = BoundedSemaphore(_MOST_SPARE)

    def check(self, server: str, user: str | None, password: str | None, *, asked_at: float | None = None) -> None:
        """Raise CredentialsRefused if any node was refused with this password. See Refusals. Raises DatabaseError.

        A look of another run a moment ago that found no refusals at all is enough: `offering` looks again.
        """
        if self._any or time.monotonic() - self._looked_at > _TRUSTED_SECONDS:
            self._check_now(server, user, password, asked_at=asked_at)

    def _check_now(self, server: str, user: str | None, password: str | None, *, asked_at: float | None) -> None:
        looked_at = time.monotonic()
        digest = self._digest(server, user, password)
        with plain_connection_of(self._pool) as connection:
            row = execute(connection, "refused_logon", digest=digest).fetchone()
        reason, refused_at, self._any = row or (None, None, False)
        self._looked_at = looked_at
        if reason and (asked_at is None or self._node.monotonic_time(refused_at) >= asked_at):
            raise refused_before(server, user, reason)

    def add(self, server: str, user: str | None, password: str | None, reason: str) -> None:
        """Remember a refusal. If the table is not available, other nodes do not learn of it."""
        self._any = True
        with suppress(DatabaseError), connection_of(self._pool) as connection:
            execute(connection, "refuse_logon", digest=self._digest(server, user, password), reason=reason)

    def discard(self, server: str, user: str | None, password: str | None) -> None:
        """Forget a refusal, if there were any at the last check."""
        if not self._any:
            return
        with suppress(DatabaseError), connection_of(self._pool) as connection:
            execute(connection, "accept_logon", digest=self._digest(server, user, password))

    @contextmanager
    def _alone(self, connection: Connection[Any] | None, digest: bytes, deadline: Deadline) -> Iterator[None]:
        """A lock of the session, which ends with it if this node dies."""
        with super()._alone(connection, digest, deadline), self._session(connection, deadline) as session:
            with translated():
                while execute(session, "offer_logon", digest=digest).fetchone() != (True,):
                    deadline.sleep(_POLL_SECONDS)
            try:
                yield
            finally:
                with suppress(DatabaseError), translated():
                    execute(session, "end_offer", digest=digest)

    @contextmanager
    def _session(self, connection: Connection[Any] | None, deadline: Deadline) -> Iterator[Connection[Any]]:
        """The caller's connection, or one of a few of the pool."""
        if connection is not None:
            yield connection
            return
        while not self._spare.acquire(timeout=min(_LOOK_SECONDS, deadline.remaining())):
            pass
        try:
            with connection_of(self._pool) as spare:
                yield spare
        finally:
            self._spare.release()
