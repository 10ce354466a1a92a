"""Tables: fitted to the width of a terminal, one whole line for each row elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from contactsync.cli.output.text import GAP, NOTHING, ago, longest_word
from contactsync.text import printable

if TYPE_CHECKING:
    from rich.console import Console

_RUN_NUMBERS = ("Run", "Entries", "New", "Changed", "Gone", "Rejected", "Secs")
_RUN_STYLES = {"held": "yellow", "failed": "red", "interrupted": "yellow", "cancelled": "yellow", "running": "bold"}


def show_table(
    console: Console,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: Sequence[str] = (),
    styles: Mapping[str, str] | None = None,
) -> None:
    """Print rows under headings; columns in `numbers` are right-aligned, a cell that is a key of `styles` is styled.

    In a terminal that is too narrow for whole words each row becomes a paragraph.
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    if console.is_terminal:
        widths = _widths(columns, rows, console.width)
        if widths is None:
            _show_records(console, columns, rows, styles or {})
        else:
            console.print(_terminal_table(columns, rows, numbers, styles or {}, widths))
        return
    widths = [max(map(cell_len, column)) for column in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        cells = [
            _padded(cell, width, right=column in numbers)
            for column, cell, width in zip(columns, row, widths, strict=True)
        ]
        console.out(GAP.join(cells).rstrip(), highlight=False)


def show_runs(console: Console, runs: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print documents of recorded runs; `columns` are some of the keys of `_run_cells`."""
    cells = [_run_cells(run) for run in runs]
    rows = [[row[column] for column in columns] for row in cells]
    show_table(console, columns, rows, numbers=_RUN_NUMBERS, styles=_RUN_STYLES)


def _run_cells(run: Mapping[str, Any]) -> dict[str, str]:
    return {
        "Run": str(run["run_id"]),
        "Folder": run["label"],
        "Started": ago(run["started_at"]),
        "Trigger": run["trigger"],
        "Outcome": run["outcome"] or "running",
        "Entries": f"{run['entries']:,}",
        "New": f"{run['inserted']:,}",
        "Changed": f"{run['updated']:,}",
        "Gone": f"{run['deleted']:,}",
        "Rejected": f"{run['rejected']:,}",
        "Secs": f"{run['seconds']:.1f}" if run["outcome"] else NOTHING,
    }


def _terminal_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    numbers: Sequence[str],
    styles: Mapping[str, str],
    widths: Sequence[int],
) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for column, width in zip(columns, widths, strict=True):
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold", width=width)
    for row in rows:
        table.add_row(*(Text(cell, style=styles.get(cell, "")) for cell in row))
    return table


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]], available: int) -> list[int] | None:
    """The width of each column in a terminal that leaves words whole; None if it is too narrow for that."""
    cells = [list(column) for column in zip(columns, *rows, strict=True)]
    widths = [max(map(cell_len, column)) for column in cells]
    least = [max(longest_word(cell) for cell in column) for column in cells]
    available -= len(GAP) * len(columns)
    if sum(least) > available:
        return None
    while sum(widths) > available:
        spare = [width - minimum for width, minimum in zip(widths, least, strict=True)]
        widths[spare.index(max(spare))] -= 1
    return widths


def _show_records(
    console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]], styles: Mapping[str, str]
) -> None:
    """Print each row as a paragraph: its first cell, and the others with their headings."""
    for row in rows:
        console.print(Text(f"{columns[0]} {row[0]}", style="bold"))
        text = Text()
        for column, cell in zip(columns[1:], row[1:], strict=True):
            text.append(", " if text else "")
            text.append(f"{column.lower()} ")
            text.append(cell, style=styles.get(cell, ""))
        for line in text.wrap(console, max(console.width - len(GAP), 1)):
            console.print(Text.assemble(GAP, line), soft_wrap=True)


def _padded(cell: str, width: int, *, right: bool) -> str:
    space = " " * (width - cell_len(cell))
    return space + cell if right else cell + space
