"""How the daemon is: whether it is ready, one line about its folders, the progress of its threads, its problems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from contactsync.service.systemd import Part, status_line, troubles

if TYPE_CHECKING:
    from contactsync.control.server import ControlServer
    from contactsync.dispatch.run_queue import RunQueue
    from contactsync.dispatch.scheduler import Schedule
    from contactsync.fleet.queue import FleetQueue
    from contactsync.service.upkeep import Upkeep
    from contactsync.store.notifications import DefinitionWatch
    from contactsync.store.waits import WaitWatch
    from contactsync.sync.runner import Runner

SCHEDULE_SECONDS = 60
CONTROL_SECONDS = 60
FLEET_SECONDS = 120
WATCH_SECONDS = 900
WORKER_SECONDS = 900
"""How long the scheduler, the control socket, the fleet, the watch and a run past its deadline may make no progress.

The last two wait for PostgreSQL, where other sessions may hold locks for a while.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """Asks the parts of a daemon, and never waits. `connect_seconds` limits a connection to PostgreSQL."""

    schedule: Schedule
    watch: DefinitionWatch
    waits: WaitWatch
    dispatcher: RunQueue
    runner: Runner
    control: ControlServer
    upkeep: Upkeep
    fleet: FleetQueue | None
    connect_seconds: float

    @property
    def ready(self) -> bool:
        """Whether the definitions are read and edits are listened for."""
        return self.watch.caught_up

    @property
    def status(self) -> str:
        """One line about the states of the folders."""
        if not self.ready:
            return "Waiting for the database"
        if problem := self.waits.problem:
            return problem
        return status_line(self.upkeep.health, running=len(self.dispatcher.running))

    def parts(self) -> list[Part]:
        """The progress of each thread, for the watchdog."""
        fleet, watch_seconds = self.fleet, WATCH_SECONDS + self.connect_seconds
        members = [Part("the fleet", fleet.alive, fleet.silent_seconds, FLEET_SECONDS)] if fleet else []
        return [
            *members,
            Part("the scheduler", self.schedule.alive, self.schedule.ping(), SCHEDULE_SECONDS),
            Part("the watch of the definitions", self.watch.alive, self.watch.silent_seconds, watch_seconds),
            Part("a worker", self.dispatcher.alive, self.runner.overdrawn, WORKER_SECONDS),
            Part("the control socket", self.control.alive, self.control.silent_seconds, CONTROL_SECONDS),
        ]

    def problems(self) -> list[str]:
        """Why the daemon cannot work, as sentences."""
        waiting = [] if self.ready else ["The database is unavailable, or the definitions are not read yet."]
        clauses = [*troubles(self.parts()), *filter(None, [self.waits.problem])]
        return waiting + [f"{clause[:1].upper()}{clause[1:]}." for clause in clauses]

    def log_silence(self) -> None:
        """Log once that PostgreSQL does not answer."""
        self.waits.log_silence()
