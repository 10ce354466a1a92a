"""Whether the parts of the daemon live and get on; pure, so that every verdict can be tested."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A thread, or several of one kind."""

    name: str
    alive: bool
    """Whether every one of its threads is there."""
    silent_seconds: float = 0
    """For how long it has owed a sign of progress; 0 while it owes none, however long its work takes."""
    allowed_seconds: float = 0
    """How long it may owe one."""


def troubles(parts: Iterable[Part]) -> list[str]:
    """A clause for each part that ended or is stuck; none means that the daemon does its work."""
    return [clause for part in parts if (clause := _trouble(part))]


def _trouble(part: Part) -> str | None:
    if not part.alive:
        return f"{part.name} ended"
    if part.silent_seconds > part.allowed_seconds:
        return f"{part.name} has been stuck for {part.silent_seconds:.0f} seconds"
    return None
