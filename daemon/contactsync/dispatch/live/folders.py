"""The folders that follow their directory at once: their listeners, and the results of their runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Container, Iterable
from heapq import nsmallest
from itertools import chain
from typing import TYPE_CHECKING

from contactsync.dispatch.live.listener import NO_CURSOR, Listener
from contactsync.dispatch.live.sharing import SharingKeys, listener_key
from contactsync.dispatch.live.status import AUTO, LIVE, LiveSnapshot, LiveState, States
from contactsync.errors import ContactsyncError
from contactsync.model import Mode, Outcome, Trigger
from contactsync.store.record.fleet import LocalNeeds
from contactsync.sync.definition import Resolved

if TYPE_CHECKING:
    from contactsync.dispatch.followed import Followed
    from contactsync.dispatch.run_queue import RunQueue
    from contactsync.model import RunReport
    from contactsync.sync.runner import Runner

_STOP_SECONDS = 2.0


class LiveFolders:
    """Listens for all definitions of mode live and for some of mode auto; any thread may call it.

    `lease` returns whether this daemon may listen at this moment: in a fleet it may not after it was stopped. `on_lack`
    is called when it cannot listen since it lacks a password or a file: another daemon of a fleet may have it.
    """

    def __init__(
        self,
        runner: Runner,
        dispatcher: RunQueue,
        lease: Callable[[], bool] = lambda: True,
        on_lack: Callable[[], None] = lambda: None,
    ) -> None:
        self._runner = runner
        self._dispatcher = dispatcher
        self._lease = lease
        self._on_lack = on_lack
        self._guard = threading.Lock()
        self._sharing_keys = SharingKeys(runner)
        self._listeners: dict[tuple[object, ...], Listener] = {}
        self._listener_of: dict[int, Listener] = {}
        self._ending: list[Listener] = []
        self._chosen: list[Resolved] = []
        self._keys: dict[int, str] = {}
        self._auto: frozenset[int] = frozenset()
        self._surplus: dict[str, list[int]] = {}
        self._auto_limit = 0
        self._here: Container[str] | None = None
        self._states = States()

    def follow(
        self,
        definitions: Iterable[Followed],
        resolved_of: Callable[[list[Followed]], Iterable[Resolved]],
        *,
        auto: int = 0,
    ) -> None:
        """Listen for these definitions and for no others, of mode auto for so many of each server."""
        wanted, surplus = _choose(definitions, auto=auto)
        chosen = list(resolved_of(wanted))
        keys = {each.definition.definition_id: listener_key(each) for each in chosen}
        self._auto = frozenset(each.definition.definition_id for each in chosen if each.definition.mode == AUTO)
        with self._guard:
            self._chosen, self._keys, self._surplus, self._auto_limit = chosen, keys, surplus, auto
        self._listen()

    def listen_with(self, listeners: Container[str]) -> None:
        """Listen only with these of `listeners`: other daemons of the fleet have the others."""
        with self._guard:
            self._here = listeners
        self._listen()

    def _listen(self) -> None:
        with self._guard:
            chosen = [each for each in self._chosen if self._is_here(self._keys[each.definition.definition_id])]
            definition_ids = {each.definition.definition_id for each in chosen}
            groups, closed = self._group(chosen)
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
                    listener = self._listeners[key] = Listener(
                        self._runner, self._dispatcher, self._states, self._lease, self._on_lack
                    )
                    listener.start()
                listener.follow(group)
                self._listener_of |= dict.fromkeys(group, listener)
        for definition_id, reason in closed.items():
            if self._states.not_listening([definition_id], reason, scheduled=definition_id in self._auto):
                # The run records the error of this definition.
                self._dispatcher.request(definition_id, Trigger.LIVE)

    def _is_here(self, key: str) -> bool:
        return self._here is None or key in self._here

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
        self.follow((), lambda _: ())
        self.closed(_STOP_SECONDS)

    def closed(self, seconds: float) -> bool:
        """Wait so many seconds for the connections that are not needed any more; returns whether they are closed."""
        with self._guard:
            ending = list(self._ending)
        end = time.monotonic() + seconds
        return all(listener.join(max(0.0, end - time.monotonic())) for listener in ending)

    @property
    def listeners(self) -> frozenset[str]:
        """The directory servers and users of all definitions, here or elsewhere, that are live or of mode auto."""
        with self._guard:
            return frozenset(self._keys.values()) | self._surplus.keys()

    @property
    def needs(self) -> dict[str, dict[int, LocalNeeds]]:
        """What the definitions that are listened for, here or elsewhere, need of the machine, by listener and id."""
        with self._guard:
            chosen, keys = self._chosen, self._keys
        needs: dict[str, dict[int, LocalNeeds]] = {}
        for resolved in chosen:
            definition = resolved.definition
            needs.setdefault(keys[definition.definition_id], {})[definition.definition_id] = LocalNeeds.of(definition)
        return needs

    def listener_of(self, definition_id: int) -> str | None:
        """The one of `listeners` that listens for a definition, here or elsewhere; None for other definitions."""
        return self._keys.get(definition_id)

    @property
    def states(self) -> dict[int, LiveState]:
        """The state of each definition of mode live, and of each of mode auto that has a schedule, by its id."""
        reason = f"Its server has {self._auto_limit:,} folders that were defined before it (auto_live_folders)."
        surplus = LiveState(reason=reason if self._auto_limit else "auto_live_folders is 0.", scheduled=True)
        with self._guard:
            here = [ids for key, ids in self._surplus.items() if self._is_here(key)]
        return dict.fromkeys(chain.from_iterable(here), surplus) | self._states.all

    @property
    def followed_states(self) -> dict[int, LiveState]:
        """The states without those of the folders above the limit of mode auto."""
        return self._states.all

    @property
    def snapshot(self) -> LiveSnapshot:
        """The numbers at this moment."""
        states = self.states.values()
        listening = sum(state.listening_since is not None for state in states)
        scheduled = sum(state.scheduled for state in states)
        since = min((state.behind_since for state in states if state.behind_since is not None), default=None)
        behind = 0.0 if since is None else max(0.0, time.time() - since)
        return LiveSnapshot(listening, len(states) - listening - scheduled, behind, scheduled)

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


def _choose(definitions: Iterable[Followed], *, auto: int) -> tuple[list[Followed], dict[str, list[int]]]:
    """All definitions of mode live, the oldest `auto` of mode auto for each server; the ids of the others by key."""
    chosen: list[Followed] = []
    by_server: dict[str, dict[int, Followed]] = {}
    for followed in definitions:
        if followed.mode == LIVE:
            chosen.append(followed)
        elif followed.mode == AUTO and followed.times is not None:
            by_server.setdefault(followed.server, {})[followed.definition_id] = followed
    surplus: dict[str, list[int]] = {}
    for candidates in by_server.values():
        chosen += [candidates.pop(definition_id) for definition_id in nsmallest(auto, candidates)]
        for definition_id, followed in candidates.items():
            surplus.setdefault(followed.listener or "", []).append(definition_id)
    return chosen, surplus
