"""One APScheduler job for each definition that is to run by itself, always as the table says.

The jobs live in memory only: PostgreSQL holds the definitions, and a job does no more than ask the dispatcher for a
run, so neither a busy pool nor a slow directory can make the scheduler late.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any

import structlog
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers import SchedulerNotRunningError
from apscheduler.schedulers.background import BackgroundScheduler

from contactsync.errors import ContactsyncError
from contactsync.ldap.connection.options import missing_password
from contactsync.model import Trigger
from contactsync.schedule import last_due
from contactsync.store.definitions import (
    read_definitions,
    read_last_starts,
    read_locks,
    read_revisions,
    set_next_runs,
    set_states,
)
from contactsync.store.pool import Pool, connection_of
from contactsync.store.record.requests import LOOK, open_requests
from contactsync.sync.definition import Resolved, resolve

if TYPE_CHECKING:
    from apscheduler.events import JobEvent

    from contactsync.dispatch.dispatcher import Dispatcher
    from contactsync.model import Definition

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Followed:
    """What the schedule knows of a definition; `resolved` is None for one that is invalid.

    `locked` is why it runs only by hand: the directory refused its user or password.
    """

    definition: Definition
    resolved: Resolved | None
    reason: str | None = None
    locked: str | None = None

    @property
    def may_run(self) -> bool:
        """Whether it makes sense and is not paused."""
        return self.definition.enabled and self.resolved is not None

    @property
    def what_is_read(self) -> Definition:
        """The definition without what has no influence on the contacts it brings."""
        return replace(
            self.definition, folder="", owner=None, name="", schedule="", time_zone="", jitter_seconds=0, revision=0
        )

    @property
    def timetable(self) -> tuple[str, str, int] | None:
        """What decides when it runs; None when it does not run by itself."""
        definition = self.definition
        if not self.may_run or self.locked or self.resolved is None or self.resolved.trigger is None:
            return None
        return definition.schedule, definition.time_zone, definition.jitter_seconds


class Schedule:
    """Follows the definitions in the database and asks the dispatcher for a run whenever one is due.

    `on_followed` is called when `followed` is another, before a run is asked for because of that.
    """

    def __init__(self, pool: Pool, dispatcher: Dispatcher, on_followed: Callable[[], None] = lambda: None) -> None:
        self._pool = pool
        self._dispatcher = dispatcher
        self._on_followed = on_followed
        self._lock = Lock()
        self._followed: dict[int, Followed] = {}
        self._fired: set[int] = set()
        self._asked_at: float | None = None
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(1)},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 10},
        )
        self._scheduler.add_listener(_on_trouble, EVENT_JOB_ERROR | EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)

    def start(self) -> None:
        """Start APScheduler's thread."""
        self._scheduler.start()

    def stop(self) -> None:
        """Fire no more."""
        self._scheduler.shutdown(wait=False)

    @property
    def alive(self) -> bool:
        """Whether the scheduler's thread is there."""
        return bool(self._scheduler.running)

    def ping(self) -> float:
        """Ask APScheduler's threads for a sign of life; returns the seconds that the oldest request is unanswered.

        A job for now, dated anew each time: a clock that is set back must not make it a job for the future.
        """
        asked_at = self._asked_at
        if asked_at is None:
            asked_at = self._asked_at = time.monotonic()
        self._scheduler.add_job(self._answer, id="ping", replace_existing=True)
        return time.monotonic() - asked_at

    def server_of(self, definition_id: int) -> str:
        """The directory server that a definition uses, as the dispatcher's limit counts them."""
        followed = self._followed.get(definition_id)
        return followed.resolved.server_key if followed and followed.resolved else ""

    @property
    def followed(self) -> list[Followed]:
        """Every definition as it is followed now."""
        with self._lock:
            return list(self._followed.values())

    def enabled(self) -> list[int]:
        """The definitions that may run."""
        return [known.definition.definition_id for known in self.followed if known.may_run]

    def first_due(self) -> tuple[Followed, datetime] | None:
        """What runs by itself next, and when."""
        known = {str(followed.definition.definition_id): followed for followed in self.followed}
        due = [(job.next_run_time, job.id) for job in self._scheduler.get_jobs() if job.id in known]
        if not due:
            return None
        at, job_id = min(due)
        return known[job_id], at

    def requested(self, names: set[str]) -> None:
        """Run what other programs ask for by the name of a folder or definition; an empty name means everything.

        Raises DatabaseError.
        """
        if LOOK in names:
            self.catch_up_requests()
        followed = self.followed
        for name in names - {LOOK}:
            meant = [known for known in followed if name in {"", known.definition.label, known.definition.folder_label}]
            if not meant:
                log.warning("request.unknown", requested=name)
            for known in meant:
                if known.may_run:
                    # Everything is a round, which nobody waits for in particular.
                    self._dispatcher.request(known.definition.definition_id, Trigger.REQUEST, awaited=name != "")

    def catch_up_requests(self) -> None:
        """Run what request_sync noted and did not start since. Raises DatabaseError."""
        with connection_of(self._pool) as connection:
            wanted = open_requests(connection)
        may_run = set(self.enabled())
        for definition_id in wanted:
            if definition_id in may_run:
                self._dispatcher.request(definition_id, Trigger.REQUEST, awaited=True)

    def rescan(self) -> None:
        """Look at every definition's revision and follow those that are new, edited or gone. Raises DatabaseError."""
        with connection_of(self._pool) as connection:
            revisions = read_revisions(connection)
        known = {key: followed.definition.revision for key, followed in self._followed.items()}
        stale = {key for key in revisions.keys() | known.keys() if revisions.get(key) != known.get(key)}
        if stale:
            self.follow(stale)

    def follow(self, ids: Iterable[int]) -> None:
        """Do as the table says for these definitions, one that is gone included. Raises DatabaseError."""
        wanted = set(ids)
        with connection_of(self._pool) as connection:
            definitions = read_definitions(connection, wanted)
            started = read_last_starts(connection, wanted)
            looked = [_look(definition) for definition in definitions]
            news = set_states(connection, {now.definition.definition_id: now.reason for now in looked})
            locks = read_locks(connection, wanted)
        looked = [replace(now, locked=locks.get(now.definition.definition_id)) for now in looked]
        for definition_id in wanted.difference(definition.definition_id for definition in definitions):
            self._forget(definition_id)
        with self._lock:
            before = {now.definition.definition_id: self._followed.get(now.definition.definition_id) for now in looked}
            self._followed |= {now.definition.definition_id: now for now in looked}
        self._on_followed()
        with self._dozing():
            for now in looked:
                definition_id = now.definition.definition_id
                self._follow(before[definition_id], now, started.get(definition_id))
                if now.reason and definition_id in news:
                    _log_of(now).error("definition.invalid", reason=now.reason)
        with self._lock:
            self._fired.update(now.definition.definition_id for now in looked)

    @contextmanager
    def _dozing(self) -> Iterator[None]:
        """Wake APScheduler's thread once afterwards, and not for each of many jobs."""
        with suppress(SchedulerNotRunningError):
            self._scheduler.pause()
        try:
            yield
        finally:
            with suppress(SchedulerNotRunningError):  # it was stopped meanwhile
                self._scheduler.resume()

    def note_next_runs(self) -> None:
        """Write when those definitions run next that were followed or fired since. Raises DatabaseError."""
        with self._lock:
            fired, self._fired = self._fired, set()
        if not fired:
            return
        times = {key: self._next_run(key) for key in fired}
        with connection_of(self._pool) as connection:
            set_next_runs(connection, times)

    def _follow(self, before: Followed | None, now: Followed, last_start: datetime | None) -> None:
        definition_id = now.definition.definition_id
        if before and before.may_run and not now.may_run:
            self._dispatcher.forget(definition_id)
        _log_lock(before, now)
        if now.timetable is None:
            self._unschedule(definition_id)
            return
        edited = before is not None and before.what_is_read != now.what_is_read
        if edited:
            # Before its schedule can: a password that was refused is tried again after an edit, and not by schedule.
            self._dispatcher.request(definition_id, Trigger.EDIT, awaited=True)
        if before is None or before.timetable != now.timetable:
            self._schedule(now)
            if not edited:
                self._catch_up(now, last_start)

    def _schedule(self, followed: Followed) -> None:
        definition_id = followed.definition.definition_id
        trigger = followed.resolved.trigger if followed.resolved else None
        self._scheduler.add_job(self._fire, trigger, args=[definition_id], id=str(definition_id), replace_existing=True)
        _log_of(followed).info("definition.scheduled", schedule=followed.definition.schedule)

    def _catch_up(self, followed: Followed, last_start: datetime | None) -> None:
        """Run at once what never ran, and once what was due while nobody was there to run it."""
        trigger = followed.resolved.trigger if followed.resolved else None
        if trigger is None:
            return
        if last_start is None or last_due(trigger, last_start, datetime.now(UTC)) is not None:
            self._dispatcher.request(followed.definition.definition_id, Trigger.CATCH_UP)

    def _fire(self, definition_id: int) -> None:
        with self._lock:
            self._fired.add(definition_id)
        self._dispatcher.request(definition_id, Trigger.SCHEDULE)

    def _answer(self) -> None:
        self._asked_at = None

    def _forget(self, definition_id: int) -> None:
        with self._lock:
            gone = self._followed.pop(definition_id, None)
        self._dispatcher.forget(definition_id)
        self._unschedule(definition_id)
        if gone:
            _log_of(gone).info("definition.removed")

    def _unschedule(self, definition_id: int) -> None:
        if self._scheduler.get_job(str(definition_id)):
            self._scheduler.remove_job(str(definition_id))

    def _next_run(self, definition_id: int) -> datetime | None:
        job = self._scheduler.get_job(str(definition_id))
        return job.next_run_time if job else None


def _look(definition: Definition) -> Followed:
    try:
        resolved = resolve(definition)
        if definition.lacks_password:
            raise missing_password(resolved.user)
        return Followed(definition, resolved)
    except ContactsyncError as error:
        return Followed(definition, None, str(error))


def _log_of(followed: Followed) -> Any:
    """The log with the names of a definition."""
    return log.bind(folder=followed.definition.label, definition=followed.definition.definition_id)


def _log_lock(before: Followed | None, now: Followed) -> None:
    if now.locked and not (before and before.locked):
        _log_of(now).error("definition.locked", reason=now.locked)
    elif before and before.locked and not now.locked:
        _log_of(now).info("definition.unlocked")


def _on_trouble(event: JobEvent) -> None:
    """APScheduler only logs these by itself; here they become events that an alert can match."""
    log.error("schedule.trouble", definition=event.job_id, event_code=event.code)
