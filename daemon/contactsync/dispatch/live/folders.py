"""All folders that follow their directory at once: who shares a connection, and what becomes of their runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from contactsync.dispatch.live.choosing import choose
from contactsync.dispatch.live.connections import Connections, OpenSession
from contactsync.dispatch.live.listener import NOT_YET, Ask, KeptCursorOf, Listener
from contactsync.dispatch.live.status import AUTO, LiveSnapshot, LiveState, States
from contactsync.model import Mode, Outcome
from contactsync.sync.definition import Resolved

if TYPE_CHECKING:
    from contactsync.model import RunReport
    from contactsync.settings.schema import MappingLimits

Group = dict[int, Resolved]


class LiveFolders:
    """Listens for the definitions whose mode is live, and for some whose mode is auto; any thread may call it."""

    def __init__(
        self, open_session: OpenSession, ask: Ask, limits: Callable[[], MappingLimits], kept: KeptCursorOf
    ) -> None:
        self._open_session = open_session
        self._ask = ask
        self._limits = limits
        self._kept = kept
        self._guard = threading.Lock()
        self._listeners: dict[tuple[object, ...], Listener] = {}
        self._listener_of: dict[int, Listener] = {}
        self._auto: frozenset[int] = frozenset()
        self._beyond: frozenset[int] = frozenset()
        self._most = 0
        self._states = States()

    def follow(self, definitions: Iterable[Resolved], *, auto: int = 0) -> None:
        """Listen for these definitions as they are now, and for no others; of those of mode auto so many a server."""
        choice = choose(definitions, auto=auto)
        groups: dict[tuple[object, ...], Group] = {}
        for resolved in choice.chosen:
            groups.setdefault(_connection_of(resolved), {})[resolved.definition.definition_id] = resolved
        with self._guard:
            self._most, self._beyond = auto, choice.beyond
            self._auto = frozenset(
                resolved.definition.definition_id for resolved in choice.chosen if resolved.definition.mode == AUTO
            )
            self._states.keep(number for group in groups.values() for number in group)
            over = [self._listeners.pop(key) for key in self._listeners.keys() - groups.keys()]
            self._listener_of = {}
            for key, group in groups.items():
                listener = self._listeners.get(key)
                if listener is None:
                    ears = Connections(self._open_session, self._limits)
                    listener = self._listeners[key] = Listener(ears, self._states, self._ask, self._kept)
                    listener.start()
                listener.follow(group)
                self._listener_of |= dict.fromkeys(group, listener)
        for listener in over:
            listener.stop()

    def stop(self) -> None:
        """End every connection."""
        self.follow(())

    @property
    def states(self) -> dict[int, LiveState]:
        """How each definition is listened for that is to be, by its id, or why it is not; of mode auto all that run."""
        reason = f"Its server has {self._most:,} folders that were defined before it (auto_live_folders)."
        beyond = LiveState(reason=reason if self._most else "auto_live_folders is 0.", scheduled=True)
        return dict.fromkeys(self._beyond, beyond) | self._states.all

    @property
    def now(self) -> LiveSnapshot:
        """How they do at this moment."""
        now = self._states.now
        return replace(now, auto_scheduled=now.auto_scheduled + len(self._beyond))

    def run_started(self, definition_id: int) -> bool:
        """A run begins; returns whether it is to note up to where it read, so that the folder can be listened for."""
        self._states.run_started(definition_id)
        return definition_id in self._auto

    def run_finished(self, definition_id: int, report: RunReport) -> None:
        """A run has ended; what was heard is asked for again when it failed by something that may pass."""
        if report.error is None:
            self._states.run_finished(definition_id, report)
            self._look_again(definition_id, report)
        elif report.error_may_pass:
            self.run_failed(definition_id)

    def _look_again(self, definition_id: int, report: RunReport) -> None:
        """One of mode auto is listened for from when on a run has noted up to where it read, and while that holds."""
        state = self._states.all.get(definition_id) if definition_id in self._auto else None
        if state is None:
            return
        if state.listening_since is None or report.mode is Mode.FULL or report.outcome is Outcome.HELD:
            reason = "Its last run is held." if report.outcome is Outcome.HELD else report.full_reason
            with self._guard:
                listener = self._listener_of.get(definition_id)
            if listener:
                listener.look_again(definition_id, reason or NOT_YET)

    def run_failed(self, definition_id: int) -> None:
        """A run could not be made, by something that may pass."""
        pause = self._states.failed(definition_id)
        with self._guard:
            listener = self._listener_of.get(definition_id)
        if listener and pause is not None:
            listener.again(definition_id, pause)


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
