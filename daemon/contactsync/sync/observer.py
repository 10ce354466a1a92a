"""The observers of runs: the event stream, the metrics, the progress display."""

from __future__ import annotations

from contactsync.model import RunReport


class Observer:
    """Is called from the threads of runs. A method must return at once and must not raise; these do nothing."""

    def started(self, report: RunReport) -> None:
        """A run has started."""

    def progress(self, report: RunReport, stage: str) -> None:
        """A run has entered a stage or made progress in it; the report has the counts so far.

        `retry` is the pause before a further attempt.
        """

    def finished(self, report: RunReport) -> None:
        """A run has ended and is recorded."""


class ObserverGroup(Observer):
    """Several observers as one."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def started(self, report: RunReport) -> None:
        """See Observer."""
        for observer in self._observers:
            observer.started(report)

    def progress(self, report: RunReport, stage: str) -> None:
        """See Observer."""
        for observer in self._observers:
            observer.progress(report, stage)

    def finished(self, report: RunReport) -> None:
        """See Observer."""
        for observer in self._observers:
            observer.finished(report)
