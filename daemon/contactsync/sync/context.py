"""The inputs of one run, and the stage that it is in."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contactsync.ldap.connection.cache import SessionCache
from contactsync.ldap.connection.limits import ReadLimits
from contactsync.model import Definition, FurtherAttempt, RunReport
from contactsync.sync.definition import Resolved
from contactsync.sync.observer import Observer
from contactsync.sync.options import RunOptions
from contactsync.sync.retry import Result, retry

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.errors import ContactsyncError
    from contactsync.ldap.connection.deadline import Deadline


@dataclass(slots=True, kw_only=True)
class RunContext:
    """The inputs of one run, and the report that the run fills.

    `connection` holds the definition's lock. `password` returns the bind password and raises SecretError or
    CredentialsRefused; the bind with it is within `logon`. `entries_before` and `open_plans` are those of the run's
    beginning. With `live` the run stores a cursor even if the folder is small.
    """

    connection: Connection[Any]
    report: RunReport
    options: RunOptions
    limits: ReadLimits
    sessions: SessionCache
    password: Callable[[Resolved], str | None]
    logon: Callable[[Resolved, str | None], AbstractContextManager[None]]
    observer: Observer
    entries_before: int | None = None
    open_plans: bool = True
    live: bool = False
    _stage: str | None = None
    _since: float = 0.0

    @property
    def definition(self) -> Definition:
        """The definition that is run."""
        return self.report.definition

    @property
    def deadline(self) -> Deadline:
        """The deadline of the whole run."""
        return self.limits.deadline

    def enter(self, stage: str) -> None:
        """End the current stage, start another one and report it to the observer."""
        self.end_stage()
        self._stage = stage
        self.observer.progress(self.report, stage)

    def end_stage(self) -> None:
        """Add the time of the current stage to the report."""
        now = time.perf_counter()
        if self._stage is not None:
            seconds = self.report.seconds
            seconds[self._stage] = seconds.get(self._stage, 0.0) + now - self._since
        self._stage, self._since = None, now

    def retry(self, step: Callable[[], Result]) -> Result:
        """Call a function, and again while its errors may pass and the run has time left."""
        try:
            return retry(step, self.options, self.deadline, failed=self._note_failed_attempt)
        finally:
            self.report.further_attempt = None

    def _note_failed_attempt(self, number: int, error: ContactsyncError) -> None:
        self.report.further_attempt = FurtherAttempt(number + 1, self.options.retry_attempts, error.message)
        self.observer.progress(self.report, "retry")
