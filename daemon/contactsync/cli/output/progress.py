"""The progress of a run in a terminal."""

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

_STAGES = {
    "connect": "connecting",
    "fingerprints": "reading the stored contacts",
    "search": "searching",
    "map": "searching",  # mapping and staging alternate with searching, page by page
    "stage": "searching",
    "plan": "comparing",
    "apply": "applying",
}


@contextmanager
def run_progress(console: Console, label: str, *, quiet: bool) -> Iterator[Callback]:
    """A callback for a run that updates one line, which is erased at the end; no output outside a terminal."""
    if quiet or not console.is_terminal:
        yield lambda _stage, _counts: None
        return
    display = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        TextColumn("{task.fields[entries]}", markup=False),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    name = printable(label)
    with display:
        task = display.add_task(f"{name}: starting", total=None, entries="")

        def update(stage: str, counts: Counts) -> None:
            seconds = max(display.tasks[0].elapsed or 0, 0.1)
            entries = f"{counts.entries:,} entries, {counts.entries / seconds:,.0f}/s" if counts.entries else ""
            display.update(task, description=f"{name}: {_STAGES.get(stage, stage)}", entries=entries)

        yield update
