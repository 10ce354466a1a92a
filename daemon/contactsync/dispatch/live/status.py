"""The state of each live folder: whether it is listened for, and since when changes are waiting."""

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
"""Values of a definition's mode."""

FULL_SHARE = 0.1
"""The share of time for full runs, at most, if the directory does not report what changed."""
BATCH_SECONDS = 0.005
"""How long changes are collected before a run reads them; a single change waits no longer."""
LONGEST_PAUSE = 60.0
"""The longest pause before a retry, in seconds."""


@dataclass(frozen=True, slots=True)
class LiveState:
    """How one folder follows its directory; times are Unix times.

    `listening_since` is None while the folder is not listened for, and `reason` says why. `behind_since` is when the
    first change was reported that no run has read yet. `scheduled` says that its schedule runs the folder, because its
    mode is auto and the directory does not report enough.
    """

    listening_since: float | None = None
    reason: str | None = None
    behind_since: float | None = None
    scheduled: bool = False


@dataclass(frozen=True, slots=True)
class LiveSnapshot:
    """The number of folders that are listened for, that are not, and that their schedules run.

    `behind_seconds` is how long the oldest reported change has been waiting for a run.
    """

    listening: int
    not_listening: int
    behind_seconds: float
    auto_scheduled: int = 0


@dataclass(slots=True)
class _Folder:
    """One folder; times are monotonic.

    `full_pause` is how long full runs have to pause after `started_at`; None unless the last run was a full one.
    """

    state: LiveState = field(default_factory=LiveState)
    full_pause: float | None = None
    failures: int = 0
    not_before: float = 0.0
    reported_at: float = 0.0
    started_at: float = 0.0
    ended_at: float = 0.0


class States:
    """The states of all live folders by definition id; any thread may call it. Unknown ids are ignored."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._folders: dict[int, _Folder] = {}

    def keep(self, definition_ids: Iterable[int]) -> None:
        """Keep the states of these definitions and forget all others."""
        with self._guard:
            self._folders = {key: self._folders.get(key) or _Folder() for key in definition_ids}

    @property
    def all(self) -> dict[int, LiveState]:
        """The state of each definition."""
        with self._guard:
            return {key: folder.state for key, folder in self._folders.items()}

    def listening(self, definition_id: int) -> None:
        """The definition is listened for from now on."""
        with self._guard:
            if folder := self._folders.get(definition_id):
                folder.state = replace(folder.state, listening_since=time.time(), reason=None, scheduled=False)

    def not_listening(self, definition_ids: Iterable[int], reason: str, *, scheduled: bool = False) -> bool:
        """The definitions are not listened for; returns whether that is new for any of them."""
        with self._guard:
            folders = [self._folders[key] for key in definition_ids if key in self._folders]
            is_new = any(each.state.listening_since is not None or each.state.reason != reason for each in folders)
            for each in folders:
                each.state = replace(each.state, listening_since=None, reason=reason, scheduled=scheduled)
        return is_new

    def listens(self, definition_id: int) -> bool:
        """Whether the definition is listened for."""
        with self._guard:
            folder = self._folders.get(definition_id)
            return folder is not None and folder.state.listening_since is not None

    def behind(self, definition_id: int) -> None:
        """A change was reported that no run has read yet."""
        with self._guard:
            if folder := self._folders.get(definition_id):
                folder.reported_at = time.monotonic()
                since = folder.state.behind_since
                folder.state = replace(folder.state, behind_since=time.time() if since is None else since)

    def in_motion(self, definition_id: int) -> bool:
        """Whether a run is in progress, or a change is reported that no run has read yet."""
        with self._guard:
            folder = self._folders.get(definition_id, _Folder())
            return folder.state.behind_since is not None or folder.started_at > folder.ended_at

    def run_ended(self, definition_id: int) -> None:
        """A run has ended, whatever its outcome."""
        with self._guard:
            if folder := self._folders.get(definition_id):
                folder.ended_at = time.monotonic()

    def not_before(self, definition_id: int) -> float:
        """The earliest time of its next run, in monotonic seconds."""
        now = time.monotonic()
        with self._guard:
            folder = self._folders.get(definition_id, _Folder())
        rested = folder.started_at + (folder.full_pause or 0.0)
        return max(now + BATCH_SECONDS, rested, folder.not_before)

    def run_started(self, definition_id: int) -> None:
        """A run has started, which will read all changes that were reported before."""
        with self._guard:
            if folder := self._folders.get(definition_id):
                folder.started_at = time.monotonic()

    def run_finished(self, definition_id: int, report: RunReport) -> None:
        """A run has read the changes."""
        with self._guard:
            folder = self._folders.get(definition_id)
            if folder is None:
                return
            folder.failures, folder.not_before = 0, 0.0
            if report.mode is not Mode.FULL:
                folder.full_pause = None
            elif folder.full_pause is None:
                folder.full_pause = 0.0
            else:
                # After two full runs the next one is likely to be full too.
                folder.full_pause = sum(report.seconds.values()) / FULL_SHARE
            if folder.reported_at <= folder.started_at:
                folder.state = replace(folder.state, behind_since=None)

    def run_failed(self, definition_id: int) -> float | None:
        """Seconds until the retry; None if no change is pending."""
        with self._guard:
            folder = self._folders.get(definition_id)
            if folder is None or folder.state.behind_since is None:
                return None
            folder.failures += 1
            pause = float(min(2 ** (folder.failures - 1), LONGEST_PAUSE))
            folder.not_before = time.monotonic() + pause
            return pause
