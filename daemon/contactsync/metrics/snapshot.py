"""The state of the daemon and of its definitions at one moment, for the metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from contactsync.dispatch.followed import Times
from contactsync.dispatch.live import LiveFolders
from contactsync.dispatch.live.status import LiveSnapshot
from contactsync.dispatch.run_queue import RunQueue
from contactsync.dispatch.scheduler import Schedule
from contactsync.errors import DatabaseError
from contactsync.operations.fleet import FleetState, fleet_state
from contactsync.store.health import read_health
from contactsync.store.notifications import DefinitionWatch
from contactsync.store.pool import Pool, connection_of
from contactsync.store.waits import WaitWatch


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinitionSnapshot:
    """A definition: the label of its folder, its name in it, and its state in the view `definition_overview`.

    `success_due_at` is when the first run after the last success was due, or will be; None without a schedule.
    """

    definition_id: int
    folder: str
    definition: str
    state: str
    last_success_at: datetime | None
    success_due_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSnapshot:
    """The daemon; `definitions` is None while the database is unavailable, `fleet` is None without a fleet too."""

    definitions: Sequence[DefinitionSnapshot] | None
    workers: int
    workers_busy: int
    waiting: int
    reconnects: int
    database_waits: int
    live: LiveSnapshot
    fleet: FleetState | None = None


@dataclass(kw_only=True)
class SnapshotReader:
    """Reads the state of the daemon's parts; does not wait for a database that is known to be unavailable."""

    pool: Pool
    schedule: Schedule
    dispatcher: RunQueue
    watch: DefinitionWatch
    waits: WaitWatch
    live: LiveFolders
    workers: int
    in_fleet: bool = False

    def __call__(self) -> DaemonSnapshot:
        """The state at this moment."""
        return DaemonSnapshot(
            definitions=self._definitions() if self.watch.caught_up else None,
            workers=self.workers,
            workers_busy=len(self.dispatcher.running),
            waiting=self.dispatcher.waiting,
            reconnects=self.watch.losses,
            database_waits=self.waits.waiting,
            live=self.live.snapshot,
            fleet=self._fleet() if self.in_fleet and self.watch.caught_up else None,
        )

    def _fleet(self) -> FleetState | None:
        try:
            with connection_of(self.pool) as connection:
                return fleet_state(connection)
        except DatabaseError:
            return None

    def _definitions(self) -> list[DefinitionSnapshot] | None:
        try:
            with connection_of(self.pool) as connection:
                rows = read_health(connection)
        except DatabaseError:
            return None  # the watch notices and logs it
        times = {each.definition_id: each.times for each in self.schedule.followed if each.times}
        return [_definition(row, times.get(row["definition_id"])) for row in rows]


def _definition(row: dict[str, Any], times: Times | None) -> DefinitionSnapshot:
    since = row.pop("since")
    due_at = _first_due(times, row["definition_id"], since) if times and row["state"] != "paused" else None
    return DefinitionSnapshot(**row, success_due_at=due_at)


@lru_cache(maxsize=65_536)
def _first_due(times: Times, definition_id: int, since: datetime) -> datetime | None:
    """The first fire time after `since`; cached, since it takes longer than the rest of a scrape."""
    return times.timetable(definition_id).get_next_fire_time(None, since)
