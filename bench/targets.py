"""The targets, and whether the results meet them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import median

from bench.results import CHANGED, FIRST, KINDS, REMAPPED, UNCHANGED, Folders, Results, Size, Spread

Form = Callable[[float], str]

MANY = 10_000
"""The number of folders that the targets are for; fewer prove nothing."""
MOST_GROWTH = 0.15
MOST_WAL = 64 * 1024
PEAKS = {100_000: 110e6, 1_000_000: 400e6}
"""The maximum memory of the daemon, by the size of the directory."""


@dataclass(frozen=True)
class Target:
    """One target; `met` is None if it was not measured."""

    what: str
    wanted: str
    measured: str
    met: bool | None


def targets(results: Results) -> list[Target]:
    """Every target, also those that were not measured with these options."""
    main = results.main
    ratios = [
        _ratio("nothing changed, to ldapsearch", 0.85, main.kinds[UNCHANGED].ratio),
        _ratio("1% changed, to a run without changes", 1.12, main.kinds[CHANGED].over_unchanged),
        _ratio("first load, to ldapsearch", 2.3, main.kinds[FIRST].ratio),
        _ratio("mapping changed, to ldapsearch", 2.2, main.kinds[REMAPPED].ratio),
    ]
    wal = max(median(main.wal), median(main.wal_after_checkpoint))
    return [
        *ratios,
        *_peaks(results.sizes),
        _at_most("growth of the time per entry", MOST_GROWTH, growth(results.sizes), "{:.0%}".format),
        _at_most("WAL of a run that finds nothing changed", MOST_WAL, wal, _kibibytes),
        *_many(results.folders),
        *_following(results),
    ]


def growth(sizes: list[Size]) -> float | None:
    """The largest increase of the time per entry from a directory to a larger one, of all kinds of runs."""
    pairs = combinations(sorted(sizes, key=lambda size: size.entries), 2)
    rises = [per_entry(larger, kind) / per_entry(smaller, kind) - 1 for smaller, larger in pairs for kind in KINDS]
    return max(rises, default=None)


def per_entry(size: Size, kind: str) -> float:
    """Seconds per entry of a kind of run."""
    return size.kinds[kind].seconds.median / size.entries


def _peaks(sizes: list[Size]) -> Iterator[Target]:
    measured = {size.entries: float(size.peak) for size in sizes}
    for entries, most in PEAKS.items():
        yield _at_most(f"memory at {entries:,} entries", most, measured.get(entries), _megabytes)


def _many(folders: Folders | None) -> list[Target]:
    named = f"{folders.folders:,} folders" if folders else "many folders"
    made = [
        _at_most(f"{named}: {what}", most, pick(folders) if folders else None, form)
        for what, most, form, pick in _OF_MANY
    ]
    made += [
        _at_least(f"{named}: {what}", least, pick(folders) if folders else None, "{:.0f} a second".format)
        for what, least, pick in _ROUNDS
    ]
    fewer = folders is not None and folders.folders < MANY
    return [replace(target, met=None) for target in made] if fewer else made


def _following(results: Results) -> Iterator[Target]:
    made = next((made for made in results.following if made.entries == results.entries), None)
    milliseconds = lambda seconds: f"{seconds * 1000:.0f} ms"  # noqa: E731 -- a form, as the others
    yield _at_most("ten changed", 0.025, made.seconds.median if made else None, milliseconds)
    yield _at_most("live: a change arrives, median", 0.025, made.delay(0.5) if made else None, milliseconds)
    yield _at_most("live: a change arrives, 99 of 100", 0.06, made.delay(0.99) if made else None, milliseconds)


def _ratio(what: str, most: float, spread: Spread | None) -> Target:
    return _at_most(what, most, spread.median if spread else None, "{:.2f} ×".format)


def _at_most(what: str, most: float, value: float | None, form: Form) -> Target:
    if value is None:
        return Target(what, f"≤ {form(most)}", "not measured", None)
    return Target(what, f"≤ {form(most)}", form(value), value <= most)


def _at_least(what: str, least: float, value: float | None, form: Form) -> Target:
    if value is None:
        return Target(what, f"≥ {form(least)}", "not measured", None)
    return Target(what, f"≥ {form(least)}", form(value), value >= least)


def _megabytes(octets: float) -> str:
    return f"{octets / 1e6:.0f} MB"


def _kibibytes(octets: float) -> str:
    return f"{octets / 1024:.0f} KiB"


_OF_MANY: list[tuple[str, float, Form, Callable[[Folders], float]]] = [
    ("start to all scheduled", 10, "{:.1f} s".format, lambda folders: folders.first_start),
    ("idle, of one core", 0.02, "{:.1%}".format, lambda folders: folders.idle_cpu),
    ("idle, memory", 250e6, _megabytes, lambda folders: folders.idle_memory),
    ("left out of a round", 0, "{:.0f}".format, lambda folders: folders.folders - folders.full_round.definitions),
    ("an edit noticed", 1, "{:.2f} s".format, lambda folders: median(folders.noticed)),
]
"""The targets for 10,000 folders."""

_ROUNDS: list[tuple[str, float, Callable[[Folders], float]]] = [
    ("first runs", 180, lambda folders: folders.first_round.runs_per_second),
    ("runs that find nothing changed", 450, lambda folders: folders.full_round.runs_per_second),
]
"""The runs a second in a round of all folders."""
