"""What was measured, as plain data that is written to results.json; seconds, bytes and counts throughout."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

FIRST, UNCHANGED, CHANGED, REMAPPED = "first load", "nothing changed", "1% changed", "mapping changed"
KINDS = (FIRST, UNCHANGED, CHANGED, REMAPPED)
"""The kinds of runs, in the order in which they are made."""


@dataclass(frozen=True)
class Spread:
    """The median of several values, and the least and the greatest of them."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """The spread of some values."""
        return cls(median(values), min(values), max(values))


@dataclass(frozen=True)
class Turn:
    """One run and the ldapsearch just before it; `unchanged` is the run without changes of the same turn, if any."""

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
        """How long the runs took."""
        return Spread.of([turn.seconds for turn in self.turns])

    @property
    def ldapsearch(self) -> Spread:
        """How long ldapsearch took beside them."""
        return Spread.of([turn.ldapsearch for turn in self.turns])

    @property
    def ratio(self) -> Spread:
        """The runs' time in that of the ldapsearch of the same turn."""
        return Spread.of([turn.seconds / turn.ldapsearch for turn in self.turns])

    @property
    def over_unchanged(self) -> Spread | None:
        """The runs' time in that of the run without changes of the same turn."""
        pairs = [turn.seconds / turn.unchanged for turn in self.turns if turn.unchanged]
        return Spread.of(pairs) if pairs else None

    @property
    def peak(self) -> int:
        """The most memory that any of the runs used."""
        return max(turn.peak for turn in self.turns)

    @property
    def stages(self) -> dict[str, float]:
        """The median seconds of each stage; `other` is what the client waited for besides."""
        names = {stage: None for turn in self.turns for stage in turn.stages}
        stages = {name: median(turn.stages.get(name, 0.0) for turn in self.turns) for name in names}
        return stages | {"other": max(0.0, self.seconds.median - sum(stages.values()))}


@dataclass(frozen=True)
class Size:
    """The runs over a directory of so many entries; `wal` is what runs without changes wrote, at rest and anew."""

    entries: int
    kinds: dict[str, Kind]
    wal: list[int]
    wal_after_checkpoint: list[int]
    contacts: int
    """How many contacts were compared with what the directory holds, each field, and found equal."""

    @property
    def peak(self) -> int:
        """The most memory that any run used."""
        return max(kind.peak for kind in self.kinds.values())


@dataclass(frozen=True)
class Rival:
    """What somebody would use otherwise: into an empty table, and again. `left_out` says why it was not measured."""

    name: str
    first: Kind = field(default_factory=Kind)
    again: Kind = field(default_factory=Kind)
    rows: int = 0
    """How many rows were compared with what the directory holds, each column, and found equal."""
    left_out: str | None = None


@dataclass(frozen=True)
class Round:
    """One run of each of many definitions."""

    seconds: float
    runs: int
    definitions: int
    """How many definitions ran."""
    longest_wait: float
    stages: dict[str, float]

    @property
    def runs_per_second(self) -> float:
        """How many runs ended in a second."""
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
    """The processor's time that an idle daemon uses, as a share of one core."""
    idle_memory: int
    noticed: list[float]
    """The seconds from each edit of a definition to the start of the run that follows from it."""
    full_round: Round
    noticed_in_round: float
    """The seconds until an edited schedule was followed while all definitions ran."""
    peak: int


@dataclass(frozen=True)
class Increment:
    """A run that asked for ten changes, and the full run without changes just before it, in seconds."""

    seconds: float
    full: float


@dataclass(frozen=True)
class Following:
    """Runs that ask only for what changed in a directory of so many entries, and a folder that follows at once.

    `delays` are the seconds from the directory's answer to each change until the row could be read; `idle_cpu` is what
    the daemon uses while nothing changes, as a share of one core.
    """

    entries: int
    increments: list[Increment]
    delays: list[float]
    idle_cpu: float

    @property
    def ratio(self) -> Spread:
        """The runs' time in that of the full run just before."""
        return Spread.of([made.seconds / made.full for made in self.increments])

    @property
    def seconds(self) -> Spread:
        """How long the runs took."""
        return Spread.of([made.seconds for made in self.increments])

    def delay(self, share: float) -> float | None:
        """The delay that so many of them (0 to 1) do not exceed."""
        return sorted(self.delays)[min(len(self.delays) - 1, int(share * len(self.delays)))] if self.delays else None


@dataclass(frozen=True)
class Results:
    """Everything."""

    machine: dict[str, str]
    options: dict[str, str]
    entries: int
    sizes: list[Size]
    rivals: list[Rival]
    folders: Folders | None
    following: list[Following] = field(default_factory=list)

    @property
    def main(self) -> Size:
        """The size that everything is measured at."""
        return next(size for size in self.sizes if size.entries == self.entries)
