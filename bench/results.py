"""The results as plain data, as written to results.json: seconds, bytes and counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

FIRST, UNCHANGED, CHANGED, REMAPPED = "first load", "nothing changed", "1% changed", "mapping changed"
KINDS = (FIRST, UNCHANGED, CHANGED, REMAPPED)
"""The kinds of runs, in the order in which they are made."""


@dataclass(frozen=True)
class Spread:
    """The median, the minimum and the maximum of several values."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """The spread of these values."""
        return cls(median(values), min(values), max(values))


@dataclass(frozen=True)
class Turn:
    """A run and the ldapsearch just before it, in seconds; `unchanged` is a run without changes in the same turn."""

    seconds: float
    ldapsearch: float
    peak: int = 0
    stages: dict[str, float] = field(default_factory=dict)
    unchanged: float | None = None


@dataclass(frozen=True)
class Kind:
    """All turns of one kind of run."""

    turns: list[Turn] = field(default_factory=list)

    @property
    def seconds(self) -> Spread:
        """Seconds of the runs."""
        return Spread.of([turn.seconds for turn in self.turns])

    @property
    def ldapsearch(self) -> Spread:
        """Seconds of the ldapsearch of each turn."""
        return Spread.of([turn.ldapsearch for turn in self.turns])

    @property
    def ratio(self) -> Spread:
        """Ratio of each run to the ldapsearch of its turn."""
        return Spread.of([turn.seconds / turn.ldapsearch for turn in self.turns])

    @property
    def over_unchanged(self) -> Spread | None:
        """Ratio of each run to the run without changes of its turn; None if there was none."""
        pairs = [turn.seconds / turn.unchanged for turn in self.turns if turn.unchanged]
        return Spread.of(pairs) if pairs else None

    @property
    def peak(self) -> int:
        """The maximum memory of the runs."""
        return max(turn.peak for turn in self.turns)

    @property
    def stages(self) -> dict[str, float]:
        """The median seconds of each stage; `other` is the rest of the time that the client waited."""
        names = {stage: None for turn in self.turns for stage in turn.stages}
        stages = {name: median(turn.stages.get(name, 0.0) for turn in self.turns) for name in names}
        return stages | {"other": max(0.0, self.seconds.median - sum(stages.values()))}


@dataclass(frozen=True)
class Size:
    """The runs over a directory of this many entries; `wal` is the octets that runs without changes wrote."""

    entries: int
    kinds: dict[str, Kind]
    wal: list[int]
    wal_after_checkpoint: list[int]
    contacts: int
    """How many contacts equal the directory in each field: all, or the benchmark ends."""

    @property
    def peak(self) -> int:
        """The maximum memory of all runs."""
        return max(kind.peak for kind in self.kinds.values())


@dataclass(frozen=True)
class Rival:
    """Another program: into an empty table, and again. `left_out` is the reason why it was not measured."""

    name: str
    first: Kind = field(default_factory=Kind)
    again: Kind = field(default_factory=Kind)
    rows: int = 0
    """How many rows equal the directory in each column: all, or the benchmark ends."""
    left_out: str | None = None


@dataclass(frozen=True)
class Round:
    """One run of each of many definitions."""

    seconds: float
    runs: int
    definitions: int
    longest_wait: float
    stages: dict[str, float]

    @property
    def runs_per_second(self) -> float:
        """Runs per second."""
        return self.runs / self.seconds


@dataclass(frozen=True)
class Folders:
    """Many small folders on one daemon."""

    folders: int
    people: int
    first_start: float
    first_round: Round
    first_peak: int
    restart: float
    idle_cpu: float
    """The processor time of an idle daemon, as a share of one core."""
    idle_memory: int
    noticed: list[float]
    """Seconds from each edit of a definition to the start of the run that it causes."""
    full_round: Round
    noticed_in_round: float
    """Seconds until an edited schedule had its effect while all definitions ran."""
    peak: int


@dataclass(frozen=True)
class Increment:
    """An incremental run of ten changes, and the full run without changes just before it, in seconds."""

    seconds: float
    full: float


@dataclass(frozen=True)
class Following:
    """Incremental runs in a directory of this many entries, and a live folder.

    `delays` are the seconds from the directory's response to each change until the row can be read; `idle_cpu` is the
    daemon's share of one core while nothing changes.
    """

    entries: int
    increments: list[Increment]
    delays: list[float]
    idle_cpu: float

    @property
    def ratio(self) -> Spread:
        """Ratio of each run to the full run just before."""
        return Spread.of([made.seconds / made.full for made in self.increments])

    @property
    def seconds(self) -> Spread:
        """Seconds of the runs."""
        return Spread.of([made.seconds for made in self.increments])

    def delay(self, share: float) -> float | None:
        """The delay that this share of them (0 to 1) does not exceed."""
        return sorted(self.delays)[min(len(self.delays) - 1, int(share * len(self.delays)))] if self.delays else None


@dataclass(frozen=True)
class Doubling:
    """Seconds of something over this many entries, and over twice as many."""

    what: str
    entries: int
    once: float
    twice: float

    @property
    def ratio(self) -> float:
        """How much longer twice as much takes; about 2 if the cost is linear, 4 if it is quadratic."""
        return self.twice / self.once


@dataclass(frozen=True)
class Results:
    """All results."""

    machine: dict[str, str]
    options: dict[str, str]
    entries: int
    sizes: list[Size]
    rivals: list[Rival]
    folders: Folders | None
    following: list[Following] = field(default_factory=list)
    doublings: list[Doubling] = field(default_factory=list)

    @property
    def main(self) -> Size:
        """The size of the main comparison."""
        return next(size for size in self.sizes if size.entries == self.entries)
