"""What a process takes, and whether that grows; and what a daemon's log complains of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any

_MIB = 1 << 20
_MARGINS = {"memory": 12 * _MIB, "threads": 8, "sockets": 24, "files": 28}
"""Growth that is none: what the allocator keeps, a pool that is larger at one moment than at another."""
_SHARE = 0.1

QUARRELS = frozenset({"run.crashed", "control.crashed", "daemon.stuck", "schedule.trouble", "daemon.drain_exceeded"})
"""Events that no trouble of the servers explains."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """What a process takes at a moment: octets of memory, and numbers."""

    memory: int
    threads: int
    sockets: int
    files: int

    @classmethod
    def of(cls, pid: int) -> Vitals:
        """Of a process that runs."""
        place = Path(f"/proc/{pid}")
        status = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
        opened = [_target(file) for file in (place / "fd").iterdir()]
        sockets = sum(target.startswith("socket:") for target in opened)
        return cls(int(status["VmRSS"].split()[0]) * 1024, int(status["Threads"]), sockets, len(opened))

    def __str__(self) -> str:
        return f"{self.memory / _MIB:.1f} MiB, {self.threads} threads, {self.sockets} sockets, {self.files} files"


def _target(file: Path) -> str:
    try:
        return str(file.readlink())
    except FileNotFoundError:  # closed meanwhile
        return ""


def growth(seen: list[Vitals]) -> Iterator[str]:
    """What grew from the middle third of what was seen to the last: the first is for the warming up."""
    third = len(seen) // 3
    if not third:
        yield f"There were only {len(seen)} looks at the process: too few to say anything."
        return
    for name in (field.name for field in fields(Vitals)):
        before, after = (
            median(getattr(vitals, name) for vitals in some) for some in (seen[-2 * third : -third], seen[-third:])
        )
        if after > before * (1 + _SHARE) + _MARGINS[name]:
            yield f"The {name} grew from {before:,} to {after:,}: {', '.join(map(str, seen))}."


class Log:
    """What a daemon has written into its log, read once, as it grows."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._position = 0

    def skip(self) -> list[str]:
        """Read what is new, and give of it what nothing explains: what the servers cannot be the reason for."""
        return [line for line in self._new() if _is_quarrel(line)]

    def complaints(self) -> list[str]:
        """Read what is new, and give every warning and error of it, as when nothing is wrong with the servers."""
        return [line for line in self._new() if _parsed(line).get("level") in {None, "warning", "error", "critical"}]

    def _new(self) -> list[str]:
        with self._file.open("rb") as stream:
            stream.seek(self._position)
            whole, _, _ = stream.read().rpartition(b"\n")
        self._position += len(whole) + 1 if whole else 0
        return whole.decode().splitlines()


def _parsed(line: str) -> dict[str, Any]:
    try:
        parsed: dict[str, Any] = json.loads(line)
    except ValueError:
        return {}
    return parsed


def _is_quarrel(line: str) -> bool:
    parsed = _parsed(line)
    return not parsed or "exception" in parsed or parsed["event"] in QUARRELS or parsed.get("error_code") == "internal"
