"""Text for people in a terminal or a pipe, and JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.text import Text

from contactsync.text import MOMENT, printable, printable_json

if TYPE_CHECKING:
    from rich.console import Console

GAP = "  "
_LONGEST_WORD = 20
NOTHING = "-"
"""A table's cell without a value."""

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def show_json(console: Console, document: Any) -> None:
    """Print one JSON document; times are ISO 8601 with their offset."""
    text = json.dumps(document, indent=2, ensure_ascii=False, default=_json_value)
    console.out(printable_json(text), highlight=False)


def show_text(console: Console, text: str, *, style: str = "") -> None:
    """Print one or more sentences: wrapped in a terminal, one line elsewhere."""
    console.print(Text(printable(text), style=style), soft_wrap=not console.is_terminal)


def show_pairs(console: Console, pairs: Mapping[str, str]) -> None:
    """Print names and values, one pair on a line."""
    width = max(map(len, pairs))
    for name, value in pairs.items():
        show_value(console, Text(f"{name:<{width}}{GAP}", style="bold"), printable(value))


def show_value(console: Console, head: Text, value: str) -> None:
    """Print a value after its heading; in a terminal it is wrapped in a column of its own.

    It goes below its heading if only there a word fits the width.
    """
    if not console.is_terminal:
        console.print(Text.assemble(head, value), soft_wrap=True)
        return
    indent = head.cell_len
    if longest_word(value, limit=console.width) > console.width - indent > 0 and indent > len(GAP):
        head.rstrip()
        console.print(head, soft_wrap=True)
        head, indent = Text(GAP), len(GAP)
    for line in Text(value).wrap(console, max(console.width - indent, 20)):
        console.print(Text.assemble(head, line), soft_wrap=True)
        head = Text(" " * indent)


def longest_word(text: str, *, limit: int = _LONGEST_WORD) -> int:
    """The width of the longest word of at most `limit` cells; longer ones are addresses and names of entries."""
    return max((min(width, limit) for width in map(cell_len, text.split())), default=0)


def at(moment: str) -> str:
    """A moment of a document, in the time zone of this machine."""
    return f"{datetime.fromisoformat(moment).astimezone():{MOMENT}}"


def ago(moment: str | None) -> str:
    """The time since a moment of a document, rounded down: `12 min ago`."""
    return NOTHING if moment is None else f"{_rounded(datetime.now(UTC) - datetime.fromisoformat(moment))} ago"


def until(moment: str | None) -> str:
    """The time until a moment of a document, rounded down: `in 12 min`; `due` if the moment has passed."""
    if moment is None:
        return NOTHING
    left = datetime.fromisoformat(moment) - datetime.now(UTC)
    return f"in {_rounded(left)}" if left > timedelta(0) else "due"


def _rounded(span: timedelta) -> str:
    seconds = max(int(span.total_seconds()), 0)
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= size), _UNITS[-1])
    return f"{seconds // size} {unit}"


def _json_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    message = f"{type(value).__name__} has no form in JSON"
    raise TypeError(message)
