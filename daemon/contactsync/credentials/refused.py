"""The passwords that directories have refused, so that folders that share an account do not lock it together."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from contactsync.errors import CredentialsRefused, DeadlineExceeded
from contactsync.text import quoted

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.ldap.connection.deadline import Deadline

_LOOK_SECONDS = 0.1
"""How soon a run that waits for its turn notices that it was cancelled."""


class Refusals:
    """Refused users and passwords, kept while the process lives; threads may share it.

    It holds digests of the passwords, with a key that never leaves the process.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key or os.urandom(32)
        self._guard = threading.Lock()
        self._refused: dict[bytes, tuple[str, float]] = {}
        self._turn = threading.Condition()
        self._offered: set[bytes] = set()

    @contextmanager
    def offering(
        self,
        connection: Connection[Any] | None,
        logon: tuple[str, str | None, str | None],
        deadline: Deadline,
        *,
        asked_at: float | None = None,
    ) -> Iterator[None]:
        """The block offers a password, and no other one offers it meanwhile; `logon` is server, user and password.

        Otherwise all runs that begin at once would offer it before the first one is refused. `connection` is the one to
        PostgreSQL that the caller has, if any. Raises as `check`, and RunCancelled, DeadlineExceeded, DatabaseError.
        """
        with ExitStack() as turn:
            try:
                turn.enter_context(self._alone(connection, self._digest(*logon), deadline))
            except DeadlineExceeded:
                raise _not_decided(*logon[:2], deadline) from None
            self._check_now(*logon, asked_at=asked_at)
            try:
                yield
            except CredentialsRefused as error:
                self.add(*logon, str(error))
                raise
            self.discard(*logon)

    def check(self, server: str, user: str | None, password: str | None, *, asked_at: float | None = None) -> None:
        """Raise CredentialsRefused if this server has refused this user with this password.

        A user's request may offer the password again, once: it is checked for refusals since `asked_at` only.
        """
        if not self._refused:
            return
        with self._guard:
            reason, refused_at = self._refused.get(self._digest(server, user, password), ("", 0.0))
        if reason and (asked_at is None or refused_at >= asked_at):
            raise refused_before(server, user, reason)

    def _check_now(self, server: str, user: str | None, password: str | None, *, asked_at: float | None) -> None:
        self.check(server, user, password, asked_at=asked_at)

    def add(self, server: str, user: str | None, password: str | None, reason: str) -> None:
        """Remember a refusal; `reason` is a sentence."""
        with self._guard:
            self._refused[self._digest(server, user, password)] = reason, time.monotonic()

    def discard(self, server: str, user: str | None, password: str | None) -> None:
        """Forget a refusal, since the server has accepted the password."""
        with self._guard:
            self._refused.pop(self._digest(server, user, password), None)

    @contextmanager
    def _alone(
        self,
        connection: Connection[Any] | None,  # noqa: ARG002 -- a fleet's
        digest: bytes,
        deadline: Deadline,
    ) -> Iterator[None]:
        with self._turn:
            while digest in self._offered:
                self._turn.wait(min(_LOOK_SECONDS, deadline.remaining()))
            self._offered.add(digest)
        try:
            yield
        finally:
            with self._turn:
                self._offered.remove(digest)
                self._turn.notify_all()

    def _digest(self, *parts: str | None) -> bytes:
        return blake2b(json.dumps(parts).encode(), digest_size=16, key=self._key).digest()


def _not_decided(server: str, user: str | None, deadline: Deadline) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"{server} has not answered another log-on of the user {quoted(user or '')} within the deadline of this run"
        f" ({deadline.seconds:g} s), which waited for it.",
        hint="Find out why the directory does not answer: it has neither accepted nor refused the password.",
    )


def refused_before(server: str, user: str | None, reason: str) -> CredentialsRefused:
    """The error for a password that is not offered again."""
    return CredentialsRefused(
        f"{server} has refused the user {quoted(user or '')} with the same password before. {reason}",
        hint="This folder was not tried. Correct the password and edit the folder, or run this folder alone.",
    )
