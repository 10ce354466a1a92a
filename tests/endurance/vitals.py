"""The resources of a process and their growth, and the complaints in a daemon's log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any

_MIB = 1 << 20
_MARGINS = {"memory": 12 * _MIB, "threads": 8, "sockets": 24, "files": 28}
"""Not growth: what the allocator keeps, a pool that happens to be larger."""
_SHARE = 0.1

DEFECTS = frozenset({"run.crashed", "control.crashed", "daemon.stuck", "schedule.trouble", "daemon.drain_exceeded"})
"""Events that no failure of the servers explains."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """The resources of a process: octets of memory, and numbers."""

    memory: int
    threads: int
    sockets: int
    files: int

    @classmethod
    def of(cls, pid: int) -> Vitals:
        """Of a running process."""
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


def growth(measured: list[Vitals]) -> Iterator[str]:
    """What grew from the middle third of the measurements to the last; in the first third the process warms up."""
    third = len(measured) // 3
    if not third:
        yield f"There were only {len(measured)} measurements: too few to say anything."
        return
    for name in (field.name for field in fields(Vitals)):
        before, after = (
            median(getattr(vitals, name) for vitals in some)
            for some in (measured[-2 * third : -third], measured[-third:])
        )
        if after > before * (1 + _SHARE) + _MARGINS[name]:
            yield f"The {name} grew from {before:,} to {after:,}: {', '.join(map(str, measured))}."


class Log:
    """A daemon's log, of which each line is read once."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._position = 0

    def defects(self) -> list[str]:
        """Of the new lines, those that no failure of the servers explains."""
        return [line for line in self._new() if _is_defect(line)]

    def complaints(self) -> list[str]:
        """Of the new lines, every warning and error: complaints if no server fails."""
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


def _is_defect(line: str) -> bool:
    parsed = _parsed(line)
    return not parsed or "exception" in parsed or parsed["event"] in DEFECTS or parsed.get("error_code") == "internal"
