"""Folders that follow their directory at once.

The directory says over a connection that something changed, and a run asks what: everything about runs stays as it is.

One thread holds one connection for all folders of the same server and user. While it is lost the folders go by their
schedules, and when it is back each of them runs once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import structlog

from contactsync.errors import ContactsyncError, ServerUnavailable
from contactsync.increments import changes_for
from contactsync.ldap.search import SearchRequest
from contactsync.ldap.stream import Stream, hear_any
from contactsync.model import Mode, Trigger
from contactsync.resolve import Resolved, choose_source

if TYPE_CHECKING:
    from contactsync.ldap.changes import Cursor
    from contactsync.ldap.connect import Session
    from contactsync.ldap.mapping import MapLimits
    from contactsync.model import RunReport

log = structlog.get_logger()

LIVE = "live"
"""What a definition's mode says."""

FULL_SHARE = 0.1
"""Of the time, at most, goes into full runs of a folder whose directory cannot say what changed."""
BATCH_SECONDS = 0.01
"""How long changes gather before a run asks for them; a change that comes alone waits no longer than this."""
_TICK_SECONDS = 1.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
"""Seconds before a lost connection is tried again, doubling."""
_NOTHING_OFFERED_PAUSE = 600.0

OpenSession = Callable[[Resolved], AbstractContextManager["Session"]]
"""A connection of its own for a definition; raises ContactsyncError."""
Ask = Callable[[int, Trigger], object]
"""Asks for a run of a definition."""


@dataclass(frozen=True, slots=True)
class LiveState:
    """How one folder follows: since when it is listened for (a Unix time; None while it is not), and why it is not.

    `behind_since` is when something was heard that no run has asked for yet.
    """

    listening_since: float | None = None
    reason: str | None = None
    behind_since: float | None = None


@dataclass(frozen=True, slots=True)
class LiveNow:
    """How the live folders do: how many are listened for and how many are not, and how far the last one is behind."""

    listening: int
    deaf: int
    behind_seconds: float


class LiveFolders:
    """Listens for the definitions whose mode is live; any thread may call it."""

    def __init__(self, open_session: OpenSession, ask: Ask, limits: Callable[[], MapLimits]) -> None:
        self.open_session = open_session
        self.limits = limits
        self._ask = ask
        self._guard = threading.Lock()
        self._listeners: dict[tuple[object, ...], _Listener] = {}
        self._states: dict[int, LiveState] = {}
        self._asked_at: dict[int, float] = {}
        self._pauses: dict[int, float] = {}

    def follow(self, definitions: Iterable[Resolved]) -> None:
        """Listen for these definitions as they are now, and for no others."""
        groups: dict[tuple[object, ...], dict[int, Resolved]] = {}
        for resolved in definitions:
            if resolved.definition.mode == LIVE:
                groups.setdefault(_connection_of(resolved), {})[resolved.definition.definition_id] = resolved
        with self._guard:
            over = [self._listeners.pop(key) for key in self._listeners.keys() - groups.keys()]
            for key, group in groups.items():
                if key not in self._listeners:
                    self._listeners[key] = _Listener(self)
                    self._listeners[key].start(group)
                else:
                    self._listeners[key].replace(group)
            wanted = {number for group in groups.values() for number in group}
            for known in (self._states, self._asked_at, self._pauses):
                for number in known.keys() - wanted:
                    del known[number]
        for listener in over:
            listener.stop()

    def stop(self) -> None:
        """End every connection."""
        self.follow(())

    @property
    def states(self) -> dict[int, LiveState]:
        """How each definition is listened for, by its id."""
        with self._guard:
            return dict(self._states)

    @property
    def now(self) -> LiveNow:
        """How they do at this moment."""
        states = self.states.values()
        listening = sum(state.listening_since is not None for state in states)
        since = min((state.behind_since for state in states if state.behind_since is not None), default=None)
        behind = 0.0 if since is None else max(0.0, time.time() - since)
        return LiveNow(listening, len(states) - listening, behind)

    def ran(self, definition_id: int, report: RunReport) -> None:
        """A run has asked for what changed."""
        started_at = report.started_at.timestamp()
        with self._guard:
            state = self._states.get(definition_id)
            if state and report.mode is Mode.FULL:
                # Where one full run follows another, the next will be one as well.
                again = definition_id in self._pauses
                self._pauses[definition_id] = sum(report.seconds.values()) / FULL_SHARE if again else 0.0
            else:
                self._pauses.pop(definition_id, None)
            if state and state.behind_since is not None and state.behind_since <= started_at:
                self._states[definition_id] = LiveState(state.listening_since, state.reason)

    def note(self, numbers: Iterable[int], state: LiveState) -> None:
        """How these are listened for now."""
        with self._guard:
            for number in numbers:
                self._states[number] = state

    def heard(self, definition_id: int, now: float) -> float:
        """Something changed for a definition: when it may run, in monotonic seconds."""
        with self._guard:
            state = self._states.get(definition_id, LiveState())
            if state.behind_since is None:
                self._states[definition_id] = LiveState(state.listening_since, state.reason, time.time())
            rested = self._asked_at.get(definition_id, now) + self._pauses.get(definition_id, 0.0)
        return max(now + BATCH_SECONDS, rested)

    def ask(self, definition_id: int) -> None:
        """Have a definition run."""
        with self._guard:
            self._asked_at[definition_id] = time.monotonic()
        self._ask(definition_id, Trigger.LIVE)


@dataclass(slots=True)
class _Waiting:
    """What was heard and not yet asked for: when each definition may run, in monotonic seconds."""

    due: dict[int, float] = field(default_factory=dict)

    def take(self, now: float) -> list[int]:
        ripe = [number for number, due in self.due.items() if due <= now]
        for number in ripe:
            del self.due[number]
        return ripe

    def seconds(self, now: float) -> float:
        """How long there is nothing to do."""
        return max(0.0, min([_TICK_SECONDS, *(due - now for due in self.due.values())]))


