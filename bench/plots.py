"""The plots of docs/explanation/performance.md, as SVG for light and dark pages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.results import FIRST, KINDS, UNCHANGED, Kind, Results
from bench.sheets import STAGES
from bench.targets import PEAKS

BLUE, ORANGE, GREEN, RED, PURPLE, TEAL, OCHRE, GREY = COLOURS = (
    "#3b82d6", "#d9822b", "#3a9a5b", "#cf5b5b", "#9a6dd0", "#2aa5a5", "#b8912f", "#7d8590",
)  # fmt: skip
STYLE = Path(__file__).with_name("plots.mplstyle")


def draw(results: Results, folder: Path) -> None:
    """Write all plots."""
    plots: dict[str, Callable[[Axes, Results], None]] = {
        "others": _others,
        "time": _time,
        "memory": _memory,
        "stages": _stages,
    }
    with style.context(STYLE):
        for name, plot in plots.items():
            figure = Figure(figsize=(7.5, 3.6), layout="constrained")
            plot(figure.add_subplot(), results)
            figure.savefig(folder / f"{name}.svg", transparent=True, metadata={"Date": None, "Creator": None})


def _others(axes: Axes, results: Results) -> None:
    ours = results.main.kinds
    bars = {"ldapsearch (only reads)": (ours[UNCHANGED].ldapsearch.median, 0.0)}
    bars["contactsync"] = (ours[UNCHANGED].seconds.median, ours[FIRST].seconds.median)
    measured = [rival for rival in results.rivals if not rival.left_out]
    bars |= {rival.name: (rival.again.seconds.median, rival.first.seconds.median) for rival in measured}
    places = range(len(bars))
    again = axes.barh([place - 0.2 for place in places], [bar[0] for bar in bars.values()], 0.38, color=GREEN)
    first = axes.barh([place + 0.2 for place in places], [bar[1] for bar in bars.values()], 0.38, color=BLUE)
    axes.bar_label(again, fmt=_seconds, padding=3)
    axes.bar_label(first, fmt=_seconds, padding=3)
    axes.set_yticks(list(places), list(bars))
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("seconds")
    axes.legend([again, first], [UNCHANGED, FIRST], loc="best")
    axes.set_title(f"{results.entries:,} entries into PostgreSQL")


def _time(axes: Axes, results: Results) -> None:
    sizes = [size.entries for size in results.sizes]
    for name, colour in zip(KINDS, COLOURS, strict=False):
        axes.plot(sizes, [size.kinds[name].seconds.median for size in results.sizes], "o-", color=colour, label=name)
    reading = [size.kinds[UNCHANGED].ldapsearch.median for size in results.sizes]
    axes.plot(sizes, reading, "s--", color=GREY, label="ldapsearch")
    _by_size(axes, sizes, "seconds")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_title("Time by the size of the directory")


def _memory(axes: Axes, results: Results) -> None:
    sizes = [size.entries for size in results.sizes]
    for name, colour in zip(KINDS, COLOURS, strict=False):
        axes.plot(sizes, [size.kinds[name].peak / 1e6 for size in results.sizes], "o-", color=colour, label=name)
    wanted = {entries: most for entries, most in PEAKS.items() if entries in sizes}
    axes.plot(list(wanted), [most / 1e6 for most in wanted.values()], "v", color=GREY, label="limit")
    _by_size(axes, sizes, "MB")
    axes.set_ylim(bottom=0)
    axes.set_title("Maximum memory of the daemon by the size of the directory")


def _by_size(axes: Axes, sizes: list[int], unit: str) -> None:
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("entries")
    axes.set_ylabel(unit)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))


def _stages(axes: Axes, results: Results) -> None:
    kinds: dict[str, Kind] = results.main.kinds
    ends = dict.fromkeys(kinds, 0.0)
    for stage, colour in zip(STAGES, COLOURS, strict=True):
        widths = [kind.stages.get(stage, 0.0) for kind in kinds.values()]
        axes.barh(list(kinds), widths, 0.6, left=list(ends.values()), color=colour, label=stage)
        ends = {name: end + width for (name, end), width in zip(ends.items(), widths, strict=True)}
    for name, kind in kinds.items():
        axes.plot([kind.ldapsearch.median] * 2, _edges(list(kinds).index(name)), color=GREY, linewidth=2)
    axes.invert_yaxis()
    axes.set_xlabel("seconds; the upright line is ldapsearch")
    axes.legend(ncols=len(STAGES) // 2, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    axes.set_title(f"Where the time of a run goes, {results.entries:,} entries")


def _edges(place: int) -> tuple[float, float]:
    return place - 0.4, place + 0.4


def _seconds(value: float) -> str:
    return f"{value:.1f}" if value else ""
