"""What is known of each folder that follows its directory: whether it is listened for, and how far it is behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from contactsync.model import Mode

if TYPE_CHECKING:
    from contactsync.model import RunReport

LIVE, AUTO = "live", "auto"
"""What a definition's mode says."""

FULL_SHARE = 0.1
"""Of the time, at most, goes into full runs of a folder whose directory cannot say what changed."""
BATCH_SECONDS = 0.005
"""How long changes gather before a run asks for them; a change that comes alone waits no longer than this."""

LONGEST_PAUSE = 60.0
"""Seconds that something is not tried for, at most, that failed again and again."""


@dataclass(frozen=True, slots=True)
class LiveState:
    """How one folder follows: since when it is listened for (a Unix time; None while it is not), and why it is not.

    `behind_since` is when something was heard that no run has asked for yet. With `scheduled` it is as it should be
    that the folder goes by its schedule: its mode is auto, and the directory does not tell enough.
    """

    listening_since: float | None = None
    reason: str | None = None
    behind_since: float | None = None
    scheduled: bool = False


@dataclass(frozen=True, slots=True)
class LiveSnapshot:
    """How the live folders do: how many are listened for and how many are not, and how far the last one is behind.

    `auto_scheduled` are those whose mode auto came to their schedule.
    """

    listening: int
    not_listening: int
    behind_seconds: float
    auto_scheduled: int = 0


@dataclass(slots=True)
class _Known:
    """One folder. In monotonic seconds: when a run was last asked for, something last heard, and a run last begun.

    `pause` is how long full runs have to rest after that, and None unless the last run was one.
    """

    state: LiveState = field(default_factory=LiveState)
    asked_at: float | None = None
    pause: float | None = None
    failures: int = 0
    not_before: float = 0.0
    heard_at: float = 0.0
    began_at: float = 0.0


class States:
    """Those of all folders, by the ids of their definitions; any thread may call it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._known: dict[int, _Known] = {}

    def keep(self, numbers: Iterable[int]) -> None:
        """Know these, and no others."""
        with self._guard:
            self._known = {number: self._known.get(number) or _Known() for number in numbers}

    @property
    def all(self) -> dict[int, LiveState]:
        """Each of them."""
        with self._guard:
            return {number: known.state for number, known in self._known.items()}

    @property
    def now(self) -> LiveSnapshot:
        """How they do at this moment."""
        states = self.all.values()
        listening = sum(state.listening_since is not None for state in states)
        scheduled = sum(state.scheduled for state in states)
        since = min((state.behind_since for state in states if state.behind_since is not None), default=None)
        behind = 0.0 if since is None else max(0.0, time.time() - since)
        return LiveSnapshot(listening, len(states) - listening - scheduled, behind, scheduled)

    def listening(self, number: int) -> None:
        """From now on it is listened for."""
        with self._guard:
            if known := self._known.get(number):
                known.state = replace(known.state, listening_since=time.time(), reason=None, scheduled=False)

    def not_listening(self, numbers: Iterable[int], reason: str, *, scheduled: bool = False) -> bool:
        """They are not listened for; returns whether that is news for any of them."""
        with self._guard:
            known = [self._known[number] for number in numbers if number in self._known]
            news = any(one.state.listening_since is not None or one.state.reason != reason for one in known)
            for one in known:
                one.state = replace(one.state, listening_since=None, reason=reason, scheduled=scheduled)
        return news

    def listens(self, number: int) -> bool:
        """Whether it is listened for."""
        with self._guard:
            known = self._known.get(number)
            return known is not None and known.state.listening_since is not None

    def behind(self, number: int) -> None:
        """Something changed that no run has asked for yet."""
        with self._guard:
            known = self._known.get(number)
            if known:
                known.heard_at = time.monotonic()
                since = known.state.behind_since
                known.state = replace(known.state, behind_since=time.time() if since is None else since)

    def not_before(self, number: int) -> float:
        """When it may run, in monotonic seconds."""
        now = time.monotonic()
        with self._guard:
            known = self._known.get(number, _Known())
            not_before = now if known.asked_at is None else known.asked_at + (known.pause or 0.0)
        return max(now + BATCH_SECONDS, not_before, known.not_before)

    def asked(self, number: int) -> None:
        """A run was asked for."""
        with self._guard:
            if number in self._known:
                self._known[number].asked_at = time.monotonic()

    def run_started(self, number: int) -> None:
        """A run begins, which will see whatever was heard before."""
        with self._guard:
            if number in self._known:
                self._known[number].began_at = time.monotonic()

    def run_finished(self, number: int, report: RunReport) -> None:
        """A run has asked for what changed."""
        with self._guard:
            known = self._known.get(number)
            if known is None:
                return
            known.failures, known.not_before = 0, 0.0
            if report.mode is Mode.FULL:
                # Where one full run follows another, the next will be one as well.
                again = known.pause is not None
                known.pause = sum(report.seconds.values()) / FULL_SHARE if again else 0.0
            else:
                known.pause = None
            if known.heard_at <= known.began_at:
                known.state = replace(known.state, behind_since=None)

    def failed(self, number: int) -> float | None:
        """A run came to nothing: after how many seconds to ask again for what was heard; None when nothing was."""
        with self._guard:
            known = self._known.get(number)
            if known is None or known.state.behind_since is None:
                return None
            known.failures += 1
            pause = float(min(2 ** (known.failures - 1), LONGEST_PAUSE))
            known.not_before = time.monotonic() + pause
            return pause
