"""Measured values with their limits, and their table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from bench.sheets import Sheet

SECONDS, MILLISECONDS, SHARE, KILOBYTES, NUMBER = "s", "ms", "%", "kB", ""
_MEGABYTE = 1e6


@dataclass(frozen=True)
class Figure:
    """Measured values, of which none may be greater than `limit`, or less if it is a `least` one.

    They are in `unit`: seconds and shares as such, kilobytes in octets.
    """

    what: str
    limit: float
    values: list[float]
    unit: str = NUMBER
    least: bool = False

    @property
    def met(self) -> bool:
        """Whether all of them are within the limit."""
        return min(self.values) >= self.limit if self.least else max(self.values) <= self.limit

    @property
    def measured(self) -> str:
        """The value, or of several the median and the one that the limit is for."""
        if len(self.values) == 1:
            return self._text(self.values[0])
        worst = f"at least {self._text(min(self.values))}" if self.least else f"at most {self._text(max(self.values))}"
        return f"{self._text(median(self.values))} ({worst})"

    @property
    def wanted(self) -> str:
        """The limit."""
        return f"{'≥' if self.least else '≤'} {self._text(self.limit)}"

    def _text(self, value: float) -> str:
        if self.unit == SECONDS:
            return f"{value:.1f} s"
        if self.unit == MILLISECONDS:
            return f"{value * 1000:.0f} ms"
        if self.unit == KILOBYTES:
            return f"{value / _MEGABYTE:.0f} MB" if value >= _MEGABYTE else f"{value / 1000:.1f} kB"
        return f"{value:.2%}" if self.unit == SHARE else f"{value:,.0f}"


def figures_sheet(title: str, note: str, figures: Sequence[Figure]) -> Sheet:
    """A table of limits, and whether they are met."""
    rows = [
        (each.what, each.wanted, each.measured, "met" if each.met else "not met", f"{len(each.values)}")
        for each in figures
    ]
    return Sheet(title, note, ("what", "wanted", "measured", "met", "times"), rows)
