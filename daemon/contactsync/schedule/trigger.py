"""A schedule as a trigger for APScheduler, with jitter that does not add up and does not pass the next run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b

from apscheduler.triggers.base import BaseTrigger

from contactsync.schedule.instants import Cron, Interval

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Timetable(BaseTrigger):  # type: ignore[misc]  # APScheduler publishes no types
    """When a definition is due: the instants of its schedule, each delayed by its share of the jitter.

    The delay depends only on the seed and the instant, and is shorter than the time to the next instant. So the fire
    times are one fixed, ascending sequence without gaps and repetitions, whatever the order of the calls.
    """

    instants: Cron | Interval
    jitter: timedelta
    seed: str
    text: str

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """The next fire time after the previous one, or without one at or after `now`; in UTC.

        Of several past ones only the newest is returned, so that a clock that jumps ahead by years costs no loop.
        """
        if previous_fire_time is None:
            return self._after(now - _MICROSECOND)
        newest = self.latest_fire_time(now)
        if newest is not None and newest > previous_fire_time:
            return newest
        return self._after(previous_fire_time)

    def latest_fire_time(self, now: datetime) -> datetime | None:
        """The newest fire time at or before `now`, in UTC."""
        instant = self.instants.latest(now)
        if instant is not None and self._delayed(instant) > now:
            instant = self.instants.latest(instant - _MICROSECOND)
        return None if instant is None else self._delayed(instant)

    def _after(self, moment: datetime) -> datetime | None:
        instant = self.instants.latest(moment)
        if instant is None or self._delayed(instant) <= moment:
            instant = self.instants.after(moment)
        return None if instant is None else self._delayed(instant)

    def _delayed(self, instant: datetime) -> datetime:
        if not self.jitter:
            return instant
        following = self.instants.after(instant)
        limit = self.jitter if following is None else min(self.jitter, following - instant)
        digest = blake2b(f"{self.seed}/{instant.isoformat()}".encode(), digest_size=8).digest()
        return instant + (limit // _MICROSECOND * int.from_bytes(digest) // 2**64) * _MICROSECOND

    def __str__(self) -> str:
        return self.text


def last_due(trigger: Timetable, after: datetime, now: datetime) -> datetime | None:
    """The newest fire time in (after, now], in UTC: the run to catch up on after the daemon was down."""
    newest = trigger.latest_fire_time(now)
    return newest if newest is not None and newest > after else None
