"""All folders that follow their directory at once: who shares a connection, and what becomes of their runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from contactsync.live.ears import Ears, OpenSession
from contactsync.live.listener import Ask, KeptCursorOf, Listener
from contactsync.live.states import LIVE, LiveNow, LiveState, States
from contactsync.resolve import Resolved

if TYPE_CHECKING:
    from contactsync.ldap.mapping import MapLimits
    from contactsync.model import RunReport

Group = dict[int, Resolved]


class LiveFolders:
    """Listens for the definitions whose mode is live; any thread may call it."""

    def __init__(
        self, open_session: OpenSession, ask: Ask, limits: Callable[[], MapLimits], kept: KeptCursorOf
    ) -> None:
        self._open_session = open_session
        self._ask = ask
        self._limits = limits
        self._kept = kept
        self._guard = threading.Lock()
        self._listeners: dict[tuple[object, ...], Listener] = {}
        self._listener_of: dict[int, Listener] = {}
        self._states = States()

    def follow(self, definitions: Iterable[Resolved]) -> None:
        """Listen for these definitions as they are now, and for no others."""
        groups: dict[tuple[object, ...], Group] = {}
        for resolved in definitions:
            if resolved.definition.mode == LIVE:
                groups.setdefault(_connection_of(resolved), {})[resolved.definition.definition_id] = resolved
        with self._guard:
            self._states.keep(number for group in groups.values() for number in group)
            over = [self._listeners.pop(key) for key in self._listeners.keys() - groups.keys()]
            self._listener_of = {}
            for key, group in groups.items():
                listener = self._listeners.get(key)
                if listener is None:
                    ears = Ears(self._open_session, self._limits)
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
        """How each definition is listened for, by its id."""
        return self._states.all

    @property
    def now(self) -> LiveNow:
        """How they do at this moment."""
        return self._states.now

    def ran(self, definition_id: int, report: RunReport) -> None:
        """A run has ended; what was heard is asked for again when it failed by something that may pass."""
        if report.error is None:
            self._states.ran(definition_id, report)
        elif report.error_may_pass:
            self.not_run(definition_id)

    def not_run(self, definition_id: int) -> None:
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
