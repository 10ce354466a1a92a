"""The passwords that directories have refused, so that folders that share an account do not lock it together."""

from __future__ import annotations

import json
import os
import threading
import time
from hashlib import blake2b

from contactsync.errors import CredentialsRefused
from contactsync.text import quoted


class Refusals:
    """Refused users and passwords, kept while the process lives; threads may share it.

    It holds digests of the passwords, with a key that never leaves the process.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key or os.urandom(32)
        self._guard = threading.Lock()
        self._refused: dict[bytes, tuple[str, float]] = {}

    def __bool__(self) -> bool:
        """Whether there are any. If not, `check` needs no password."""
        return bool(self._refused)

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

    def add(self, server: str, user: str | None, password: str | None, reason: str) -> None:
        """Remember a refusal; `reason` is a sentence."""
        with self._guard:
            self._refused[self._digest(server, user, password)] = reason, time.monotonic()

    def discard(self, server: str, user: str | None, password: str | None) -> None:
        """Forget a refusal, since the server has accepted the password."""
        with self._guard:
            self._refused.pop(self._digest(server, user, password), None)

    def _digest(self, *parts: str | None) -> bytes:
        return blake2b(json.dumps(parts).encode(), digest_size=16, key=self._key).digest()


def refused_before(server: str, user: str | None, reason: str) -> CredentialsRefused:
    """The error for a password that is not offered again."""
    return CredentialsRefused(
        f"{server} has refused the user {quoted(user or '')} with the same password before. {reason}",
        hint="This folder was not tried. Correct the password and edit the folder, or run this folder alone.",
    )
