"""What directories refused, so that ten definitions of one user do not offer the same wrong password ten times."""

from __future__ import annotations

import json
import os
import threading
from hashlib import blake2b

from contactsync.errors import CredentialsRefused


class Refusals:
    """Users with passwords that were refused, for as long as the process lives; threads may share it.

    Passwords are kept as digests with a key of this process only.
    """

    def __init__(self) -> None:
        self._key = os.urandom(32)
        self._guard = threading.Lock()
        self._reasons: dict[bytes, str] = {}

    def __bool__(self) -> bool:
        """Whether there is any: most of the time there is none, and nobody needs to look up a password to ask."""
        return bool(self._reasons)

    def check(self, server: str, user: str | None, password: str | None) -> None:
        """Raise CredentialsRefused when this very server refused this very user with this password."""
        with self._guard:
            reason = self._reasons.get(self._digest(server, user, password))
        if reason:
            raise CredentialsRefused(
                f"{server} refused the user {user!r} with the same password before. {reason}",
                hint="This folder was not tried. After the correction edit it, or run it by hand.",
            )

    def add(self, server: str, user: str | None, password: str | None, reason: str) -> None:
        """Note a refusal; `reason` is a sentence."""
        with self._guard:
            self._reasons[self._digest(server, user, password)] = reason

    def discard(self, server: str, user: str | None, password: str | None) -> None:
        """Forget a refusal, if there was one: they were let in."""
        with self._guard:
            self._reasons.pop(self._digest(server, user, password), None)

    def _digest(self, *what: str | None) -> bytes:
        return blake2b(json.dumps(what).encode(), digest_size=16, key=self._key).digest()
