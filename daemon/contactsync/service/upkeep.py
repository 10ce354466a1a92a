"""What the daemon does when definitions or requests change, and at regular times, on the thread of the watch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from contactsync.service.systemd import FolderHealth
from contactsync.store.health import count_by_state
from contactsync.store.pool import Pool, connection_of
from contactsync.store.record.audit import forget_audit
from contactsync.store.record.fleet import forget_nodes
from contactsync.store.record.runs import forget_old

if TYPE_CHECKING:
    from contactsync.api.events import EventHub
    from contactsync.dispatch.live import LiveFolders
    from contactsync.dispatch.scheduler import Schedule
    from contactsync.fleet.queue import FleetQueue
    from contactsync.operations.requests.queue import Requests
    from contactsync.settings.schema import History

log = structlog.get_logger()

HOUSEKEEPING_SECONDS = 3600
STATUS_SECONDS = 2
"""How old the states of the folders in the status line may be, unless counting them takes long."""
STATUS_SHARE = 0.01
"""The share of time for counting them, at most."""


@dataclass(kw_only=True)
class Upkeep:
    """Keeps the schedule, the requests and the states of folders up to date, and deletes what is old.

    `follow_live` follows the live folders of the schedule's definitions. All methods raise DatabaseError.
    """

    pool: Pool
    schedule: Schedule
    requests: Requests
    live: LiveFolders
    hub: EventHub
    fleet: FleetQueue | None
    follow_live: Callable[[], None]
    history: Callable[[], History]
    health: list[FolderHealth] = field(default_factory=list, init=False)
    """The number of folders in each state, a few seconds old."""
    _housekeeping_due: float = field(default=0.0, init=False)
    _status_due: float = field(default=0.0, init=False)

    def follow_edits(self, ids: set[int]) -> None:
        """Follow definitions that were edited."""
        self.schedule.follow(ids)
        self.hub.definitions_changed(ids)
        if self.schedule.leads:
            # An edit may have made a requested definition invalid.
            self.requests.catch_up()

    def follow_requests(self, payloads: set[str]) -> None:
        """Make the runs that applications requested by these payloads of notifications."""
        if self.schedule.leads:
            self.requests.notified(payloads)

    def rescan(self) -> None:
        """Read all again, as notifications may have been lost; once an hour, delete what is old."""
        if self.fleet:
            self._follow_lead(self.fleet)  # first, so that a leader reads the definitions once
        self.schedule.rescan()
        self.follow_live()
        if self.schedule.leads:
            self.requests.catch_up()
        self._status_due = 0.0
        self.tick()
        if time.monotonic() >= self._housekeeping_due:
            self._housekeeping_due = time.monotonic() + HOUSEKEEPING_SECONDS
            if self.schedule.leads:
                self._forget_old()

    def tick(self) -> None:
        """Follow the clock and the fleet, and count the states of folders; called about once a second."""
        if self.fleet:
            self._follow_lead(self.fleet)
            self._share_view(self.fleet)
        if self.schedule.follow_clock():
            # What is old by the new time may not be: nothing is deleted before the time has proved to be right.
            self._housekeeping_due = time.monotonic() + HOUSEKEEPING_SECONDS
        self.schedule.note_next_runs()
        if time.monotonic() >= self._status_due:
            started = time.monotonic()
            with connection_of(self.pool) as connection:
                self.health = [FolderHealth(*row) for row in count_by_state(connection)]
            ended = time.monotonic()
            self._status_due = ended + max(STATUS_SECONDS, (ended - started) / STATUS_SHARE)

    def _follow_lead(self, fleet: FleetQueue) -> None:
        """Run the schedule as long as this node leads the fleet."""
        leads = fleet.node.leads
        if leads != self.schedule.leads:
            self.schedule.lead(leads)
            if leads:
                self.requests.catch_up()
        if leads:
            fleet.tend()

    def _share_view(self, fleet: FleetQueue) -> None:
        """Let the other nodes know what only this one does, and have them send events that are listened to here."""
        fleet.live_states.publish(self.live.followed_states)
        if self.hub.keeps:
            fleet.events.watch()

    def _forget_old(self) -> None:
        history = self.history()
        with connection_of(self.pool) as connection:
            forgotten = forget_old(
                connection, keep_days=history.keep_days, departed_keep_days=history.departed_keep_days
            )
            forget_audit(connection, keep_days=history.audit_keep_days)
            if self.fleet:
                forget_nodes(connection)
        if forgotten:
            log.info("history.forgotten", runs=forgotten)
