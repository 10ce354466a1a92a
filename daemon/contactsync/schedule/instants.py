"""The instants of a schedule, without jitter."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOURS_OF_A_DAY, _MINUTES_OF_A_DAY = 24, 1440
_HORIZON_DAYS = 366 * 41
"""29 February on a certain weekday is at most 40 years away: 28, and 12 more across a year such as 2100."""
_ONE_DAY = timedelta(days=1)
_LATEST_GAPS = 4
"""A scheduler asks for the neighbours of two or three instants."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval counted from 1970-01-01 00:00 UTC, so that a restart does not shift it."""

    step: timedelta

    @property
    def shortest(self) -> timedelta:
        """The shortest time between two instants."""
        return self.step

    def after(self, moment: datetime) -> datetime:
        """The first instant after `moment`, which has a time zone; in UTC."""
        return self.latest(moment) + self.step

    def latest(self, moment: datetime) -> datetime:
        """The last instant at or before `moment`, which has a time zone; in UTC."""
        return EPOCH + (moment - EPOCH) // self.step * self.step


@dataclass(frozen=True, slots=True)
class Cron:
    """The five fields of cron as sets of numbers (weekdays from 0, Sunday), and their time zone.

    A schedule that runs in every hour follows elapsed time: it runs in both hours with the same local time, and not in
    an hour that is skipped. Any other schedule follows local time. A local time that occurs twice counts the first
    time. A skipped one is read with the offset before the gap (RFC 5545, section 3.3.5): 02:30 runs at 03:30 local
    time.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool
    """Both day fields are restricted: it runs on days that match either of them."""
    zone: ZoneInfo
    _gaps: deque[tuple[datetime, datetime]] = field(
        default_factory=lambda: deque(maxlen=_LATEST_GAPS), init=False, repr=False, compare=False
    )
    """The pairs of consecutive instants that were found last: a year of days takes a millisecond to search."""

    @property
    def shortest(self) -> timedelta:
        """The shortest time between two instants of adjacent days, if clocks do not change."""
        times = sorted(60 * hour + minute for hour in self.hours for minute in self.minutes)
        following = [*times[1:], times[0] + _MINUTES_OF_A_DAY]
        return timedelta(minutes=min(after - before for before, after in zip(times, following, strict=True)))

    def after(self, moment: datetime) -> datetime | None:
        """The first instant after `moment`, which has a time zone; in UTC, None if there is none."""
        gap = self._gap(moment)
        return gap[1] if gap else self._first_after(moment)

    def latest(self, moment: datetime) -> datetime | None:
        """The last instant at or before `moment`, which has a time zone; in UTC, None if there is none."""
        gap = self._gap(moment)
        return gap[0] if gap else self._last_until(moment)

    def _gap(self, moment: datetime) -> tuple[datetime, datetime] | None:
        """The instants next to `moment`, kept for the other definitions with this schedule; None if one is missing."""
        # A copy, since another thread may append.
        for gap in tuple(self._gaps):
            if gap[0] <= moment < gap[1]:
                return gap
        before, after = self._last_until(moment), self._first_after(moment)
        if before is None or after is None:
            return None
        self._gaps.append((before, after))
        return before, after

    def _first_after(self, moment: datetime) -> datetime | None:
        # From the day before: if the last hour of a day is skipped, its instants are on the next day.
        for day in self._days(moment, -_ONE_DAY, _ONE_DAY):
            later = [instant for instant in _instants_of_day(self, day) if instant > moment]
            if later:
                return min(later)
        return None

    def _last_until(self, moment: datetime) -> datetime | None:
        for day in self._days(moment, timedelta(), -_ONE_DAY):
            earlier = [instant for instant in _instants_of_day(self, day) if instant <= moment]
            if earlier:
                return max(earlier)
        return None

    def _days(self, moment: datetime, offset: timedelta, step: timedelta) -> Iterator[date]:
        """The days of the schedule from the local date of `moment` on."""
        start = moment.astimezone(self.zone).date() + offset
        return filter(self._runs_on, (start + step * count for count in range(_HORIZON_DAYS)))

    def _runs_on(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        by_day, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return (by_day or by_weekday) if self.either_day else (by_day and by_weekday)

    def instants_at(self, local: datetime) -> set[datetime]:
        """The instants for a local time, by the rules of the class: two, one or none."""
        first = local.replace(tzinfo=self.zone).astimezone(UTC)
        if len(self.hours) < _HOURS_OF_A_DAY:
            return {first}
        second = local.replace(tzinfo=self.zone, fold=1).astimezone(UTC)
        both = (first, second)
        return {instant for instant in both if instant.astimezone(self.zone).replace(tzinfo=None, fold=0) == local}


@lru_cache(maxsize=64)
def _instants_of_day(cron: Cron, day: date) -> tuple[datetime, ...]:
    """All instants of a day, at most 1,500; cached, since the scheduler asks for one after the other."""
    times = (datetime.combine(day, time(hour, minute)) for hour in cron.hours for minute in cron.minutes)
    return tuple(instant for local in times for instant in cron.instants_at(local))
