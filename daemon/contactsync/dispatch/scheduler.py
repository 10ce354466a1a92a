"""One APScheduler job for each definition with a schedule, kept as the table of definitions says.

The jobs are in memory only, since PostgreSQL has the definitions. A job only requests a run from the dispatcher, so
neither a busy pool nor a slow directory delays the scheduler. contactsync.dispatch.job_thread runs them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any

import structlog

from contactsync.dispatch.clock import WallClock
from contactsync.dispatch.definition_reader import DefinitionReader, log_of
from contactsync.dispatch.followed import MOST_AT_ONCE, Followed, batches
from contactsync.dispatch.job_thread import JobThread
from contactsync.model import Trigger
from contactsync.schedule import last_due
from contactsync.store.definitions import (
    read_last_starts,
    set_next_runs,
)
from contactsync.store.pool import Pool, connection_of
from contactsync.store.versions import Versions, read_versions

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.dispatch.run_queue import RunQueue
    from contactsync.model import Definition
    from contactsync.schedule import Timetable

log = structlog.get_logger()


class Schedule:
    """Follows the definitions in the database and requests their runs from the dispatcher.

    `on_followed` is called when `followed` has changed, before the runs are requested that follow from the change.
    Unless it `leads`, it follows the definitions, but neither marks those that are not valid nor requests runs: another
    daemon of the fleet does.
    `accept_password` is the function of operations/secrets/new_passwords.py.
    """

    def __init__(
        self,
        pool: Pool,
        dispatcher: RunQueue,
        on_followed: Callable[[], None] = lambda: None,
        accept_password: Callable[[Connection[Any], Definition], Definition] = lambda _, definition: definition,
        *,
        leads: bool = True,
    ) -> None:
        self._pool = pool
        self._leads = leads
        self._reader = DefinitionReader(accept_password)
        self._dispatcher = dispatcher
        self._on_followed = on_followed
        self._lock = Lock()
        self._followed: dict[int, Followed] = {}
        self._versions = Versions()
        self._fired: set[int] = set()
        self._clock = WallClock()
        self._thread = JobThread(self._timetable, self._fire)
        self._jobs = self._thread.jobs

    def start(self) -> None:
        """Start APScheduler's thread."""
        self._thread.start()

    def stop(self) -> None:
        """Request no more runs."""
        self._thread.stop()

    @property
    def alive(self) -> bool:
        """Whether the scheduler's thread is there."""
        return self._thread.alive

    def ping(self) -> float:
        """Have the scheduler's thread answer; returns the seconds since the oldest ping without an answer."""
        return self._thread.ping()

    def server_of(self, definition_id: int) -> str:
        """The directory server of a definition, for the dispatcher's limit."""
        followed = self._followed.get(definition_id)
        return followed.server if followed else ""

    def definition(self, definition_id: int) -> Followed | None:
        """The definition with this id, if it is followed; does not wait."""
        return self._followed.get(definition_id)

    @property
    def followed(self) -> list[Followed]:
        """Every definition that is followed."""
        with self._lock:
            return list(self._followed.values())

    def runnable(self) -> list[Followed]:
        """The definitions that may run."""
        return [followed for followed in self.followed if followed.may_run]

    def enabled(self) -> list[int]:
        """The ids of the definitions that may run."""
        return [followed.definition_id for followed in self.runnable()]

    def first_due(self) -> tuple[Followed, datetime] | None:
        """The definition that its schedule runs next, and when."""
        first = self._jobs.first()
        followed = self._followed.get(first[1]) if first else None
        return (followed, first[0]) if first and followed else None

    def rescan(self) -> None:
        """Follow the definitions that are new, edited, restored or gone since the last rescan. Raises DatabaseError."""
        with connection_of(self._pool) as connection:
            versions = read_versions(connection)
        stale = set(self._versions.differing(versions))
        stale |= self._reader.unmarked
        stale |= {definition_id for definition_id in self._followed if definition_id not in versions}
        if stale:
            self.follow(stale)
        self._versions = versions

    @property
    def leads(self) -> bool:
        """Whether it requests runs."""
        return self._leads

    def lead(self, leads: bool) -> None:  # noqa: FBT001 -- the new state
        """Request runs from now on, as after a start, or no more. Raises DatabaseError, and then does not lead."""
        self._leads = leads
        with self._lock:
            definition_ids = list(self._followed)
        if leads:
            try:
                self.follow(definition_ids, anew=True)
            except BaseException:
                self._leads = False
                raise
            return
        for definition_id in definition_ids:
            self._jobs.drop(definition_id)

    def follow(self, ids: Iterable[int], *, anew: bool = False) -> None:
        """Read these definitions from the table, also deleted ones, and follow them. Raises DatabaseError.

        With `anew` they are followed as after a start.
        """
        # One time for all: one statement that edits many folders of a user is one attempt with a refused password.
        edited_at = time.monotonic()
        current: dict[int, Followed] = {}
        last_starts: dict[int, tuple[datetime | None, int | None]] = {}
        before: dict[int, Followed | None] = {}
        for batch in batches(set(ids)):
            with connection_of(self._pool) as connection:
                read = self._reader.read(connection, batch, leads=self._leads)
                if self._leads:
                    last_starts |= read_last_starts(connection, batch)
            for definition_id in batch:
                if definition_id not in read:
                    self._forget(definition_id)
            if self._leads:
                current |= read
            else:  # at once, since a second collection of 100,000 would take ten megabytes
                with self._lock:
                    self._followed |= read
        with self._lock:
            if not anew:
                before = {key: self._followed.get(key) for key in current}
            self._followed |= current
        try:
            self._on_followed()
        finally:  # it reads the table, which may fail: the definitions would look as if they were scheduled
            if self._leads:
                self._follow_all(before, current, last_starts, edited_at)

    def _follow_all(
        self,
        before: dict[int, Followed | None],
        current: dict[int, Followed],
        last_starts: dict[int, tuple[datetime | None, int | None]],
        edited_at: float,
    ) -> None:
        for batch in batches(current):
            for definition_id in batch:
                followed, last_run = current[definition_id], last_starts.get(definition_id, (None, None))
                try:
                    self._follow(before.get(definition_id), followed, last_run, edited_at)
                except Exception:
                    log.exception("definition.crashed", folder=followed.label, definition=definition_id)
            self._thread.wake()
            if len(current) > MOST_AT_ONCE:
                self._thread.run_due_jobs()
        with self._lock:
            self._fired.update(current)

    def follow_clock(self) -> float:
        """Schedule everything anew if the clock was set since the last call; returns the seconds of that jump."""
        jump = self._clock.jump()
        if jump:
            log.warning("clock.set", seconds=round(jump))
        if jump and self._leads:
            for followed in self.followed:
                self._jobs.put(followed.definition_id)
            self._thread.wake()
            with self._lock:
                self._fired.update(self._followed)
        return jump

    def note_next_runs(self) -> None:
        """Store the next run of each definition that was followed or has fired since. Raises DatabaseError."""
        with self._lock:
            fired, self._fired = self._fired, set()
        for batch in batches(fired if self._leads else ()):
            times = {key: self._jobs.next_run(key) for key in batch}
            with connection_of(self._pool) as connection:
                waiting = set_next_runs(connection, times)
            with self._lock:
                self._fired |= waiting

    def _follow(
        self,
        before: Followed | None,
        current: Followed,
        last_run: tuple[datetime | None, int | None],
        edited_at: float,
    ) -> None:
        """`last_run` is the start of the last run, and the revision that it used."""
        definition_id = current.definition_id
        last_start, last_revision = last_run
        if before and before.may_run and not current.may_run:
            self._dispatcher.forget(definition_id)
        _log_lock(before, current)
        edited_meanwhile = last_revision not in {None, current.revision}  # while no daemon was running
        edited = before.content != current.content if before else edited_meanwhile
        if edited and current.may_run and current.times:
            # Before the schedule's request: the run after an edit may offer a refused password again. Also if the
            # definition is locked: a run that waited when it was edited may have locked it again without an attempt.
            self._dispatcher.request(definition_id, Trigger.EDIT, asked_at=edited_at)
        if current.runs_at is None:
            self._jobs.drop(definition_id)
            return
        if before is None or before.runs_at != current.runs_at:
            self._jobs.put(definition_id)
            # `bind` would take longer than all else.
            log.info(
                "definition.scheduled",
                folder=current.label,
                definition=definition_id,
                schedule=current.runs_at.schedule,
            )
            if not edited:
                self._catch_up(current, last_start)

    def _timetable(self, definition_id: int) -> Timetable | None:
        followed = self._followed.get(definition_id)
        times = followed.runs_at if followed else None
        return times.timetable(definition_id) if times else None

    def _catch_up(self, followed: Followed, last_start: datetime | None) -> None:
        """Run a definition that never ran, or that was due while no daemon was running."""
        timetable = self._timetable(followed.definition_id)
        if timetable is None:
            return
        if last_start is None or last_due(timetable, last_start, datetime.now(UTC)) is not None:
            self._dispatcher.request(followed.definition_id, Trigger.CATCH_UP)

    def _fire(self, definition_id: int) -> None:
        with self._lock:
            self._fired.add(definition_id)
        self._dispatcher.request(definition_id, Trigger.SCHEDULE)

    def _forget(self, definition_id: int) -> None:
        with self._lock:
            gone = self._followed.pop(definition_id, None)
        if not self._leads:
            return
        self._dispatcher.forget(definition_id)
        self._jobs.drop(definition_id)
        if gone:
            log_of(gone).info("definition.removed")


def _log_lock(before: Followed | None, current: Followed) -> None:
    if current.locked and not (before and before.locked):
        log_of(current).error("definition.locked", reason=current.locked)
    elif before and before.locked and not current.locked:
        log_of(current).info("definition.unlocked")
