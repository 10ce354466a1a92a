"""The results of a fleet as plain data, as written to fleet.json."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.figures import Figure


@dataclass(frozen=True)
class Harmed:
    """Runs while nodes were harmed: how many of each kind, in how many seconds."""

    runs: int
    seconds: float
    harms: dict[str, int]
    changes: int
    requests: int
    figures: list[Figure]


@dataclass(frozen=True)
class Round:
    """A run of each of many small folders, requested at once; `nodes` is 0 for a daemon without a fleet.

    `cpu` has the processor seconds of the daemons, of PostgreSQL and of the directories.
    """

    nodes: int
    runs: int
    seconds: float
    cpu: dict[str, float]

    @property
    def runs_per_second(self) -> float:
        """Runs per second."""
        return self.runs / self.seconds


@dataclass(frozen=True)
class QueueSize:
    """Octets of the queue's tables and indexes after so many jobs."""

    jobs: int
    octets: dict[str, int]


@dataclass(frozen=True)
class Queue:
    """How the tables of the queue grow: `naptime` is the median of the seconds between two looks of autovacuum."""

    jobs_per_second: float
    naptime: float
    sizes: list[QueueSize]
    vacuums: int


@dataclass(frozen=True)
class FleetResults:
    """All results of a fleet."""

    machine: dict[str, str]
    options: dict[str, str]
    figures: list[Figure] = field(default_factory=list)
    harmed: Harmed | None = None
    rounds: list[Round] = field(default_factory=list)
    queue: Queue | None = None
