"""The sessions of the people who have signed in: in memory, under a digest of the cookie's random text."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from contactsync.web.person import Person

IDLE_SECONDS = 30 * 60
WHOLE_SECONDS = 12 * 60 * 60
REFRESH_SECONDS = 15 * 60
MOST_SESSIONS = 10_000
MOST_OF_ONE_PERSON = 20
_TOKEN_BYTES = 32


@dataclass(slots=True)
class Tokens:
    """What asks an OpenID provider about a person again; `refresh` is empty if it gave none."""

    subject: str
    access: str = field(repr=False)
    refresh: str = field(repr=False)


@dataclass(slots=True)
class Session:
    """A person's session; times are those of the clock of its Sessions."""

    person: Person
    began_at: float
    used_at: float
    refresh_at: float
    """When the groups are to be read again."""
    tokens: Tokens | None = None
    _kept: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def keep(self, path: str, fields: Mapping[str, str]) -> None:
        """Keep what was typed into the form at a path, in place of what was kept before."""
        self._kept = {path: fields}

    def take_kept(self, path: str) -> Mapping[str, str]:
        """What was typed into the form at this path before the last session ended, once; empty if nothing was."""
        return self._kept.pop(path, {})


class Sessions:
    """All sessions. The process ends them when it ends."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: dict[bytes, Session] = {}

    def begin(self, person: Person) -> str:
        """Begin a session; gives the text for the cookie, which is not stored."""
        token, now = secrets.token_urlsafe(_TOKEN_BYTES), self._clock()
        with self._lock:
            self._forget_ended(now)
            own = [digest for digest, each in self._sessions.items() if each.person.user == person.user]
            for digest in own[: max(0, len(own) - MOST_OF_ONE_PERSON + 1)]:
                del self._sessions[digest]
            while len(self._sessions) >= MOST_SESSIONS:
                del self._sessions[next(iter(self._sessions))]
            self._sessions[_digest(token)] = Session(person, now, now, now + REFRESH_SECONDS)
        return token

    def find(self, token: str) -> Session | None:
        """The session of a cookie, which is used now; None if it has ended."""
        now = self._clock()
        with self._lock:
            session = self._sessions.get(_digest(token))
            if session is None:
                return None
            if _has_ended(session, now):
                del self._sessions[_digest(token)]
                return None
            session.used_at = now
            return session

    def is_open(self, token: str) -> bool:
        """Whether the session of a cookie goes on; that does not count as a use of it."""
        with self._lock:
            session = self._sessions.get(_digest(token))
            return session is not None and not _has_ended(session, self._clock())

    def end(self, token: str) -> Session | None:
        """End the session of a cookie; gives it if it was there."""
        with self._lock:
            return self._sessions.pop(_digest(token), None)

    def _forget_ended(self, now: float) -> None:
        self._sessions = {digest: each for digest, each in self._sessions.items() if not _has_ended(each, now)}


def _has_ended(session: Session, now: float) -> bool:
    return now - session.used_at >= IDLE_SECONDS or now - session.began_at >= WHOLE_SECONDS


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
