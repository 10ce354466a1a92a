"""The instants that a schedule names, before any jitter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOURS_OF_A_DAY = 24
_HORIZON_DAYS = 366 * 41
"""29 February on one weekday is at most 40 years away (28, and 12 more across a year such as 2100)."""
_ONE_DAY = timedelta(days=1)


class Ticks(Protocol):
    """An endless row of instants; every datetime that goes in is aware, and those that come out are in UTC."""

    def after(self, moment: datetime) -> datetime | None:
        """The first instant after `moment`; None when there is none."""

    def latest(self, moment: datetime) -> datetime | None:
        """The last instant at or before `moment`; None when there is none."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Every so often, counted from 1970-01-01 00:00 UTC, so that a restart does not shift it."""

    step: timedelta

    def after(self, moment: datetime) -> datetime:
        """The first instant after `moment`."""
        return self.latest(moment) + self.step

    def latest(self, moment: datetime) -> datetime:
        """The last instant at or before `moment`."""
        return EPOCH + (moment - EPOCH) // self.step * self.step


@dataclass(frozen=True, slots=True)
class Cron:
    """The five fields of cron as sets of numbers (weekdays from 0, Sunday), and the time zone they are read in.

    A schedule that runs in every hour follows the time that passes: it runs in both of the hours that the clock shows
    twice, and not in one that the clock skips. Any other follows the clock on the wall: a time shown twice counts
    the first time, and a skipped one is read with the offset before the gap (as in RFC 5545, section 3.3.5), so that
    02:30 is run at what the clock shows as 03:30.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool
    """Both day fields are restricted, and cron then runs on a day that either of them names."""
    zone: ZoneInfo

    def after(self, moment: datetime) -> datetime | None:
        """The first instant after `moment`."""
        # The day before as well: when the clock skips the last hour of a day, its times come on the next.
        for day in _days(self._local_date(moment) - _ONE_DAY, _ONE_DAY):
            later = [tick for tick in self._on(day) if tick > moment]
            if later:
                return min(later)
        return None

    def latest(self, moment: datetime) -> datetime | None:
        """The last instant at or before `moment`."""
        for day in _days(self._local_date(moment), -_ONE_DAY):
            earlier = [tick for tick in self._on(day) if tick <= moment]
            if earlier:
                return max(earlier)
        return None

    def _local_date(self, moment: datetime) -> date:
        return moment.astimezone(self.zone).date()

    def _on(self, day: date) -> tuple[datetime, ...]:
        return _instants_of_day(self, day) if self._runs_on(day) else ()

    def _runs_on(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        by_day, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return (by_day or by_weekday) if self.either_day else (by_day and by_weekday)

    def instants(self, wall: datetime) -> set[datetime]:
        """When the clock shows this time, in the sense of the class: once, twice or not at all."""
        first = wall.replace(tzinfo=self.zone).astimezone(UTC)
        if len(self.hours) < _HOURS_OF_A_DAY:
            return {first}
        second = wall.replace(tzinfo=self.zone, fold=1).astimezone(UTC)
        return {tick for tick in (first, second) if tick.astimezone(self.zone).replace(tzinfo=None, fold=0) == wall}


def _days(start: date, step: timedelta) -> Iterator[date]:
    return (start + step * count for count in range(_HORIZON_DAYS))


@lru_cache(maxsize=64)
def _instants_of_day(cron: Cron, day: date) -> tuple[datetime, ...]:
    """Every instant of a day, at most 1,500; kept, because the scheduler asks for one after the other."""
    walls = (datetime.combine(day, time(hour, minute)) for hour in cron.hours for minute in cron.minutes)
    return tuple(tick for wall in walls for tick in cron.instants(wall))
