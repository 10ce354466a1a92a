"""The progress of a run in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from contactsync.sync.observer import Observer
from contactsync.text import printable

if TYPE_CHECKING:
    from rich.console import Console

    from contactsync.model import FurtherAttempt, RunReport

_STAGES = {
    "connect": "connecting",
    "fingerprints": "reading the stored contacts",
    "search": "searching",
    "map": "searching",  # mapping and staging alternate with searching, page by page
    "stage": "searching",
    "plan": "comparing",
    "apply": "applying",
}


class RunProgress(Observer):
    """An observer of runs that shows nothing."""

    def progress(self, report: RunReport, stage: str) -> None:
        """See Observer."""
        self.show(stage, report.counts.entries, report.further_attempt)

    def show(self, stage: str, entries: int, attempt: FurtherAttempt | None) -> None:
        """Show the stage of a run and the number of entries read; after a failed attempt, the error of that."""


class _ProgressLine(RunProgress):
    def __init__(self, display: Progress, label: str) -> None:
        self._display = display
        self._name = printable(label)
        self._task = display.add_task(f"{self._name}: starting", total=None, entries="")

    def show(self, stage: str, entries: int, attempt: FurtherAttempt | None) -> None:
        """See RunProgress."""
        seconds = max(self._display.tasks[0].elapsed or 0, 0.1)
        read = f"{entries:,} entries, {entries / seconds:,.0f}/s" if entries else ""
        doing = _STAGES.get(stage, stage) if attempt is None else attempt_words(attempt)
        self._display.update(self._task, description=f"{self._name}: {doing}", entries=read)


def attempt_words(attempt: FurtherAttempt) -> str:
    """A further attempt in words: `attempt 2 of 4: dc1.example.com:636 closed the connection`."""
    return f"attempt {attempt.number} of {attempt.most}: {printable(attempt.error).rstrip('.')}"


@contextmanager
def run_progress(console: Console, label: str, *, quiet: bool) -> Iterator[RunProgress]:
    """An observer that shows a run in one line, which is erased at the end; no output outside a terminal."""
    if quiet or not console.is_terminal:
        yield RunProgress()
        return
    display = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        TextColumn("{task.fields[entries]}", markup=False),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    with display:
        yield _ProgressLine(display, label)
