"""The folders that follow their directory at once: their listeners, and the results of their runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from heapq import nsmallest
from typing import TYPE_CHECKING

from contactsync.dispatch.live.listener import NO_CURSOR, Listener
from contactsync.dispatch.live.sharing import SharingKeys
from contactsync.dispatch.live.status import AUTO, LIVE, LiveSnapshot, LiveState, States
from contactsync.errors import ContactsyncError
from contactsync.model import Mode, Outcome, Trigger
from contactsync.sync.definition import Resolved

if TYPE_CHECKING:
    from contactsync.dispatch.run_queue import RunQueue
    from contactsync.model import RunReport
    from contactsync.sync.runner import Runner

_STOP_SECONDS = 2.0


class LiveFolders:
    """Listens for all definitions of mode live and for some of mode auto; any thread may call it."""

    def __init__(self, runner: Runner, dispatcher: RunQueue) -> None:
        self._runner = runner
        self._dispatcher = dispatcher
        self._guard = threading.Lock()
        self._sharing_keys = SharingKeys(runner)
        self._listeners: dict[tuple[object, ...], Listener] = {}
        self._listener_of: dict[int, Listener] = {}
        self._ending: list[Listener] = []
        self._auto: frozenset[int] = frozenset()
        self._chosen: frozenset[int] = frozenset()
        self._surplus: frozenset[int] = frozenset()
        self._auto_limit = 0
        self._states = States()

    def follow(self, definitions: Iterable[Resolved], *, auto: int = 0, elsewhere: bool = False) -> None:
        """Listen for these definitions and for no others, of mode auto for so many of each server.

        With `elsewhere` another daemon of the fleet listens for them.
        """
        chosen, surplus = _choose(definitions, auto=auto)
        self._chosen = frozenset(each.definition.definition_id for each in chosen)
        self._auto = frozenset(each.definition.definition_id for each in chosen if each.definition.mode == AUTO)
        if elsewhere:
            chosen, surplus = [], frozenset()
        definition_ids = {each.definition.definition_id for each in chosen}
        with self._guard:
            groups, closed = self._group(chosen)
            self._auto_limit, self._surplus = auto, surplus
            self._states.keep(definition_ids)
            self._sharing_keys.keep(definition_ids)
            self._ending = [listener for listener in self._ending if not listener.join(0)]
            for key in self._listeners.keys() - groups.keys():
                self._ending.append(self._listeners.pop(key))
                self._ending[-1].stop()
            self._listener_of = {}
            for key, group in groups.items():
                listener = self._listeners.get(key)
                if listener is None:
                    listener = self._listeners[key] = Listener(self._runner, self._dispatcher, self._states)
                    listener.start()
                listener.follow(group)
                self._listener_of |= dict.fromkeys(group, listener)
        for definition_id, reason in closed.items():
            if self._states.not_listening([definition_id], reason, scheduled=definition_id in self._auto):
                # The run records the error of this definition.
                self._dispatcher.request(definition_id, Trigger.LIVE)

    def _group(
        self, chosen: Iterable[Resolved]
    ) -> tuple[dict[tuple[object, ...], dict[int, Resolved]], dict[int, str]]:
        """The definitions by what they share a connection for, and why those have none whose password does not open."""
        groups: dict[tuple[object, ...], dict[int, Resolved]] = {}
        closed: dict[int, str] = {}
        for resolved in chosen:
            definition_id = resolved.definition.definition_id
            try:
                groups.setdefault(self._sharing_keys.of(resolved), {})[definition_id] = resolved
            except ContactsyncError as error:
                closed[definition_id] = str(error)
        return groups, closed

    def stop(self) -> None:
        """Close every connection; waits a short time for those that are blocked."""
        self.follow(())
        end = time.monotonic() + _STOP_SECONDS
        for listener in self._ending:
            listener.join(max(0.0, end - time.monotonic()))

    @property
    def states(self) -> dict[int, LiveState]:
        """The state of each definition of mode live, and of each of mode auto that has a schedule, by its id."""
        reason = f"Its server has {self._auto_limit:,} folders that were defined before it (auto_live_folders)."
        surplus = LiveState(reason=reason if self._auto_limit else "auto_live_folders is 0.", scheduled=True)
        return dict.fromkeys(self._surplus, surplus) | self._states.all

    @property
    def snapshot(self) -> LiveSnapshot:
        """The numbers at this moment."""
        states = self.states.values()
        listening = sum(state.listening_since is not None for state in states)
        scheduled = sum(state.scheduled for state in states)
        since = min((state.behind_since for state in states if state.behind_since is not None), default=None)
        behind = 0.0 if since is None else max(0.0, time.time() - since)
        return LiveSnapshot(listening, len(states) - listening - scheduled, behind, scheduled)

    def is_chosen(self, definition_id: int) -> bool:
        """Whether a definition is listened for, here or elsewhere."""
        return definition_id in self._chosen

    def run_started(self, definition_id: int) -> bool:
        """A run has started; returns whether it must store a cursor, so that the folder can be listened for."""
        self._states.run_started(definition_id)
        return definition_id in self._auto

    def run_finished(self, definition_id: int, report: RunReport) -> None:
        """A run has ended. Another one follows if changes are pending, or if the server's log may lack changes."""
        self._states.run_ended(definition_id)
        if report.error is None:
            self._states.run_finished(definition_id, report)
            self._recheck(definition_id, report)
            if report.confirm_seconds is not None:
                self._run_in(report.confirm_seconds, definition_id)
        elif report.error_may_pass:
            self.run_failed(definition_id)

    def run_failed(self, definition_id: int) -> None:
        """A run could not be made, for a reason that may pass."""
        pause = self._states.run_failed(definition_id)
        if pause is not None:
            self._run_in(pause, definition_id)

    def _run_in(self, seconds: float, definition_id: int) -> None:
        with self._guard:
            listener = self._listener_of.get(definition_id)
        if listener:
            listener.run_in(seconds, definition_id)

    def _recheck(self, definition_id: int, report: RunReport) -> None:
        """A definition of mode auto is listened for as long as its runs store a cursor."""
        state = self._states.all.get(definition_id) if definition_id in self._auto else None
        if state is None:
            return
        if state.listening_since is None or report.mode is Mode.FULL or report.outcome is Outcome.HELD:
            reason = "Its last run is held." if report.outcome is Outcome.HELD else report.full_reason
            with self._guard:
                listener = self._listener_of.get(definition_id)
            if listener:
                listener.recheck(definition_id, reason or NO_CURSOR)


def _choose(definitions: Iterable[Resolved], *, auto: int) -> tuple[list[Resolved], frozenset[int]]:
    """All definitions of mode live, the oldest `auto` of mode auto for each server, and the ids of the others."""
    chosen: list[Resolved] = []
    by_server: dict[str, dict[int, Resolved]] = {}
    for resolved in definitions:
        definition = resolved.definition
        if definition.mode == LIVE:
            chosen.append(resolved)
        elif definition.mode == AUTO and resolved.trigger is not None:
            by_server.setdefault(resolved.server_key, {})[definition.definition_id] = resolved
    surplus: set[int] = set()
    for candidates in by_server.values():
        oldest = nsmallest(auto, candidates)
        chosen += [candidates[definition_id] for definition_id in oldest]
        surplus |= candidates.keys() - set(oldest)
    return chosen, frozenset(surplus)
