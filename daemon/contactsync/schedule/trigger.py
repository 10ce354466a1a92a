"""A schedule as an APScheduler trigger, with jitter that neither adds up nor overtakes the next run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b

from apscheduler.triggers.base import BaseTrigger

from contactsync.schedule.instants import Ticks

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Timetable(BaseTrigger):  # type: ignore[misc]  # APScheduler publishes no types
    """When a definition is due: the ticks of its schedule, each delayed by its share of the jitter.

    A tick's delay is drawn from the seed and the tick alone and is shorter than the time to the next tick. So the
    fire times are one fixed row that only goes up: none is skipped or doubled, whatever is asked and in what order.
    """

    ticks: Ticks
    jitter: timedelta
    seed: str
    text: str

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """The next fire time: after the previous one, or at or after `now` when there is none; in UTC.

        Of several that are past already only the newest is returned, so that a clock that was set forward by years
        costs no loop over the seconds of those years.
        """
        if previous_fire_time is None:
            return self._after(now - _MICROSECOND)
        newest = self.latest_fire_time(now)
        if newest is not None and newest > previous_fire_time:
            return newest
        return self._after(previous_fire_time)

    def latest_fire_time(self, now: datetime) -> datetime | None:
        """The newest fire time at or before `now`, in UTC."""
        tick = self.ticks.latest(now)
        if tick is not None and self._delayed(tick) > now:
            tick = self.ticks.latest(tick - _MICROSECOND)
        return None if tick is None else self._delayed(tick)

    def _after(self, moment: datetime) -> datetime | None:
        tick = self.ticks.latest(moment)
        if tick is None or self._delayed(tick) <= moment:
            tick = self.ticks.after(moment)
        return None if tick is None else self._delayed(tick)

    def _delayed(self, tick: datetime) -> datetime:
        following = self.ticks.after(tick)
        room = self.jitter if following is None else min(self.jitter, following - tick)
        drawn = blake2b(f"{self.seed}/{tick.isoformat()}".encode(), digest_size=8).digest()
        return tick + (room // _MICROSECOND * int.from_bytes(drawn) // 2**64) * _MICROSECOND

    def __str__(self) -> str:
        return self.text


def last_due(trigger: Timetable, after: datetime, now: datetime) -> datetime | None:
    """The newest fire time in (after, now], in UTC, or None: the run to make up for after the daemon was down.

    Computed, not counted: a year of missed seconds costs no more than one.
    """
    newest = trigger.latest_fire_time(now)
    return newest if newest is not None and newest > after else None
