"""Makes runs: by a definition's id and a trigger, with the lock before and the record after.

This is the one way in for the scheduler, the command line and whatever comes later. Nothing about a run is known only
here but how to cancel it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import structlog
from structlog.contextvars import bound_contextvars

from contactsync.credentials.bind import password_of
from contactsync.credentials.refused import Refusals
from contactsync.credentials.sealing import SecretBox
from contactsync.errors import (
    ContactsyncError,
    CredentialsRefused,
    DatabaseError,
    DatabaseUnavailable,
    RunCancelled,
    UsageError,
)
from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.connection.failover import Outages
from contactsync.ldap.connection.session import Connect
from contactsync.ldap.connection.session import connect as connect_anew
from contactsync.model import Counts, Definition, Outcome, RunReport, Trigger
from contactsync.store.definitions import read_definitions
from contactsync.store.pool import Pool, connection_of
from contactsync.store.record.cursors import KeptCursor, read_cursor
from contactsync.store.record.runs import begin_run, finish_run, lock_definition
from contactsync.sync.definition import Resolved, resolve
from contactsync.sync.log_line import log_missed, log_run
from contactsync.sync.observer import NullObserver, Observer
from contactsync.sync.options import RunOptions
from contactsync.sync.reader import open_directory
from contactsync.sync.retry import retrying
from contactsync.sync.run import Progress, Run

if TYPE_CHECKING:
    from typing import Any

    from psycopg import Connection

    from contactsync.ldap.connection.session import Session

log = structlog.get_logger()

_FOREVER = 10 * 366 * 86_400
"""Seconds."""
_UNASKED = {Trigger.SCHEDULE, Trigger.CATCH_UP, Trigger.LIVE}
"""What nobody waits for: a password that was refused is not tried for it."""
RECORD_SECONDS = 10
"""How long a run whose connection to PostgreSQL broke goes on trying to write its record."""


def no_progress(_stage: str, _counts: Counts) -> None:
    """For those who do not watch."""


@dataclass(frozen=True, slots=True)
class _Active:
    report: RunReport
    deadline: Deadline


class Runner:
    """Runs definitions; any number of threads may call `run` at once.

    `options` may be replaced at any time; a run keeps those that it began with. `connect` makes the connections to
    directories, or keeps them from one run to the next.
    """

    def __init__(
        self,
        pool: Pool,
        secrets: SecretBox,
        options: RunOptions,
        environ: Mapping[str, str] = os.environ,
        observer: Observer | None = None,
        connect: Connect | None = None,
    ) -> None:
        self._pool = pool
        self._secrets = secrets
        self.options = options
        self._environ = environ
        self._observer = observer or NullObserver()
        self._connect = connect or partial(connect_anew, outages=Outages())
        self._active: dict[int, _Active] = {}
        self._looks: set[Deadline] = set()
        self._guard = threading.Lock()
        self._cancelled = False
        self._refusals = Refusals()

    def run(
        self, definition_id: int, trigger: Trigger, progress: Progress = no_progress, *, at_once: bool = False
    ) -> RunReport:
        """Make one run and record it; the report says how it ended, whatever it met on the way.

        With `at_once` it makes a small folder fit to be followed at once, whose definition does not ask for that.
        Raises only what leaves no run to report on: UsageError (no such definition), DefinitionLocked, AlreadyRunning,
        DatabaseError.
        """
        with connection_of(self._pool) as connection:
            definition = _definition(connection, definition_id)
            report = begin_run(connection, definition, trigger)
            report.at_once = at_once
            names = {"folder": definition.label, "definition": definition_id, "run": report.run_id}
            with bound_contextvars(**names):
                self._observer.started(report)
                self._carry_out(connection, report, progress)
                recorded = _record(connection, report)
        with bound_contextvars(**names):
            if not recorded:
                self._record_anew(report)
            log_missed(report)
            log_run(report)
        self._observer.finished(report)
        return report

    def preview(
        self,
        definition: Definition,
        progress: Progress = no_progress,
        *,
        limit: int | None = None,
        password: Callable[[Definition], str | None] | None = None,
    ) -> RunReport:
        """Make a run's plan and its guard's verdict, and leave no trace; the report holds the first `limit` changes.

        `definition` is stored, or has changes that are not; `password` replaces the stored one. Raises what a run would
        record as its error, and what keeps a run from beginning.
        """
        with connection_of(self._pool) as connection:
            lock_definition(connection, definition)
            report = RunReport(0, definition, Trigger.PREVIEW, datetime.now(UTC))
            with self.deadline_for(definition) as deadline:
                run = Run(
                    connection, report, password or self.password, self.options, deadline, progress, self._connect
                )
                run.preview(limit)
        return report

    @contextmanager
    def deadline_for(self, definition: Definition) -> Iterator[Deadline]:
        """The time that a look into a directory may take; `cancel_all` gives it up like a run."""
        deadline = Deadline(definition.deadline_seconds or self.options.deadline)
        with self._guard:
            self._looks.add(deadline)
            if self._cancelled:
                deadline.cancel()
        try:
            yield deadline
        finally:
            with self._guard:
                self._looks.discard(deadline)

    @contextmanager
    def listening(self, resolved: Resolved) -> Iterator[Session]:
        """A connection to a definition's directory that lasts until the block ends; raises ContactsyncError.

        Nobody asked for it, so that a password that was refused is not offered again, by this or by a run.
        """
        definition = resolved.definition
        password = self.password(definition)
        logon = resolved.server_key, definition.user, password
        self._refusals.check(*logon)
        with ExitStack() as stack:
            try:
                connecting = open_directory(resolved, self.options, password, Deadline(_FOREVER))
                session = stack.enter_context(connecting)
            except CredentialsRefused as error:
                self._refusals.add(*logon, str(error))
                raise
            yield session

    def kept_cursor(self, resolved: Resolved) -> KeptCursor | None:
        """Up to where a definition is in step, as its last run has noted; raises DatabaseError."""
        with connection_of(self._pool) as connection:
            return read_cursor(connection, resolved.definition)

    def active(self) -> list[RunReport]:
        """The runs that go on now, oldest first; their counts grow while one looks."""
        with self._guard:
            return [active.report for active in self._active.values()]

    def cancel(self, run_id: int) -> bool:
        """Give up a run unless it has reached its apply; False when no such run goes on here."""
        with self._guard:
            active = self._active.get(run_id)
            if active:
                active.deadline.cancel()
        return active is not None

    def cancel_all(self) -> None:
        """Give up every run that has not reached its apply; later ones are given up at once."""
        with self._guard:
            self._cancelled = True
            for active in self._active.values():
                active.deadline.cancel()
            for deadline in self._looks:
                deadline.cancel()

    @property
    def overdrawn(self) -> float:
        """By how many seconds the run that is latest has outstayed its deadline; 0 when none has.

        What follows the last look at the deadline, the plan and the apply, may take a while longer.
        """
        with self._guard:
            return max([0.0, *(active.deadline.overdrawn for active in self._active.values())])

    def _carry_out(self, connection: Connection[Any], report: RunReport, progress: Progress) -> None:
        options = self.options
        deadline = self._open_deadline(report, options)

        def watched(stage: str, counts: Counts) -> None:
            progress(stage, counts)
            self._observer.progress(report, stage)

        try:
            password = self._password_of(report)
            Run(connection, report, password, options, deadline, watched, self._connect).carry_out()
        except RunCancelled as error:
            report.outcome = Outcome.CANCELLED
            _note(report, error)
        except ContactsyncError as error:
            _note(report, error)
        except Exception:
            report.error_code = "internal"
            report.error = "Something that contactsync did not foresee went wrong; the log has the details."
            log.exception("run.crashed")
        finally:
            with self._guard:
                self._active.pop(report.run_id, None)
        self._remember(report)

    def _open_deadline(self, report: RunReport, options: RunOptions) -> Deadline:
        deadline = Deadline(report.definition.deadline_seconds or options.deadline)
        with self._guard:
            self._active[report.run_id] = _Active(report, deadline)
            if self._cancelled:
                deadline.cancel()
        return deadline

    def password(self, definition: Definition) -> str | None:
        """The definition's password, opened or fetched; None when there is none. Raises SecretError."""
        return password_of(definition, lambda: self._secrets, self._environ, self.options.references)

    def _password_of(self, report: RunReport) -> Callable[[Definition], str | None]:
        """How the run gets its password; one that nobody asked for, by hand or by an edit, gets none that was refused.

        For whichever folder it was: several that share a user would lock its account together.
        """

        def fetch(definition: Definition) -> str | None:
            password = self.password(definition)
            if self._refusals and report.trigger in _UNASKED:
                self._refusals.check(resolve(definition).server_key, definition.user, password)
            return password

        return fetch

    def _remember(self, report: RunReport) -> None:
        """Note for other definitions whether user and password were let in."""
        definition = report.definition
        if not report.attempts or not (report.credentials_refused or (report.server and self._refusals)):
            return
        with suppress(ContactsyncError):  # the password's file has gone since
            logon = resolve(definition).server_key, definition.user, self.password(definition)
            if report.credentials_refused:
                self._refusals.add(*logon, report.error or "")
            else:
                self._refusals.discard(*logon)

    def _record_anew(self, report: RunReport) -> None:
        """Close the run's row over another connection; the run's own was given back before, to make room for it.

        When PostgreSQL stays away the row is left open, and the next run or start marks it interrupted.
        """
        policy = retrying(
            attempts=self.options.retry_attempts,
            base_seconds=self.options.retry_base,
            max_seconds=self.options.retry_max,
            deadline=Deadline(RECORD_SECONDS),
            passes=lambda error: isinstance(error, DatabaseError),
        )
        try:
            policy(self._finish, report)
        except DatabaseError as error:
            # Foreseen, so without a traceback.
            log.warning("run.unrecorded", outcome=report.outcome.value, error_code=error.code, error=str(error))

    def _finish(self, report: RunReport) -> None:
        with connection_of(self._pool) as connection:
            finish_run(connection, report)


def _record(connection: Connection[Any], report: RunReport) -> bool:
    """Close the run's row over its own connection; False when that cannot be done."""
    try:
        finish_run(connection, report)
    except DatabaseError:
        return False
    return True


def _definition(connection: Connection[Any], definition_id: int) -> Definition:
    for definition in read_definitions(connection, [definition_id]):
        return definition
    raise UsageError(f"There is no definition {definition_id} any more.", hint="See `contactsync folders list`.")


def _note(report: RunReport, error: ContactsyncError) -> None:
    report.error_code, report.error = error.code, str(error)
    report.error_may_pass = error.retryable or isinstance(error, DatabaseUnavailable)
    # What was planned was not done.
    counts = report.counts
    counts.inserted = counts.updated = counts.deleted = counts.refreshed = 0
