"""What a person sees while a run goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from contactsync.text import printable

if TYPE_CHECKING:
    from rich.console import Console

    from contactsync.model import Counts
    from contactsync.sync.run import Progress as Callback

DOING = {
    "connect": "connecting",
    "fingerprints": "reading what is known",
    "search": "searching",
    "map": "searching",
    "stage": "searching",
    "plan": "comparing",
    "apply": "applying",
}
"""What people read for a stage; mapping and staging take turns with searching, page by page."""


@contextmanager
def run_progress(console: Console, label: str, *, quiet: bool) -> Iterator[Callback]:
    """A callback for a run that keeps one line up to date, and takes it away at the end; nothing outside a terminal."""
    if quiet or not console.is_terminal:
        yield _ignore
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
        shown = printable(label)
        task = display.add_task(f"{shown}: starting", total=None, entries="")

        def update(stage: str, counts: Counts) -> None:
            elapsed = display.tasks[0].elapsed or 0
            display.update(task, description=f"{shown}: {DOING.get(stage, stage)}", entries=_entries(counts, elapsed))

        yield update


def _ignore(_stage: str, _counts: Counts) -> None:
    """For those who do not watch."""


def _entries(counts: Counts, seconds: float) -> str:
    if not counts.entries:
        return ""
    return f"{counts.entries:,} entries, {counts.entries / max(seconds, 0.1):,.0f}/s"
