"""The schedule field of a definition: `every 15m`, cron, `@hourly` and the like, or `manual`."""

from __future__ import annotations

import re
from datetime import timedelta
from difflib import get_close_matches
from secrets import token_hex
from zoneinfo import ZoneInfo, available_timezones

from contactsync.errors import ScheduleError
from contactsync.schedule.cron import parse_cron
from contactsync.schedule.instants import Interval, Ticks
from contactsync.schedule.trigger import Timetable

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
_LONGEST = 366 * _SECONDS["d"]
_LONGEST_JITTER = _SECONDS["d"]
_MAX_CHARACTERS = 1000
_SHOWN_CHARACTERS = 80


def parse_schedule(text: str, time_zone: str, jitter_seconds: int, *, seed: str | None = None) -> Timetable | None:
    """Read a schedule field; None for `manual`. ScheduleError when it, its zone or its jitter is not understood.

    `time_zone` is an IANA name and is what cron fields are read in. Each run is delayed by 0 to `jitter_seconds`,
    always less than the time to the next run. The delays follow from `seed`: give each definition its own, and a
    restart changes nothing. None draws a new one.
    """
    zone = _parse_zone(time_zone)
    jitter = _parse_jitter(jitter_seconds)
    words = " ".join(text.lower().split())
    if words == "manual":
        return None
    try:
        ticks = _parse_ticks(words, zone)
    except ScheduleError as error:
        shown = text.strip()[:_SHOWN_CHARACTERS]
        raise ScheduleError(f"The schedule {shown!r} is not understood: {error.message}", hint=SCHEDULE_FORMS) from None
    return Timetable(ticks=ticks, jitter=jitter, seed=token_hex(8) if seed is None else seed, text=words)


def _parse_ticks(words: str, zone: ZoneInfo) -> Ticks:
    if len(words) > _MAX_CHARACTERS:
        raise ScheduleError(f"it has more than {_MAX_CHARACTERS} characters.")
    if words.startswith("every"):
        return _parse_interval(words)
    if words.startswith("@") and words not in _MACROS:
        raise ScheduleError("there is no such name.")
    return parse_cron(_MACROS.get(words, words), zone)


def _parse_interval(words: str) -> Interval:
    match = _EVERY.fullmatch(words)
    if match is None:
        raise ScheduleError('after "every" come numbers with units.')
    pairs = re.findall(r"([0-9]+) ?([smhd])", match[1])
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in pairs)
    if not 1 <= seconds <= _LONGEST:
        raise ScheduleError("an interval is at least 1 second and at most 366 days.")
    return Interval(timedelta(seconds=seconds))


def _parse_jitter(seconds: int) -> timedelta:
    if not 0 <= seconds <= _LONGEST_JITTER:
        raise ScheduleError(
            f"A jitter of {seconds} seconds is not possible.",
            hint=f"Jitter is 0 to {_LONGEST_JITTER} seconds.",
        )
    return timedelta(seconds=seconds)


def _parse_zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: the name of a folder, such as Europe
        shown = name[:_SHOWN_CHARACTERS]
        raise ScheduleError(f"There is no time zone {shown!r}.", hint=_near_zones(shown)) from None


def _near_zones(name: str) -> str:
    zones = {zone.lower(): zone for zone in sorted(available_timezones())}
    near = [zones[match] for match in get_close_matches(name.strip().lower().replace(" ", "_"), zones)]
    return f"Did you mean {' or '.join(near)}?" if near else "Give an IANA name such as Europe/Berlin or UTC."
