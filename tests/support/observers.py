"""Observers that act in the middle of a run."""

from __future__ import annotations

from collections.abc import Callable

from contactsync.model import Counts, RunReport
from contactsync.sync.observer import Observer

Progress = Callable[[str, Counts], object]


class Watcher(Observer):
    """Calls a function with the stage and the counts of a run."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def progress(self, report: RunReport, stage: str) -> None:
        """See Observer."""
        self._progress(stage, report.counts)


def once(stage: str, act: Callable[[], object], *, entries: int = 0) -> Progress:
    """Act the first time that a run is in a stage after so many entries."""
    acts = [act]

    def progress(entered: str, counts: Counts) -> None:
        if entered == stage and counts.entries >= entries and acts:
            acts.pop()()

    return progress
