"""What the metrics say of the moment: the tables' word on each definition, joined with its schedule."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from contactsync.errors import DatabaseError
from contactsync.metrics.exporter import DaemonSnapshot, DefinitionSnapshot
from contactsync.store.health import read_health
from contactsync.store.pool import Pool, connection_of

if TYPE_CHECKING:
    from contactsync.dispatch.dispatcher import Dispatcher
    from contactsync.dispatch.live import LiveFolders
    from contactsync.dispatch.scheduler import Schedule
    from contactsync.schedule import Timetable
    from contactsync.store.notifications import DefinitionWatch


@dataclass(kw_only=True)
class SnapshotReader:
    """Looks at the daemon's parts whenever it is called; never waits for a database that is known to be away."""

    pool: Pool
    schedule: Schedule
    dispatcher: Dispatcher
    watch: DefinitionWatch
    live: LiveFolders
    workers: int
    _due: dict[int, tuple[Timetable, datetime, datetime | None]] = field(default_factory=dict)

    def __call__(self) -> DaemonSnapshot:
        """How everything does at this moment."""
        live = self.live.snapshot
        return DaemonSnapshot(
            definitions=self._definitions() if self.watch.caught_up else None,
            workers=self.workers,
            workers_busy=len(self.dispatcher.running),
            waiting=self.dispatcher.waiting,
            reconnects=self.watch.losses,
            live_listening=live.listening,
            live_not_listening=live.not_listening,
            live_behind_seconds=live.behind_seconds,
            live_auto_scheduled=live.auto_scheduled,
        )

    def _definitions(self) -> list[DefinitionSnapshot] | None:
        try:
            with connection_of(self.pool) as connection:
                rows = read_health(connection)
        except DatabaseError:
            return None  # the watch notices and logs it
        triggers = {
            known.definition.definition_id: known.resolved.trigger for known in self.schedule.followed if known.resolved
        }
        found = [self._definition(row, triggers.get(row["definition_id"])) for row in rows]
        self._due = {known.definition_id: self._due[known.definition_id] for known in found if known.success_due_at}
        return found

    def _definition(self, row: dict[str, Any], trigger: Timetable | None) -> DefinitionSnapshot:
        since = row.pop("since")
        runs_by_itself = trigger is not None and row["state"] != "paused"
        return DefinitionSnapshot(
            **row, success_due_at=self._first_due(row["definition_id"], trigger, since) if runs_by_itself else None
        )

    def _first_due(self, definition_id: int, trigger: Any, since: datetime) -> datetime | None:
        """The first fire time after `since`; kept, since it takes longer to find than everything else together."""
        kept = self._due.get(definition_id)
        if kept is None or kept[:2] != (trigger, since):
            kept = self._due[definition_id] = (trigger, since, trigger.get_next_fire_time(None, since))
        return kept[2]
