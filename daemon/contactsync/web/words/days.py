"""The picture of the last days: a lane of bars for each number, which the template draws as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contactsync.web.language import gettext

HEIGHT = 36
"""Of a lane, in pixels."""
_LEAST = 3
"""Of a bar, so that one contact among thousands can be seen."""
_SHARE = 0.7
"""Of the width of a day that its bar has."""
_MOST_CROSSES = 3
_CROSS = 12
"""The height of a cross, in pixels."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A day in a lane. `x` and `width` are percents of the lane, `height` is in pixels; `crosses` are their tops."""

    day: str
    value: float
    x: float
    width: float
    height: float
    crosses: tuple[int, ...]

    @property
    def middle(self) -> float:
        """Where its crosses are, in percent."""
        return round(self.x + self.width / 2, 2)


@dataclass(frozen=True, slots=True)
class Lane:
    """One number of each day; days with 0 have no bar. `as_crosses`: something went wrong."""

    words: str
    total: float
    most: Bar | None
    bars: list[Bar]
    as_crosses: bool


def lanes(days: Sequence[Mapping[str, Any]]) -> list[Lane]:
    """The lanes of these days; none if there was no run. Each has a scale of its own."""
    _ = gettext
    if not any(day["runs"] for day in days):
        return []
    held = [_lane(_("Held runs"), "held", days, as_crosses=True)] if any(day["held"] for day in days) else []
    return [
        _lane(_("Added"), "inserted", days),
        _lane(_("Changed"), "updated", days),
        _lane(_("Deleted"), "deleted", days),
        _lane(_("Failed runs"), "failed", days, as_crosses=True),
        *held,
        _lane(_("Seconds"), "seconds", days),
    ]


def _lane(words: str, name: str, days: Sequence[Mapping[str, Any]], *, as_crosses: bool = False) -> Lane:
    most, step = max(day[name] for day in days), 100 / len(days)
    bars = [
        Bar(
            day["day"],
            day[name],
            round((place + (1 - _SHARE) / 2) * step, 2),
            round(_SHARE * step, 2),
            round(max(_LEAST, HEIGHT * day[name] / most), 1),
            _crosses(day[name]) if as_crosses else (),
        )
        for place, day in enumerate(days)
        if day[name]
    ]
    highest = max(bars, key=lambda bar: bar.value, default=None)
    return Lane(words, sum(day[name] for day in days), highest, bars, as_crosses)


def _crosses(number: int) -> tuple[int, ...]:
    return tuple(HEIGHT - _CROSS * (place + 1) for place in range(min(number, _MOST_CROSSES)))
