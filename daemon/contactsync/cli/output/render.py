"""How results look: tables in a terminal, plain aligned text elsewhere, one JSON document for scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from contactsync.text import printable, printable_json

if TYPE_CHECKING:
    from rich.console import Console

GAP = "  "
NOTHING = "-"
"""Stands in a table where there is no value."""

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def show_json(console: Console, document: Any) -> None:
    """One JSON document; times are ISO 8601 with their offset."""
    text = json.dumps(document, indent=2, ensure_ascii=False, default=_json_value)
    console.out(printable_json(text), highlight=False)


def show_table(
    console: Console,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: Sequence[str] = (),
    styles: Mapping[str, str] | None = None,
) -> None:
    """Rows under headings; the columns named in `numbers` are aligned to the right.

    In a terminal, long cells are folded to its width, and a cell that is a key of `styles` gets that style. Elsewhere
    each row is one line, whole.
    """
    shown = [[printable(cell) for cell in row] for row in rows]
    if console.is_terminal:
        console.print(_terminal_table(columns, shown, numbers, styles or {}))
        return
    for line in _plain_lines([list(columns), *shown], [column in numbers for column in columns]):
        console.out(line, highlight=False)


def show_pairs(console: Console, pairs: Mapping[str, str]) -> None:
    """Names and values, one pair on a line."""
    width = max(map(len, pairs))
    for name, value in pairs.items():
        line = Text(f"{name:<{width}}{GAP}", style="bold")
        line.append(printable(value), style="not bold")
        console.print(line, soft_wrap=not console.is_terminal)


def show_text(console: Console, text: str, *, style: str = "") -> None:
    """A sentence or several; wrapped in a terminal, one line elsewhere."""
    console.print(Text(printable(text), style=style), soft_wrap=not console.is_terminal)


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago, roughly: `12 min ago`."""
    return NOTHING if moment is None else f"{_roughly((now or datetime.now(UTC)) - moment)} ago"


def until(moment: datetime | None, now: datetime | None = None) -> str:
    """How long until then, roughly: `in 12 min`; `due` when the moment is over."""
    if moment is None:
        return NOTHING
    left = moment - (now or datetime.now(UTC))
    return f"in {_roughly(left)}" if left > timedelta(0) else "due"


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: `1 contact`, `2,000 contacts`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _roughly(span: timedelta) -> str:
    seconds = max(int(span.total_seconds()), 0)
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= size), _UNITS[-1])
    return f"{seconds // size} {unit}"


def _terminal_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str], styles: Mapping[str, str]
) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=styles.get(cell, "")) for cell in row))
    return table


def _plain_lines(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return [
        GAP.join(
            _padded(cell, width, right=to_right) for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    ]


def _padded(cell: str, width: int, *, right: bool) -> str:
    space = " " * (width - cell_len(cell))
    return space + cell if right else cell + space


def _json_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    message = f"{type(value).__name__} has no form in JSON"
    raise TypeError(message)
