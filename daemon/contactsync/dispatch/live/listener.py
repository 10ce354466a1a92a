"""The thread that listens to one server for one user's folders."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import structlog

from contactsync.dispatch.live.connections import ONLY_COUNTED, ConnectionLost, Connections, NothingTold, OnlyFullRuns
from contactsync.dispatch.live.mailbox import Mailbox
from contactsync.dispatch.live.status import AUTO, LIVE, LONGEST_PAUSE, States
from contactsync.dispatch.live.timers import Timers
from contactsync.errors import ContactsyncError, CredentialsRefused, DatabaseError
from contactsync.ldap.changes.counters_389 import KIND as COUNTERS
from contactsync.model import Trigger
from contactsync.sync.definition import Resolved

if TYPE_CHECKING:
    from contactsync.store.record.cursors import KeptCursor

log = structlog.get_logger()

_NOTHING_TOLD_PAUSE = 600.0
_STOP_SECONDS = 2.0

Ask = Callable[[int, Trigger], object]
"""Asks for a run of a definition."""
KeptCursorOf = Callable[[Resolved], "KeptCursor | None"]
"""Up to where a definition is in step, as it is stored; raises DatabaseError."""

NOT_YET = "No run has noted up to where it read."
"""Why one of mode auto is not listened for, unless more is known."""


class Listener:
    """Listens for a group of definitions, and has each run that something changed for.

    Everything is done by one thread, in small steps, so that those that are listened for already need not wait for the
    others. What others call only leaves word for it.
    """

    def __init__(self, ears: Connections, states: States, ask: Ask, kept: KeptCursorOf) -> None:
        self._ears = ears
        self._states = states
        self._ask = ask
        self._kept = kept
        self._letterbox = Mailbox()
        self._agenda = Timers()
        self._over = threading.Event()
        self._group: dict[int, Resolved] = {}
        self._begun: list[int] = []
        self._connected_at: float | None = None
        self._thread = threading.Thread(target=self._serve, name="live", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End it, and every connection."""
        self._letterbox.leave(self._over.set)
        self._thread.join(_STOP_SECONDS)

    def follow(self, group: dict[int, Resolved]) -> None:
        """Listen for these definitions as they are now, and for no others."""
        self._letterbox.leave(lambda: self._renew(group))

    def look_again(self, number: int, reason: str) -> None:
        """One of mode auto has run: listen for it now if its run left a cursor, and else for this reason no more."""
        self._letterbox.leave(lambda: self._look_again(number, reason))

    def again(self, number: int, seconds: float) -> None:
        """Have a run of a definition after so many seconds."""
        self._letterbox.leave(lambda: self._run_later(number, seconds))

    def _serve(self) -> None:
        try:
            while not self._over.is_set():
                try:
                    self._turn()
                except ConnectionLost as lost:
                    self._lose(lost.error)
                except Exception:
                    log.exception("live.crashed", folders=self._labels(self._group))
                    self._ears.close()
                    self._agenda.begin_in(LONGEST_PAUSE, self._group)
                    self._states.not_listening(self._group, "An unexpected error occurred. The log has the details.")
        finally:
            self._ears.close()
            self._letterbox.close()

    def _turn(self) -> None:
        """One step of everything, and then wait for what comes first."""
        for word in self._letterbox.take():
            word()
        self._begin_next()
        if self._over.is_set():
            return
        heard, ended = self._ears.hear(self._letterbox, self._agenda.seconds)
        for number, error in ended.items():
            self._give_up(number, error)
        for number in heard:
            self._states.behind(number)
            self._agenda.run_at(self._states.not_before(number), number)
        for number in self._agenda.take_runs():
            self._states.asked(number)
            self._ask(number, Trigger.LIVE)

    def _begin_next(self) -> None:
        """Begin to listen for one of those whose time has come."""
        due = self._agenda.due_to_begin
        if due:
            self._begin(due[0], self._group[due[0]])
        if len(due) <= 1:
            self._all_begun()

    def _begin(self, number: int, resolved: Resolved) -> None:
        auto = resolved.definition.mode == AUTO
        try:
            kept = self._kept(resolved)
        except DatabaseError:
            if auto:
                self._agenda.begin_in(LONGEST_PAUSE, [number])
                return
            kept = None  # the run that is asked for then is made when the database is back
        if auto and (reason := _too_little(kept, NOT_YET)):
            self._leave_to_schedule(number, reason)
        else:
            self._begin_from(kept, number, resolved)

    def _begin_from(self, kept: KeptCursor | None, number: int, resolved: Resolved) -> None:
        try:
            in_step = self._ears.begin(number, resolved, kept)
        except NothingTold as error:
            self._find_nothing(error)
        except OnlyFullRuns as error:
            self._leave_to_schedule(number, str(error))
        except ConnectionLost as lost:
            if isinstance(lost.error, CredentialsRefused):
                # The run offers the password no more than this, and says so where people look.
                self._agenda.run_at(time.monotonic(), number)
            raise
        except ContactsyncError as error:
            self._give_up(number, error)
        else:
            self._have_begun(number, in_step=in_step)

    def _have_begun(self, number: int, *, in_step: bool) -> None:
        self._agenda.begun(number)
        self._states.listening(number)
        self._begun.append(number)
        self._connected_at = self._connected_at or time.monotonic()
        if not in_step:
            self._states.behind(number)
            self._agenda.run_at(time.monotonic(), number)

    def _all_begun(self) -> None:
        self._ears.rest()
        begun, self._begun = self._begun, []
        if begun:
            server, connections = self._ears.server, self._ears.connections
            log.info("live.listening", folders=self._labels(begun), server=server, connections=connections)

    def _leave_to_schedule(self, number: int, reason: str) -> None:
        """Until its next run: one of mode auto."""
        self._agenda.leave(number)
        self._states.not_listening([number], reason, scheduled=True)

    def _look_again(self, number: int, reason: str) -> None:
        resolved = self._group.get(number)
        if resolved is None or number in self._agenda.to_begin:
            return
        try:
            kept = self._kept(resolved)
        except DatabaseError:
            return
        listens = self._states.listens(number)
        if too_little := _too_little(kept, reason):
            self._leave_to_schedule(number, too_little)
            if listens:
                self._ears.forget(number)
        elif not listens:
            self._agenda.begin_in(0.0, [number])

    def _renew(self, group: dict[int, Resolved]) -> None:
        before, self._group = self._group, group
        news = {
            number
            for number, resolved in group.items()
            if number not in before or _what_is_heard(before[number]) != _what_is_heard(resolved)
        }
        over = before.keys() - (group.keys() - news)
        for number in over:
            self._agenda.forget(number)
        self._agenda.begin_in(0.0, news)
        self._states.not_listening(news, "It has yet to be listened for.")
        for number in over:
            self._ears.forget(number)

    def _lose(self, error: ContactsyncError) -> None:
        """The connections are of no more use: all that was listened for is begun anew, a little later."""
        self._ears.close()
        self._begun.clear()
        if self._connected_at is not None:
            self._agenda.reached(time.monotonic() - self._connected_at)
        self._connected_at = None
        pause = self._agenda.pause(None)
        lost = self._group.keys() - self._agenda.left
        self._agenda.begin_in(pause, lost)
        self._say_deaf(lost, error, pause)

    def _give_up(self, number: int, error: ContactsyncError) -> None:
        """This one cannot be listened for, while others can."""
        pause = self._agenda.pause(number)
        self._agenda.begin_in(pause, [number])
        self._say_deaf([number], error, pause)

    def _find_nothing(self, error: NothingTold) -> None:
        """Nor is anybody else of the group told anything."""
        self._ears.rest()
        those = self._agenda.to_begin
        self._agenda.begin_in(_NOTHING_TOLD_PAUSE, those)
        if self._states.not_listening(those, str(error)):
            folders, server = self._labels(those), self._ears.server
            log.log(self._level(those), "live.not_offered", folders=folders, server=server)

    def _run_later(self, number: int, seconds: float) -> None:
        if number in self._group:
            self._agenda.run_at(time.monotonic() + seconds, number)

    def _say_deaf(self, numbers: Iterable[int], error: ContactsyncError, pause: float) -> None:
        """Once, and not with each try that fails in the same way."""
        if self._states.not_listening(numbers, str(error)):
            log.log(
                self._level(numbers),
                "live.lost",
                folders=self._labels(numbers),
                error_code=error.code,
                error=str(error),
                retry_in_seconds=pause,
            )

    def _level(self, numbers: Iterable[int]) -> int:
        """How loudly to log what is about them: nobody asked that a folder of mode auto be listened for."""
        asked = any(self._group[number].definition.mode == LIVE for number in numbers if number in self._group)
        return logging.WARNING if asked else logging.INFO

    def _labels(self, numbers: Iterable[int]) -> list[str]:
        return [self._group[number].definition.label for number in numbers if number in self._group]


def _too_little(kept: KeptCursor | None, otherwise: str) -> str | None:
    """Why what a run has noted does not do for one of mode auto; `otherwise` if it noted nothing."""
    if kept is None:
        return otherwise
    return ONLY_COUNTED if kept.kind == COUNTERS else None


def _what_is_heard(resolved: Resolved) -> tuple[object, ...]:
    definition = resolved.definition
    return resolved.base, resolved.scope, resolved.filter, definition.mode, str(definition.mapping)
