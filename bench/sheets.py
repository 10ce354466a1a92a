"""The tables of the report, as headings and rows of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from bench.results import Kind, Results, Rival, Round, Spread
from bench.targets import Target, targets

STAGES = ("connect", "fingerprints", "search", "map", "stage", "plan", "apply", "other")


@dataclass(frozen=True)
class Sheet:
    """One table, with a note on how to read it."""

    title: str
    note: str
    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def sheets(results: Results) -> list[Sheet]:
    """All tables, in their order."""
    made = [_targets(results), _main(results), _stages(results), _others(results), _sizes(results), _wal(results)]
    made += [_following(results)] if results.following else []
    made += [_doublings(results)] if results.doublings else []
    return made + ([_folders(results), _rounds(results)] if results.folders else [])


def _targets(results: Results) -> Sheet:
    rows = [(target.what, target.wanted, target.measured, _met(target)) for target in targets(results)]
    return Sheet("Targets", "Medians.", ("what", "wanted", "measured", "met"), rows)


def _met(target: Target) -> str:
    return {True: "met", False: "not met", None: "-"}[target.met]


def _main(results: Results) -> Sheet:
    rows = [
        (name, _seconds(kind.seconds), _seconds(kind.ldapsearch), _times(kind.ratio), _times(kind.over_unchanged))
        for name, kind in results.main.kinds.items()
    ]
    return Sheet(
        f"The main job, {results.entries:,} entries",
        "Median (least to greatest) of the turns; each ratio is of two that ran one after the other.",
        ("run", "s", "ldapsearch, s", "to ldapsearch", "to a run without changes"),
        rows,
    )


def _stages(results: Results) -> Sheet:
    rows = []
    for name, kind in results.main.kinds.items():
        stages = kind.stages
        rows.append((name, *(f"{stages[stage]:.2f}" if stage in stages else "-" for stage in STAGES)))
    return Sheet(
        "Where the time of a run goes",
        "Seconds by stage, as the run's row in `sync_runs` has them; `other` is the rest of the client's time.",
        ("run", *STAGES),
        rows,
    )


def _others(results: Results) -> Sheet:
    ours = results.main.kinds
    rows = [("contactsync", *_fill(ours["first load"]), *_fill(ours["nothing changed"]))]
    rows += [(rival.name, *_filled(rival)) for rival in results.rivals]
    return Sheet(
        f"Beside the others, {results.entries:,} entries",
        "Into an empty table, and again with nothing changed; the ratio is to the ldapsearch just before.",
        ("what", "first load, s", "to ldapsearch", "nothing changed, s", "to ldapsearch"),
        rows,
    )


def _filled(rival: Rival) -> tuple[str, str, str, str]:
    if rival.left_out:
        return ("left out: " + rival.left_out, "-", "-", "-")
    return (*_fill(rival.first), *_fill(rival.again))


def _fill(kind: Kind) -> tuple[str, str]:
    return _seconds(kind.seconds), _times(kind.ratio)


def _sizes(results: Results) -> Sheet:
    rows = []
    for size in results.sizes:
        for name, kind in size.kinds.items():
            rows.append(
                (
                    f"{size.entries:,}",
                    name,
                    f"{kind.seconds.median:.2f}",
                    f"{kind.seconds.median / size.entries * 1e6:.1f}",
                    f"{kind.ldapsearch.median / size.entries * 1e6:.1f}",
                    _times(kind.ratio),
                    f"{kind.peak / 1e6:.0f}",
                )
            )
    return Sheet(
        "Sizes",
        "Microseconds per entry, and the maximum memory (VmHWM) of the daemon in a run.",
        ("entries", "run", "s", "µs an entry", "ldapsearch, µs an entry", "to ldapsearch", "peak, MB"),
        rows,
    )


def _wal(results: Results) -> Sheet:
    rows = [
        (f"{size.entries:,}", _kibibytes(size.wal), _kibibytes(size.wal_after_checkpoint)) for size in results.sizes
    ]
    note = "KiB that a run without changes writes; after a checkpoint, PostgreSQL writes each changed page in full."
    return Sheet("WAL", note, ("entries", "KiB", "KiB after a checkpoint"), rows)


def _folders(results: Results) -> Sheet:
    folders = results.folders
    if folders is None:
        raise ValueError("many folders were not measured")
    rows = [
        ("first start to all scheduled, s", f"{folders.first_start:.1f}"),
        ("later start to all scheduled, s", f"{folders.restart:.1f}"),
        ("idle: share of one core", f"{folders.idle_cpu:.2%}"),
        ("idle: memory, MB", f"{folders.idle_memory / 1e6:.0f}"),
        ("first runs: maximum memory, MB", f"{folders.first_peak / 1e6:.0f}"),
        ("all again: maximum memory, MB", f"{folders.peak / 1e6:.0f}"),
        ("edit to the start of its run, s", _seconds(Spread.of(folders.noticed))),
        ("edit of a schedule noticed in a full round, s", f"{folders.noticed_in_round:.2f}"),
    ]
    title = f"Many folders: {folders.folders:,} of {folders.people // folders.folders} people"
    return Sheet(title, "On one daemon; at the first start all of them are due.", ("what", "measured"), rows)


def _following(results: Results) -> Sheet:
    rows = [
        (
            f"{made.entries:,}",
            f"{made.seconds.median * 1000:.0f}",
            _times(made.ratio),
            *(_milliseconds(made.delay(share)) for share in (0.5, 0.99)),
            f"{made.idle_cpu:.2%}" if made.delays else "-",
        )
        for made in results.following
    ]
    return Sheet(
        "Only what changed",
        "Incremental runs of ten changes, from a slapd with a session log, and the ratio to the full run just before."
        " Live: from the directory's response to a change until PostgreSQL has it, at fifty changes a second.",
        ("entries", "ten changed, ms", "to a full run", "live: median, ms", "99 of 100, ms", "idle, of one core"),
        rows,
    )


def _doublings(results: Results) -> Sheet:
    rows = [
        (made.what, f"{made.entries:,}", f"{made.once:.2f}", f"{made.twice:.2f}", f"{made.ratio:.2f} ×")
        for made in results.doublings
    ]
    return Sheet(
        "Twice as much",
        "Medians, in seconds, and the ratio of the two: about 2 is linear, 4 is quadratic.",
        ("what", "entries", "s", "s for twice as many", "ratio"),
        rows,
    )


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f}"


def _rounds(results: Results) -> Sheet:
    folders = results.folders
    rounds = {"first runs": folders.first_round, "all again, by trigger": folders.full_round} if folders else {}
    return Sheet(
        "Rounds of all folders",
        "The stages are milliseconds per run, on average; `wait` is the longest wait of any definition.",
        ("round", "s", "ran", "runs a second", "wait, s", *STAGES[:-1]),
        [(name, *_round(made)) for name, made in rounds.items()],
    )


def _round(made: Round) -> tuple[str, ...]:
    stages = (f"{made.stages.get(stage, 0.0) / made.runs * 1000:.1f}" for stage in STAGES[:-1])
    return (
        f"{made.seconds:.1f}",
        f"{made.definitions:,}",
        f"{made.runs_per_second:.0f}",
        f"{made.longest_wait:.1f}",
        *stages,
    )


def _seconds(spread: Spread) -> str:
    return f"{spread.median:.2f}{_range(spread)}"


def _times(spread: Spread | None) -> str:
    return f"{spread.median:.2f} ×{_range(spread)}" if spread else "-"


def _range(spread: Spread) -> str:
    return f" ({spread.least:.2f} to {spread.greatest:.2f})" if spread.least < spread.greatest else ""


def _kibibytes(octets: list[int]) -> str:
    return f"{median(octets) / 1024:.1f} ({min(octets) / 1024:.1f} to {max(octets) / 1024:.1f})"
