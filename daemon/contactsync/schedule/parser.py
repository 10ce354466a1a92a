"""The schedule field of a definition: `every 15m`, cron fields, names such as `@hourly`, or `manual`."""

from __future__ import annotations

import re
from datetime import timedelta
from difflib import get_close_matches
from functools import lru_cache
from secrets import token_hex
from zoneinfo import ZoneInfo, available_timezones

from contactsync.errors import ScheduleError
from contactsync.schedule.cron import parse_cron
from contactsync.schedule.instants import Cron, Interval
from contactsync.schedule.trigger import Timetable
from contactsync.text import quoted

SCHEDULE_FORMS = (
    "A schedule is an interval (every 15m, every 1h30m; units s, m, h and d), five cron fields "
    "(*/10 8-18 * * mon-fri), one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually, or manual."
)

_MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_EVERY = re.compile(r"every((?: ?[0-9]{1,8} ?[smhd])+)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_MAX_INTERVAL = 366 * _SECONDS["d"]
_MAX_JITTER = _SECONDS["d"]
_MAX_CHARACTERS = 1000
_SHOWN_CHARACTERS = 80


def parse_schedule(text: str, time_zone: str, jitter_seconds: int, *, seed: str | None = None) -> Timetable | None:
    """Parse a schedule field; None for `manual`. Raises ScheduleError if it, its time zone or its jitter is not valid.

    `time_zone` is an IANA name and applies to cron fields. Each run is delayed by 0 to `jitter_seconds`, and by less
    than the time to the next run. The delays are computed from `seed`, so that they are the same after a restart if
    each definition has its own. None is a random seed.
    """
    zone = _parse_zone(time_zone)
    jitter = _parse_jitter(jitter_seconds)
    words = " ".join(text.lower().split())
    if words == "manual":
        return None
    try:
        instants = _parse_instants(words, zone)
    except ScheduleError as error:
        shown = quoted(text.strip(), most=_SHOWN_CHARACTERS)
        raise ScheduleError(f"The schedule {shown} is not valid: {error.message}", hint=SCHEDULE_FORMS) from None
    return Timetable(instants=instants, jitter=jitter, seed=token_hex(8) if seed is None else seed, text=words)


@lru_cache(maxsize=4096)
def _parse_instants(words: str, zone: ZoneInfo) -> Cron | Interval:
    """One object for all definitions with the same schedule, so that they also share its instants."""
    if len(words) > _MAX_CHARACTERS:
        raise ScheduleError(f"it has more than {_MAX_CHARACTERS} characters.")
    if words.startswith("every"):
        return _parse_interval(words)
    if words.startswith("@") and words not in _MACROS:
        raise ScheduleError("that name does not exist.")
    return parse_cron(_MACROS.get(words, words), zone)


def _parse_interval(words: str) -> Interval:
    match = _EVERY.fullmatch(words)
    if match is None:
        raise ScheduleError('"every" needs numbers with units.')
    pairs = re.findall(r"([0-9]+) ?([smhd])", match[1])
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in pairs)
    if not 1 <= seconds <= _MAX_INTERVAL:
        raise ScheduleError("an interval is at least 1 second and at most 366 days.")
    return Interval(timedelta(seconds=seconds))


def _parse_jitter(seconds: int) -> timedelta:
    if not 0 <= seconds <= _MAX_JITTER:
        raise ScheduleError(
            f"A jitter of {seconds} seconds is not valid.",
            hint=f"It must be 0 to {_MAX_JITTER} seconds.",
        )
    return timedelta(seconds=seconds)


def _parse_zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: a region, such as Europe
        shown = name[:_SHOWN_CHARACTERS]
        raise ScheduleError(f"There is no time zone {quoted(shown)}.", hint=_near_zones(shown)) from None


def _near_zones(name: str) -> str:
    zones = {zone.lower(): zone for zone in sorted(available_timezones())}
    near = [zones[match] for match in get_close_matches(name.strip().lower().replace(" ", "_"), zones)]
    return f"Did you mean {' or '.join(near)}?" if near else "Use an IANA name such as Europe/Berlin or UTC."
