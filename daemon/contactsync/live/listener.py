"""The thread that listens to one server for one user's folders."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import structlog

from contactsync.errors import ContactsyncError, CredentialsRefused, DatabaseError
from contactsync.live.ears import Alarm, ConnectionLost, Ears, NothingTold, OnlyFullRuns
from contactsync.live.states import AUTO, LIVE, LONGEST_PAUSE, States
from contactsync.model import Trigger
from contactsync.resolve import Resolved

if TYPE_CHECKING:
    from contactsync.store.cursors import KeptCursor

log = structlog.get_logger()

_FIRST_PAUSE = 1.0
"""Seconds before what failed is tried again, doubling up to LONGEST_PAUSE."""
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

    def __init__(self, ears: Ears, states: States, ask: Ask, kept: KeptCursorOf) -> None:
        self._ears = ears
        self._states = states
        self._ask = ask
        self._kept = kept
        self._alarm = Alarm()
        self._over = threading.Event()
        self._word: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._group: dict[int, Resolved] = {}
        self._begin_at: dict[int, float] = {}
        self._run_at: dict[int, float] = {}
        self._scheduled: set[int] = set()
        self._pauses: dict[int | None, float] = {}
        self._begun: list[int] = []
        self._connected_at: float | None = None
        self._thread = threading.Thread(target=self._serve, name="live", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End it, and every connection."""
        self._over.set()
        self._alarm.ring()
        self._thread.join(_STOP_SECONDS)

    def follow(self, group: dict[int, Resolved]) -> None:
        """Listen for these definitions as they are now, and for no others."""
        self._leave_word(lambda: self._renew(group))

    def look_again(self, number: int, reason: str) -> None:
        """One of mode auto has run: listen for it now if its run left a cursor, and else for this reason no more."""
        self._leave_word(lambda: self._look_again(number, reason))

    def again(self, number: int, seconds: float) -> None:
        """Have a run of a definition after so many seconds."""
        self._leave_word(lambda: self._run_later(number, seconds))

    def _leave_word(self, word: Callable[[], None]) -> None:
        self._word.put(word)
        self._alarm.ring()

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
                    self._begin_later(self._group, LONGEST_PAUSE)
                    self._states.deaf(
                        self._group, "Something went wrong that was not foreseen; the log has the details."
                    )
        finally:
            self._ears.close()
            self._alarm.close()

    def _turn(self) -> None:
        """One step of everything, and then wait for what comes first."""
        self._alarm.hush()
        self._take_words()
        self._begin_next()
        heard, ended = self._ears.hear(self._alarm, self._seconds())
        for number, error in ended.items():
            self._give_up(number, error)
        for number in heard - self._run_at.keys():
            self._states.behind(number)
            self._run_at[number] = self._states.rested(number)
        now = time.monotonic()
        for number in [number for number, at in self._run_at.items() if at <= now]:
            del self._run_at[number]
            self._states.asked(number)
            self._ask(number, Trigger.LIVE)

    def _take_words(self) -> None:
        while True:
            try:
                word = self._word.get_nowait()
            except Empty:
                return
            word()

    def _seconds(self) -> float | None:
        """How long there is nothing to do unless something is heard."""
        times = [*self._begin_at.values(), *self._run_at.values()]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _begin_next(self) -> None:
        """Begin to listen for one of those whose time has come."""
        now = time.monotonic()
        due = [number for number, at in self._begin_at.items() if at <= now]
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
                self._begin_later([number], LONGEST_PAUSE)
                return
            kept = None  # the run that is asked for then is made when the database is back
        if auto and kept is None:
            self._leave_to_schedule(number, NOT_YET)
            return
        self._begin_from(kept, number, resolved)

    def _begin_from(self, kept: KeptCursor | None, number: int, resolved: Resolved) -> None:
        try:
            in_step = self._ears.begin(number, resolved, kept)
        except NothingTold as error:
            self._find_nothing(error)
            return
        except OnlyFullRuns as error:
            self._leave_to_schedule(number, str(error))
            return
        except ConnectionLost as lost:
            if isinstance(lost.error, CredentialsRefused):
                # The run offers the password no more than this, and says so where people look.
                self._run_at[number] = time.monotonic()
            raise
        except ContactsyncError as error:
            self._give_up(number, error)
            return
        del self._begin_at[number]
        self._pauses.pop(number, None)
        self._connected_at = self._connected_at or time.monotonic()
        self._states.listening(number)
        self._begun.append(number)
        if not in_step:
            self._states.behind(number)
            self._run_at[number] = time.monotonic()

    def _leave_to_schedule(self, number: int, reason: str) -> None:
        """Until its next run: one of mode auto."""
        self._begin_at.pop(number, None)
        self._run_at.pop(number, None)
        self._scheduled.add(number)
        self._states.deaf([number], reason, scheduled=True)

    def _look_again(self, number: int, reason: str) -> None:
        resolved = self._group.get(number)
        if resolved is None or number in self._begin_at:
            return
        listens = self._states.listens(number)
        try:
            kept = self._kept(resolved)
        except DatabaseError:
            return
        if kept is not None and not listens:
            self._begin_later([number], 0.0)
        elif kept is None:
            self._leave_to_schedule(number, reason)
            if listens:
                self._ears.forget(number)

    def _all_begun(self) -> None:
        self._ears.rest()
        begun, self._begun = self._begun, []
        if begun:
            log.info(
                "live.listening",
                folders=self._labels(begun),
                server=self._ears.server,
                connections=self._ears.connections,
            )

    def _renew(self, group: dict[int, Resolved]) -> None:
        before, self._group = self._group, group
        news = [
            number
            for number, resolved in group.items()
            if number not in before or _what_is_heard(before[number]) != _what_is_heard(resolved)
        ]
        for number in before.keys() - group.keys() | set(news):
            self._run_at.pop(number, None)
            self._begin_at.pop(number, None)
            self._pauses.pop(number, None)
            self._scheduled.discard(number)
        self._begin_later(news, 0.0)
        self._states.deaf(news, "It has yet to be listened for.")
        for number in before.keys() - group.keys() | (before.keys() & set(news)):
            self._ears.forget(number)

    def _begin_later(self, numbers: Iterable[int], seconds: float) -> None:
        self._scheduled.difference_update(numbers)
        at = time.monotonic() + seconds
        self._begin_at |= dict.fromkeys(sorted(numbers), at)

    def _lose(self, error: ContactsyncError) -> None:
        """The connections are of no more use: all that was listened for is begun anew, a little later."""
        self._ears.close()
        before = self._pauses.get(None, 0.0) / 2
        if self._connected_at is not None and time.monotonic() - self._connected_at >= before:
            # It lasted longer than it was waited for: the server is no worse than it was.
            self._pauses.pop(None, None)
        self._connected_at = None
        pause = self._next_pause(None)
        lost = self._group.keys() - self._scheduled
        self._begin_later(lost, pause)
        self._say_deaf(lost, error, pause)

    def _give_up(self, number: int, error: ContactsyncError) -> None:
        """This one cannot be listened for, while others can."""
        pause = self._next_pause(number)
        self._begin_later([number], pause)
        self._say_deaf([number], error, pause)

    def _find_nothing(self, error: NothingTold) -> None:
        self._ears.rest()
        self._begin_later(self._begin_at, _NOTHING_TOLD_PAUSE)
        if self._states.deaf(self._begin_at, str(error)):
            log.log(
                self._level(self._begin_at),
                "live.not_offered",
                folders=self._labels(self._begin_at),
                server=self._ears.server,
            )

    def _run_later(self, number: int, seconds: float) -> None:
        if number in self._group:
            self._run_at.setdefault(number, time.monotonic() + seconds)

    def _say_deaf(self, numbers: Iterable[int], error: ContactsyncError, pause: float) -> None:
        """Once, and not with each try that fails in the same way."""
        if self._states.deaf(numbers, str(error)):
            log.log(
                self._level(numbers),
                "live.lost",
                folders=self._labels(numbers),
                error_code=error.code,
                error=str(error),
                retry_in_seconds=pause,
            )

    def _next_pause(self, key: int | None) -> float:
        """How long to wait with one definition, or (None) with all, that cannot be listened for: longer each time."""
        pause = self._pauses.get(key, _FIRST_PAUSE)
        self._pauses[key] = min(2 * pause, LONGEST_PAUSE)
        return pause

    def _level(self, numbers: Iterable[int]) -> int:
        """How loudly to log what is about them: nobody asked that a folder of mode auto be listened for."""
        asked = any(self._group[number].definition.mode == LIVE for number in numbers if number in self._group)
        return logging.WARNING if asked else logging.INFO

    def _labels(self, numbers: Iterable[int]) -> list[str]:
        return [self._group[number].definition.label for number in numbers if number in self._group]


def _what_is_heard(resolved: Resolved) -> tuple[object, ...]:
    definition = resolved.definition
    return resolved.base, resolved.scope, resolved.filter, definition.mode, str(definition.mapping)
