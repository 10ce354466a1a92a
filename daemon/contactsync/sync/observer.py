"""The observers of runs: the event stream, the metrics, the progress display."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from contactsync.model import RunReport


class Observer(Protocol):
    """Is called from the threads of the runs. A method must return at once and must not raise."""

    def started(self, report: RunReport) -> None:
        """A run has started."""

    def progress(self, report: RunReport, stage: str) -> None:
        """A run has entered a stage or made progress in it; the report has the counts so far."""

    def finished(self, report: RunReport) -> None:
        """A run has ended and is recorded."""


class NullObserver:
    """An observer that ignores every call."""

    def started(self, report: RunReport) -> None:
        """See Observer."""

    def progress(self, report: RunReport, stage: str) -> None:
        """See Observer."""

    def finished(self, report: RunReport) -> None:
        """See Observer."""


@dataclass(frozen=True, slots=True)
class ObserverGroup:
    """Several observers as one."""

    observers: tuple[Observer, ...]

    def started(self, report: RunReport) -> None:
        """See Observer."""
        for observer in self.observers:
            observer.started(report)

    def progress(self, report: RunReport, stage: str) -> None:
        """See Observer."""
        for observer in self.observers:
            observer.progress(report, stage)

    def finished(self, report: RunReport) -> None:
        """See Observer."""
        for observer in self.observers:
            observer.finished(report)
