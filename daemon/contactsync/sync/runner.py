"""Makes runs: takes a definition's lock, runs it, records and reports the result."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import structlog
from structlog.contextvars import bound_contextvars

from contactsync.credentials.bind import BindPasswords
from contactsync.credentials.refused import Refusals
from contactsync.errors import (
    INTERNAL,
    ContactsyncError,
    DatabaseError,
    DatabaseUnavailable,
    DefinitionError,
    RunCancelled,
    SecretError,
)
from contactsync.ldap.connection.cache import SessionCache
from contactsync.ldap.connection.deadline import Deadline
from contactsync.model import Definition, Outcome, Preview, RunReport, Trigger
from contactsync.store.pool import Pool, connection_of
from contactsync.store.record.cursors import KeptCursor, read_cursor, read_owners
from contactsync.store.record.runs import begin_run, finish_run, lock_definition
from contactsync.sync.context import RunContext
from contactsync.sync.definition import Resolved, open_directory, resolve
from contactsync.sync.log_line import log_run
from contactsync.sync.observer import Observer, ObserverGroup
from contactsync.sync.options import RunOptions
from contactsync.sync.retry import retry
from contactsync.sync.run import Run

if TYPE_CHECKING:
    from typing import Any

    from psycopg import Connection

    from contactsync.ldap.connection.session import Session

log = structlog.get_logger()

RECORD_SECONDS = 10
"""How long a run whose connection to PostgreSQL broke goes on trying to write its record."""


class Runner:
    """Runs definitions; any number of threads may call `run` at the same time.

    `options` and `passwords` may be replaced at any time, `refusals` before the first run; a run keeps the options that
    it started with. `sessions` keeps connections to directories from one run to the next; by default none is kept.
    """

    def __init__(
        self,
        pool: Pool,
        passwords: BindPasswords,
        options: RunOptions,
        observer: Observer | None = None,
        sessions: SessionCache | None = None,
    ) -> None:
        self._pool = pool
        self.passwords = passwords
        self.options = options
        self._observer = observer or Observer()
        self._sessions = sessions or SessionCache(per_server=0, most=0)
        self._deadlines: dict[Deadline, RunReport | None] = {}
        self._guard = threading.Lock()
        self._cancelled = False
        self.refusals = Refusals()

    def run(
        self,
        definition_id: int,
        trigger: Trigger,
        observer: Observer | None = None,
        *,
        asked_at: float | None = None,
        live: bool = False,
        remark: str = "",
        node_id: int | None = None,
    ) -> RunReport:
        """Make one run and record it; the report says how it ended.

        `asked_at` is the monotonic time at which a user asked for this folder alone, or edited it: only then a locked
        definition runs, and a refused password is offered again. With `live` the run stores a cursor even if the
        folder is small. `remark` follows an error about the password or the definition. `node_id` is the node of a
        fleet that makes the run, unless others have ended it. Raises UsageError (no such definition), DefinitionLocked,
        AlreadyRunning, DatabaseError.
        """
        if observer:
            observer = ObserverGroup(self._observer, observer)
        with connection_of(self._pool) as connection:
            begun = begin_run(connection, definition_id, trigger, retry_locked=asked_at is not None, node_id=node_id)
            report = begun.report
            names = {"folder": report.definition.label, "definition": definition_id, "run": report.run_id}
            context = self._context(connection, report, observer or self._observer, asked_at)
            context.entries_before, context.open_plans, context.live = begun.entries_before, begun.open_plans, live
            with bound_contextvars(**names):
                context.observer.started(report)
                self._carry_out(context, remark)
                if asked_at is not None and report.server and not report.credentials_refused:
                    self._note_accepted(report.definition)
                with suppress(DatabaseError):  # the connection is broken; recorded below
                    finish_run(connection, report)
        with bound_contextvars(**names):
            if report.finished_at is None:
                self._record_anew(report)
            log_run(report)
        context.observer.finished(report)
        return report

    def report_finished(self, report: RunReport) -> None:
        """Report an undo, which the runner does not make, to the observers of all runs."""
        self._observer.finished(report)

    def preview(
        self,
        definition: Definition,
        observer: Observer | None = None,
        *,
        limit: int | None = None,
        password: Callable[[], str | None] | None = None,
    ) -> Preview:
        """Make a run's plan, check it and change nothing; the preview has the first `limit` changes (None: all).

        `definition` may have edits that are not stored, and `password` replaces its own. Raises the errors that a run
        would record, and those that keep a run from starting.
        """
        with connection_of(self._pool) as connection:
            lock_definition(connection, definition)
            report = RunReport(0, definition, Trigger.PREVIEW, datetime.now(UTC))
            context = self._context(connection, report, observer or Observer(), time.monotonic())
            if password:
                context.password = lambda _resolved: password()
            with self._cancellable(context.deadline):
                return Preview(report, Run(context).preview(limit))

    @contextmanager
    def listening(self, resolved: Resolved) -> Iterator[Session]:
        """A connection to a definition's directory that lasts until the block ends; raises ContactsyncError.

        A refused password is not offered again, neither here nor by a scheduled run.
        """
        password = self._unrefused_password(None, resolved)
        # Not the definition's own deadline: the connection is shared.
        deadline = Deadline(self.options.deadline)
        logon = partial(self._logon, None, deadline, None, resolved, password)
        with open_directory(resolved, self.options, password, deadline, logon) as session:
            yield session

    def kept_cursor(self, resolved: Resolved) -> KeptCursor | None:
        """The cursor that the definition's last run has stored; raises DatabaseError."""
        with connection_of(self._pool) as connection:
            return read_cursor(connection, resolved.definition)

    def owners_of(self, keys: Collection[str], definition_ids: Collection[int]) -> set[int]:
        """Those of the definitions that have a contact of one of these keys; raises DatabaseError."""
        with connection_of(self._pool) as connection:
            return read_owners(connection, keys, definition_ids)

    def active(self) -> list[RunReport]:
        """The current runs, oldest first; their counts grow."""
        with self._guard:
            return [report for report in self._deadlines.values() if report]

    def cancel(self, run_id: int) -> bool:
        """Cancel a run unless it has reached its apply; False if there is no such run."""
        with self._guard:
            deadlines = [each for each, report in self._deadlines.items() if report and report.run_id == run_id]
        for deadline in deadlines:
            deadline.cancel()
        return bool(deadlines)

    def cancel_all(self) -> None:
        """Cancel every run that has not reached its apply, and every later one at its start."""
        with self._guard:
            self._cancelled = True
            for deadline in self._deadlines:
                deadline.cancel()

    @property
    def overdrawn(self) -> float:
        """The seconds by which the latest run has exceeded its deadline; 0 if none has.

        The plan and the apply follow the last check of the deadline and may take a while.
        """
        with self._guard:
            return max([0.0, *(each.overdrawn for each, report in self._deadlines.items() if report)])

    @contextmanager
    def _cancellable(self, deadline: Deadline, report: RunReport | None = None) -> Iterator[None]:
        with self._guard:
            self._deadlines[deadline] = report
            if self._cancelled:
                deadline.cancel()
        try:
            yield
        finally:
            with self._guard:
                del self._deadlines[deadline]

    def _context(
        self, connection: Connection[Any], report: RunReport, observer: Observer, asked_at: float | None
    ) -> RunContext:
        options = self.options
        deadline = Deadline(report.definition.deadline_seconds or options.deadline)
        return RunContext(
            connection=connection,
            report=report,
            options=options,
            limits=options.read_limits(deadline),
            sessions=self._sessions,
            password=partial(self._unrefused_password, asked_at),
            logon=partial(self._logon, connection, deadline, asked_at),
            observer=observer,
        )

    def _carry_out(self, context: RunContext, remark: str) -> None:
        report = context.report
        try:
            with self._cancellable(context.deadline, report):
                Run(context).carry_out()
        except RunCancelled as error:
            report.outcome = Outcome.CANCELLED
            _note(report, error)
        except ContactsyncError as error:
            _note(report, error)
            if remark and isinstance(error, SecretError | DefinitionError):
                report.error = f"{report.error} {remark}"
        except Exception:
            report.error_code = INTERNAL
            report.error = "An unexpected error occurred. The log has the details."
            log.exception("run.crashed")

    def _unrefused_password(self, asked_at: float | None, resolved: Resolved) -> str | None:
        """The password; raises CredentialsRefused if it was refused, also for another folder of the same user."""
        password = self.passwords.read(resolved.definition)
        self.refusals.check(resolved.server_key, resolved.definition.user, password, asked_at=asked_at)
        return password

    def _note_accepted(self, definition: Definition) -> None:
        """Forget a refusal also if a user's run used a connection that was kept, without another bind."""
        with suppress(ContactsyncError):  # the password's file is gone
            self.refusals.discard(resolve(definition).server_key, definition.user, self.passwords.read(definition))

    def _logon(
        self,
        connection: Connection[Any] | None,
        deadline: Deadline,
        asked_at: float | None,
        resolved: Resolved,
        password: str | None,
    ) -> AbstractContextManager[None]:
        """For a bind: other definitions learn whether user and password were accepted before they offer them."""
        logon = resolved.server_key, resolved.definition.user, password
        return self.refusals.offering(connection, logon, deadline, asked_at=asked_at)

    def _record_anew(self, report: RunReport) -> None:
        """Close the run's row over another connection, after the run has returned its own to the pool.

        If PostgreSQL stays unavailable, the row stays open; the next run or start marks it interrupted.
        """

        def finish() -> None:
            with connection_of(self._pool) as connection:
                finish_run(connection, report)

        try:
            retry(finish, self.options, Deadline(RECORD_SECONDS), may_pass=lambda _: True)
        except DatabaseError as error:
            log.warning("run.unrecorded", outcome=report.outcome.value, error_code=error.code, error=str(error))


def _note(report: RunReport, error: ContactsyncError) -> None:
    report.error_code, report.error = error.code, str(error)
    report.error_may_pass = error.retryable or isinstance(error, DatabaseUnavailable)
    # Nothing of the plan was applied.
    counts = report.counts
    counts.inserted = counts.updated = counts.deleted = counts.refreshed = 0
