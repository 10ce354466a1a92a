"""One-time codes that sign an administrator in at the web console: in memory, by their digests, for five minutes."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

VALID = timedelta(minutes=5)
_MOST = 100
"""The codes that may be valid at once; beyond it the oldest ends."""
_BYTES = 32


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class SignInCode:
    """A code, which is shown only now."""

    code: str
    expires_at: datetime


@dataclass(frozen=True)
class SignInCodes:
    """The codes that are valid. A restart of the daemon ends them."""

    clock: Callable[[], datetime] = _now
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _codes: dict[bytes, tuple[str, datetime]] = field(default_factory=dict)

    def issue(self, user: str) -> SignInCode:
        """A new code, which signs in under the name of this user of the machine."""
        code, expires_at = secrets.token_urlsafe(_BYTES), self.clock() + VALID
        with self._lock:
            while len(self._codes) >= _MOST:
                del self._codes[next(iter(self._codes))]
            self._codes[_digest(code)] = (user, expires_at)
        return SignInCode(code, expires_at)

    def redeem(self, code: str) -> str | None:
        """The user who got this code; None if it is unknown, was used, or has expired."""
        with self._lock:
            user, expires_at = self._codes.pop(_digest(code), ("", None))
        return user if expires_at is not None and self.clock() < expires_at else None


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()
