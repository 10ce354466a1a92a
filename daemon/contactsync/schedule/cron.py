"""The five fields of cron (crontab(5)): minute, hour, day of the month, month, day of the week."""

from __future__ import annotations

import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from contactsync.errors import ScheduleError
from contactsync.schedule.instants import EPOCH, Cron
from contactsync.text import quoted

_DAYS_OF_A_WEEK = 7
_PART = re.compile(
    r"(?:(?P<star>\*)|(?P<first>[0-9]{1,2}|[a-z]+)(?:-(?P<last>[0-9]{1,2}|[a-z]+))?)(?:/(?P<step>[0-9]{1,2}))?"
)


@dataclass(frozen=True, slots=True)
class _Field:
    """The numbers of a field, from `low` to `high`, and the names for them from `low` on."""

    title: str
    low: int
    high: int
    names: tuple[str, ...] = ()


_WEEKDAY = _Field("day of the week", 0, 6, ("sun", "mon", "tue", "wed", "thu", "fri", "sat"))
_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")),
    _WEEKDAY,
)


def parse_cron(text: str, zone: ZoneInfo) -> Cron:
    """Parse five fields in lower case; raises ScheduleError naming the field that is not valid.

    As in cron, Sunday is 0 or 7, and if neither day field starts with an asterisk, a day has to match only one of them.
    Unlike in cron, a range of weekdays may cross the end of the week (`fri-mon`).
    """
    words = text.split()
    if len(words) != len(_FIELDS):
        raise ScheduleError(f"cron has five fields, not {len(words)}.")
    minutes, hours, days, months, weekdays = (
        frozenset(number for part in word.split(",") for number in _part_numbers(field, part))
        for field, word in zip(_FIELDS, words, strict=True)
    )
    either_day = not words[2].startswith("*") and not words[4].startswith("*")
    cron = Cron(minutes, hours, days, months, weekdays, either_day, zone)
    if cron.after(EPOCH) is None:
        raise ScheduleError("that day does not exist.")
    return cron


def _part_numbers(field: _Field, part: str) -> list[int]:
    match = _PART.fullmatch(part)
    if match is None:
        raise ScheduleError(f"the {field.title} is not valid: {quoted(part)}.")
    step = _step(field, match["step"])
    if match["star"]:
        return list(range(field.low, field.high + 1, step))
    first = _number(field, match["first"])
    last = _number(field, match["last"]) if match["last"] else (field.high if match["step"] else first)
    if field is _WEEKDAY:
        last += _DAYS_OF_A_WEEK if last < first else 0
        return [number % _DAYS_OF_A_WEEK for number in range(first, last + 1, step)]
    if last < first:
        raise ScheduleError(f"the {field.title} has a range that goes backwards: {quoted(part)}.")
    return list(range(first, last + 1, step))


def _number(field: _Field, word: str) -> int:
    if word in field.names:
        return field.low + field.names.index(word)
    highest = _DAYS_OF_A_WEEK if field is _WEEKDAY else field.high
    if not word.isdigit() or not field.low <= int(word) <= highest:
        names = f" or {field.names[0]} to {field.names[-1]}" if field.names else ""
        raise ScheduleError(f"the {field.title} must be {field.low} to {highest}{names}, not {quoted(word)}.")
    return int(word)


def _step(field: _Field, text: str | None) -> int:
    step = int(text) if text else 1
    if not 1 <= step <= field.high:
        raise ScheduleError(f"a step of {step} is not valid for the {field.title}.")
    return step