class _Listener:
    """One connection and the thread that listens on it."""

    def __init__(self, folders: LiveFolders) -> None:
        self._folders = folders
        self._over = threading.Event()
        self._wanted: SimpleQueue[dict[int, Resolved]] = SimpleQueue()
        self._group: dict[int, Resolved] = {}
        self._thread = threading.Thread(target=self._run, name="live", daemon=True)

    def start(self, group: dict[int, Resolved]) -> None:
        self._group = group
        self._thread.start()

    def replace(self, group: dict[int, Resolved]) -> None:
        self._wanted.put(group)

    def stop(self) -> None:
        self._over.set()
        self._thread.join(2 * _TICK_SECONDS)

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        while not self._over.is_set():
            began = time.monotonic()
            try:
                pause_after = self._listen()
            except ContactsyncError as error:
                if time.monotonic() - began > _LONGEST_PAUSE:
                    pause = _FIRST_PAUSE
                self._folders.note(self._group, LiveState(reason=str(error)))
                log.warning("live.lost", **self._names, error_code=error.code, error=str(error), retry_in_seconds=pause)
                pause_after, pause = pause, min(2 * pause, _LONGEST_PAUSE)
            except Exception:
                log.exception("live.crashed", **self._names)
                pause_after = _LONGEST_PAUSE
            self._over.wait(pause_after)
            self._renew(None)

    @property
    def _names(self) -> dict[str, object]:
        return {"folders": [resolved.definition.label for resolved in self._group.values()]}

    def _listen(self) -> float:
        """Until a connection is of no more use; returns after how many seconds another is to be tried."""
        with ExitStack() as sessions:
            ears = _Ears(partial(self._open, sessions), self._folders)
            if not self._group:
                return _TICK_SECONDS
            ears.add(self._group)
            if ears.protocol is None:
                reason = f"{ears.server} tells nobody what changes."
                self._folders.note(self._group, LiveState(reason=reason))
                log.warning("live.not_offered", **self._names, server=ears.server)
                return _NOTHING_OFFERED_PAUSE
            log.info("live.listening", **self._names, server=ears.server, connections=ears.connections)
            self._wait(ears)
        return 0.0

    def _open(self, sessions: ExitStack, resolved: Resolved) -> Session:
        return sessions.enter_context(self._folders.open_session(resolved))

    def _wait(self, ears: _Ears) -> None:
        waiting = _Waiting()
        while not self._over.is_set():
            heard = hear_any(ears.streams, waiting.seconds(time.monotonic()))
            for number in heard - waiting.due.keys():
                waiting.due[number] = self._folders.heard(number, time.monotonic())
            for number in waiting.take(time.monotonic()):
                if number in self._group:
                    self._folders.ask(number)
            self._renew(ears)

    def _renew(self, ears: _Ears | None) -> None:
        """Follow what the definitions are now."""
        try:
            group = self._wanted.get_nowait()
        except Empty:
            return
        before, self._group = self._group, group
        if ears is None:
            return
        news = {
            number: resolved
            for number, resolved in group.items()
            if number not in before or _what_is_heard(before[number]) != _what_is_heard(resolved)
        }
        for number in before.keys() - group.keys() | news.keys():
            ears.forget(number)
        ears.add(news)


class _Ears:
    """The streams of one group, as many as its server wants: each has room for so many searches."""

    def __init__(self, open_session: Callable[[Resolved], Session], folders: LiveFolders) -> None:
        self.streams: list[Stream] = []
        self.server: str | None = None
        self.protocol: str | None = None
        self._open_session = open_session
        self._folders = folders

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self.streams)

    def add(self, group: Mapping[int, Resolved]) -> None:
        """Listen for these definitions, and have each run: what changed until now was not heard."""
        for number, resolved in group.items():
            # Asked over a connection on which nothing is listened for: answers of both would be mixed.
            with self._folders.open_session(resolved) as session:
                self.server, self.protocol = session.server, Stream(session).protocol
                if self.protocol is None:
                    return
                request, cursor = self._prepared(session, resolved)
            if not self.streams or not self.streams[-1].listen(number, request, cursor):
                self.streams.append(Stream(self._open_session(resolved)))
                if not self.streams[-1].listen(number, request, cursor):
                    raise ServerUnavailable(f"{self.server} does not begin to tell what changes.")
            self._folders.note([number], LiveState(listening_since=time.time(), behind_since=time.time()))
            self._folders.ask(number)

    def forget(self, number: int) -> None:
        """Listen no more for a definition."""
        for stream in self.streams:
            stream.forget(number)

    def _prepared(self, session: Session, resolved: Resolved) -> tuple[SearchRequest, Cursor | None]:
        """What to listen for, and from when on, where the server tells that."""
        source = choose_source(resolved, session.root_dse, self._folders.limits())
        request = SearchRequest(source.base, source.scope, source.filter, source.attributes, 0)
        changes = changes_for(session, request, source.mapping.identity)
        return request, None if changes.obstacle() else changes.mark()


def _connection_of(resolved: Resolved) -> tuple[object, ...]:
    """What definitions have in common that can share a connection."""
    definition = resolved.definition
    return (
        resolved.query.servers or resolved.query.domain,
        resolved.user,
        definition.auth,
        definition.password_ref,
        definition.password_sealed is None,  # one without a password is not to listen by that of another
        definition.tls,
        resolved.trust,
    )


def _what_is_heard(resolved: Resolved) -> tuple[object, ...]:
    return resolved.base, resolved.scope, resolved.filter, str(resolved.definition.mapping)
