"""Who is told how runs go, beside the record and the log: the event stream, the metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from contactsync.model import RunReport


class Observer(Protocol):
    """Is told how runs go, from their own threads: it must be quick and must not raise."""

    def started(self, report: RunReport) -> None:
        """A run began."""

    def progress(self, report: RunReport, stage: str) -> None:
        """A run enters a stage or got on in it; the report's counts say how far."""

    def finished(self, report: RunReport) -> None:
        """A run ended and is recorded."""


class NullObserver:
    """The observer for those who do not watch."""

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
