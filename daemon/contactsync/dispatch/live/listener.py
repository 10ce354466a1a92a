"""The thread that listens to one server for one user's folders."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import structlog

from contactsync.dispatch.live.connections import (
    ONLY_COUNTED,
    ConnectionLost,
    Connections,
    NothingReported,
    OnlyFullRuns,
)
from contactsync.dispatch.live.mailbox import Mailbox
from contactsync.dispatch.live.status import AUTO, LIVE, LONGEST_PAUSE, States
from contactsync.dispatch.live.timers import Timers
from contactsync.errors import (
    ContactsyncError,
    CredentialsRefused,
    DatabaseError,
    DatabaseUnavailable,
    DefinitionError,
    SecretError,
)
from contactsync.ldap.changes.counters_389 import KIND as COUNTERS
from contactsync.model import Trigger
from contactsync.sync.definition import Resolved

if TYPE_CHECKING:
    from contactsync.dispatch.run_queue import RunQueue
    from contactsync.store.record.cursors import KeptCursor
    from contactsync.sync.runner import Runner

log = structlog.get_logger()

_NOTHING_REPORTED_PAUSE = 600.0

_MOST_PASSED = 1000
"""Changes that concern a folder as little as these, after which a run moves its cursor."""

NO_CURSOR = "No run has stored a cursor yet."
"""Why a folder of mode auto is not listened for, unless there is another reason."""


class Listener:
    """Listens for a group of definitions and requests a run of each that has changed.

    One thread does everything, in small steps, so that starting to listen for one folder does not delay the others. The
    public methods only leave a task for it.
    """

    def __init__(
        self,
        runner: Runner,
        dispatcher: RunQueue,
        states: States,
        lease: Callable[[], bool],
        on_lack: Callable[[], None],
    ) -> None:
        self._runner = runner
        self._dispatcher = dispatcher
        self._states = states
        self._lease = lease
        self._on_lack = on_lack
        self._connections = Connections(runner)
        self._mailbox = Mailbox()
        self._timers = Timers()
        self._stopping = threading.Event()
        self._group: dict[int, Resolved] = {}
        self._new: list[int] = []
        """Those that are listened for and not logged yet."""
        self._passed: Counter[int] = Counter()
        """Changes without a run since the last one, by definition."""
        self._connected_at: float | None = None
        self._thread = threading.Thread(target=self._serve, name="live", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Have the thread close every connection and end; does not wait for it."""
        self._mailbox.put(self._stopping.set)

    def join(self, timeout: float) -> bool:
        """Wait up to so many seconds for the thread to end; True if it has ended."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def follow(self, group: dict[int, Resolved]) -> None:
        """Listen for these definitions and for no others."""
        self._mailbox.put(lambda: self._replace_group(group))

    def recheck(self, definition_id: int, reason: str) -> None:
        """A definition of mode auto has run: listen for it if its run has stored a cursor, else stop, for `reason`."""
        self._mailbox.put(lambda: self._recheck(definition_id, reason))

    def run_in(self, seconds: float, definition_id: int) -> None:
        """Request a run of a definition after so many seconds."""
        self._mailbox.put(lambda: self._run_in(seconds, definition_id))

    def _serve(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    self._step()
                except ConnectionLost as lost:
                    self._lose(lost.error)
                except Exception:
                    log.exception("live.crashed", folders=self._labels(self._group))
                    self._disconnect()
                    self._start_after_crash(self._group)
        finally:
            self._connections.close()
            self._mailbox.close()

    def _step(self) -> None:
        for task in self._mailbox.get():
            task()
        self._start_next()
        if self._stopping.is_set():
            return
        changed, ended = self._connections.wait(self._mailbox, self._timers.seconds)
        if self._connections:
            self._require_lease()
        for definition_id, error in ended.items():
            self._give_up(definition_id, error)
        for definition_id in changed | self._losing(self._connections.take_outside()):
            self._states.behind(definition_id)
            self._timers.run_at(self._states.not_before(definition_id), definition_id)
        for definition_id in self._timers.take_runs():
            self._dispatcher.request(definition_id, Trigger.LIVE)

    def _require_lease(self) -> None:
        if not self._lease():
            raise ConnectionLost(
                DatabaseUnavailable(
                    "PostgreSQL has not answered for some time, so that another node may listen.",
                    hint="This node listens again when PostgreSQL answers.",
                )
            )

    def _losing(self, outside: dict[int, set[str]]) -> set[int]:
        """The definitions that have contacts of these changed entries, which their searches do not find.

        An entry that a run may be adding at this moment counts too. And so does every definition after many changes, so
        that the next run need not read all of them.
        """
        losing: set[int] = set()
        outside = {key: outside[key] for key in outside.keys() & self._group.keys()}
        for definition_id, keys in outside.items():
            self._passed[definition_id] += len(keys)
            if self._states.in_motion(definition_id) or self._passed[definition_id] >= _MOST_PASSED:
                losing.add(definition_id)
        settled = outside.keys() - losing
        if settled:
            try:
                losing |= self._runner.owners_of(set().union(*(outside[key] for key in settled)), settled)
            except DatabaseError:
                losing |= settled
        for definition_id in losing:
            self._passed[definition_id] = 0
        return losing

    def _start_next(self) -> None:
        due = self._timers.due_to_start
        if due:
            try:
                self._start(due[0], self._group[due[0]])
            except ConnectionLost:
                raise
            except Exception:
                log.exception("live.crashed", folders=self._labels(due[:1]))
                self._start_after_crash(due[:1])
        if len(due) <= 1:
            self._log_new()

    def _start(self, definition_id: int, resolved: Resolved) -> None:
        auto = resolved.definition.mode == AUTO
        try:
            stored = self._runner.kept_cursor(resolved)
        except DatabaseError:
            if auto:
                self._timers.start_in(LONGEST_PAUSE, [definition_id])
                return
            stored = None  # the run that follows is made when the database is back
        if auto and (reason := _obstacle(stored, NO_CURSOR)):
            self._suspend(definition_id, reason)
            return
        self._require_lease()
        try:
            in_sync = self._connections.start(definition_id, resolved, stored)
        except NothingReported as error:
            self._give_up_all(error)
        except OnlyFullRuns as error:
            self._suspend(definition_id, str(error))
        except ConnectionLost as lost:
            if isinstance(lost.error, CredentialsRefused):
                # The run does not offer the password again, and records the error.
                self._timers.run_at(time.monotonic(), definition_id)
            raise
        except ContactsyncError as error:
            self._give_up(definition_id, error)
        else:
            self._note_started(definition_id, in_sync=in_sync)

    def _note_started(self, definition_id: int, *, in_sync: bool) -> None:
        self._timers.started(definition_id)
        self._states.listening(definition_id)
        self._new.append(definition_id)
        self._connected_at = self._connected_at or time.monotonic()
        if not in_sync:
            self._states.behind(definition_id)
            self._timers.run_at(time.monotonic(), definition_id)

    def _log_new(self) -> None:
        self._connections.close_requests()
        new, self._new = [each for each in self._new if self._states.listens(each)], []
        if new:
            server, connections = self._connections.server, len(self._connections)
            log.info("live.listening", folders=self._labels(new), server=server, connections=connections)

    def _suspend(self, definition_id: int, reason: str) -> None:
        """Leave a folder of mode auto to its schedule until its next run."""
        self._timers.suspend(definition_id)
        self._states.not_listening([definition_id], reason, scheduled=True)

    def _recheck(self, definition_id: int, reason: str) -> None:
        resolved = self._group.get(definition_id)
        if resolved is None or definition_id in self._timers.to_start:
            return
        try:
            stored = self._runner.kept_cursor(resolved)
        except DatabaseError:
            return
        listens = self._states.listens(definition_id)
        if obstacle := _obstacle(stored, reason):
            self._suspend(definition_id, obstacle)
            if listens:
                self._connections.forget(definition_id)
        elif not listens:
            self._timers.start_in(0.0, [definition_id])

    def _replace_group(self, group: dict[int, Resolved]) -> None:
        before, self._group = self._group, group
        new = {key for key, each in group.items() if key not in before or _search_of(before[key]) != _search_of(each)}
        ended = before.keys() - (group.keys() - new)
        for definition_id in ended:
            self._timers.forget(definition_id)
            del self._passed[definition_id]
        self._timers.start_in(0.0, new)
        self._states.not_listening(new, "Listening has not started yet.")
        for definition_id in ended:
            self._connections.forget(definition_id)

    def _disconnect(self) -> None:
        self._connections.close()
        self._new.clear()
        self._connected_at = None

    def _lose(self, error: ContactsyncError) -> None:
        """Close the connections, and start listening for all definitions again after a pause."""
        if self._connected_at is not None:
            self._timers.connected_for(time.monotonic() - self._connected_at)
        self._disconnect()
        pause = self._timers.pause(None)
        lost = self._group.keys() - self._timers.suspended
        self._timers.start_in(pause, lost)
        if self._log_lost(lost, error, pause) and isinstance(error, SecretError | DefinitionError):
            for definition_id in lost:  # their runs record the error
                self._timers.run_at(time.monotonic(), definition_id)
            self._on_lack()

    def _give_up(self, definition_id: int, error: ContactsyncError) -> None:
        """Retry one definition after a pause, while others are listened for."""
        pause = self._timers.pause(definition_id)
        self._timers.start_in(pause, [definition_id])
        self._log_lost([definition_id], error, pause)

    def _give_up_all(self, error: NothingReported) -> None:
        self._connections.close_requests()
        definition_ids = self._timers.to_start
        self._timers.start_in(_NOTHING_REPORTED_PAUSE, definition_ids)
        if self._states.not_listening(definition_ids, str(error)):
            folders, server = self._labels(definition_ids), self._connections.server
            log.log(self._level(definition_ids), "live.not_offered", folders=folders, server=server)

    def _run_in(self, seconds: float, definition_id: int) -> None:
        if definition_id in self._group:
            self._timers.run_at(time.monotonic() + seconds, definition_id)

    def _start_after_crash(self, definition_ids: Iterable[int]) -> None:
        self._timers.start_in(LONGEST_PAUSE, definition_ids)
        self._states.not_listening(definition_ids, "An unexpected error occurred. The log has the details.")

    def _log_lost(self, definition_ids: Iterable[int], error: ContactsyncError, pause: float) -> bool:
        """Log an error once, not with each retry that fails in the same way; returns whether it is new."""
        is_new = self._states.not_listening(definition_ids, str(error))
        if is_new:
            log.log(
                self._level(definition_ids),
                "live.lost",
                folders=self._labels(definition_ids),
                error_code=error.code,
                error=str(error),
                retry_in_seconds=pause,
            )
        return is_new

    def _level(self, definition_ids: Iterable[int]) -> int:
        """WARNING if a user has set the mode to live; mode auto does not promise to listen."""
        live = any(self._group[key].definition.mode == LIVE for key in definition_ids if key in self._group)
        return logging.WARNING if live else logging.INFO

    def _labels(self, definition_ids: Iterable[int]) -> list[str]:
        return [self._group[key].definition.label for key in definition_ids if key in self._group]


def _obstacle(stored: KeptCursor | None, otherwise: str) -> str | None:
    """Why the stored cursor is not enough for a folder of mode auto; `otherwise` if there is no cursor."""
    if stored is None:
        return otherwise
    return ONLY_COUNTED if stored.kind == COUNTERS else None


def _search_of(resolved: Resolved) -> tuple[object, ...]:
    """The fields of a definition whose edit needs another search."""
    definition = resolved.definition
    return (
        resolved.base,
        resolved.scope,
        resolved.filter,
        definition.filter_only,
        definition.mode,
        str(definition.mapping),
    )
