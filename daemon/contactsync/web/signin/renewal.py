"""Reads people's groups again while their sessions go on: from a directory, or from an OpenID provider."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from contactsync.errors import DirectoryError, SecretError
from contactsync.web.person import Person
from contactsync.web.sessions import REFRESH_SECONDS, Session
from contactsync.web.signin.oidc.failures import SignInFailed

log = structlog.get_logger()

_AGAIN_SECONDS = 60
"""How long to wait after there was no answer."""
_WAIT_SECONDS = 1.0
"""How long to wait for the read of another session."""


class Renewal:
    """Reads groups for one session at a time. A server that hangs holds up one request, and not the console.

    `read` gives the person of today; None for one who may not go on. Raises DirectoryError, SecretError, SignInFailed.
    """

    def __init__(self, read: Callable[[Session], Person | None], clock: Callable[[], float]) -> None:
        self._read = read
        self._clock = clock
        self._reading = threading.Lock()

    def goes_on(self, session: Session) -> bool:
        """Whether the session goes on; its person gets the groups of today if they were read long ago.

        While another session's groups are read for long, it goes on, and a later request reads its groups.
        """
        if self._clock() < session.refresh_at or not self._reading.acquire(timeout=_WAIT_SECONDS):
            return True
        try:
            return self._clock() < session.refresh_at or self._renew(session)
        finally:
            self._reading.release()

    def _renew(self, session: Session) -> bool:
        user, now = session.person.user, self._clock()
        try:
            person = self._read(session)
        except (DirectoryError, SecretError, SignInFailed) as error:
            log.warning("web.groups_not_read", user=user, error_code=error.code, error=error.message)
            session.refresh_at = now + _AGAIN_SECONDS
            return True
        if person is None or person.user != user:
            log.info("web.session_revoked", user=user)
            return False
        session.person, session.refresh_at = person, now + REFRESH_SECONDS
        return True
