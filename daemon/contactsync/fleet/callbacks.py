"""What a node of a fleet needs of the rest of the daemon."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contactsync.dispatch.dispatcher import RunRequest
from contactsync.errors import ContactsyncError
from contactsync.fleet.listening import ListeningCallbacks
from contactsync.model import RunReport
from contactsync.store.record.fleet import LocalNeeds


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetCallbacks:
    """What the queue needs of the daemon.

    `server_of` returns the directory server of a definition, empty if it is not read yet. `find_server` reads it.
    `cancel` cancels the run with this id, and returns the ids of cancelled runs; `cancel_all` cancels all current ones.
    `listener_of` returns the key of the listener of a live definition, None for others. The node that has this listener
    calls `on_run` with the report or the error of each run, and with None when the run starts. `missing` says what this
    machine lacks of what a definition needs; None: nothing. `on_event` gets the events of other nodes.
    """

    work: Callable[[RunRequest], RunReport]
    server_of: Callable[[int], str]
    find_server: Callable[[int], str]
    cancel: Callable[[int], list[int]]
    cancel_all: Callable[[], None]
    listener_of: Callable[[int], str | None]
    on_run: Callable[[int, RunReport | ContactsyncError | None], None]
    listening: Callable[[], int]
    missing: Callable[[LocalNeeds], str | None]
    live: ListeningCallbacks
    on_event: Callable[[str, dict[str, Any]], None]
