"""How the demo speaks: numbered steps, prose for 80 columns, command lines to copy, changes as before and after."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

    from contactsync.demo.assertions import Arrival
    from contactsync.demo.database import Recorded

WIDTH = 80
_SIGNS = {"insert": ("+", "green"), "update": ("~", "yellow"), "delete": ("-", "red")}
_SHOWN_OF_NEW = ("title", "emails", "mobile_phones")
_SHOWN_OCTETS = 8
_ONE_LINE = 56
"""Columns that are left beside the longest field's name."""
_INDENT = 3
_COMMAND_INDENT = _INDENT + 8
"""Columns taken by what stands before and after a line of a command."""


class Printer:
    """Writes to one console; text is never taken for markup."""

    def __init__(self, console: Console) -> None:
        self._console = console
        if isinstance(console.file, io.TextIOWrapper):
            # A question mark for what the terminal's encoding lacks is better than an end in the middle of a name.
            console.file.reconfigure(errors="replace")
        self._step = 0
        self._under_heading = True

    @property
    def in_terminal(self) -> bool:
        """Whether somebody watches, whatever is said about colours (FORCE_COLOR)."""
        return self._console.file.isatty()

    def step(self, title: str) -> None:
        """The heading of the next step."""
        self._step += 1
        self._console.print(Text(f"\n{self._step}. {title}", style="bold"))
        self._under_heading = True

    def say(self, text: str) -> None:
        """A paragraph, if there is anything to say."""
        if text:
            self._print(Text(shown(text)))

    def command(self, pieces: Sequence[str]) -> None:
        """A command line to copy, broken between its pieces; a piece that is longer than a line stays whole."""
        lines: list[str] = []
        for piece in pieces:
            if lines and cell_len(lines[-1]) + cell_len(piece) + 1 <= self._width - _COMMAND_INDENT:
                lines[-1] += f" {piece}"
            else:
                lines.append(piece)
        self._verbatim(("$ " + " \\\n    ".join(lines)).splitlines(), "cyan")

    def output(self, text: str) -> None:
        """What a command printed, line by line."""
        self._verbatim(text.splitlines(), "dim")

    def points(self, *texts: str) -> None:
        """Paragraphs that each stand for themselves."""
        table = Table.grid(padding=(0, 1, 0, 0))
        for text in texts:
            table.add_row("-", Text(shown(text)))
        self._print(table)

    def quote(self, text: str) -> None:
        """A paragraph that was not written by the demo."""
        self._print(Text(shown(text), style="dim"), left=_INDENT + 2)

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[str] = ()) -> None:
        """Rows under headings; the columns named in `numbers` are aligned to the right."""
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
        for heading in headings:
            table.add_column(heading, justify="right" if heading in numbers else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(shown(cell)) for cell in row))
        self._print(table)

    def arrivals(self, found: Iterable[Arrival], done: datetime) -> None:
        """Changes that arrived, and how long after `done`."""
        self._gap()
        for arrival in found:
            seconds = max(0.0, (arrival.finished_at - done).total_seconds())
            self._arrival(arrival, f"run {arrival.run_id}, after {seconds:.1f} s")

    def recorded(self, entry: Recorded) -> None:
        """A recorded change in one line."""
        sign, style = _SIGNS[entry.action]
        changes = "; ".join(
            f"{name}: {before_after(name, *pair)}"
            for name, pair in sorted((entry.changes or {}).items())
            if entry.action == "update"
        )
        who = f"{sign} {entry.label} {entry.contact_id} {entry.display_name}"
        self.line(f"{entry.finished_at.astimezone():%H:%M:%S}  {who}  {changes}", style=style)

    def line(self, text: str, *, style: str = "") -> None:
        """One line of a running report, cut at the width of the terminal."""
        self._console.print(Text(shown(text), style=style), no_wrap=True, overflow="ellipsis")

    def waiting(self, text: str) -> AbstractContextManager[object]:
        """A sign of life while there is nothing to see; for those who watch only."""
        return self._console.status(text, spinner="line") if self.in_terminal else nullcontext()

    def _arrival(self, arrival: Arrival, when: str) -> None:
        sign, style = _SIGNS[arrival.action]
        head = f"{sign} {arrival.label}  id {arrival.contact_id}  {shown(arrival.name)}"
        room = self._width - _INDENT - cell_len(head) - len(when)
        self._console.print(Text(" " * _INDENT).append(head, style).append(" " * max(room, 2) + when, "dim"))
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, style="dim")
        table.add_column(overflow="fold")
        for name, change in changed_fields(arrival):
            table.add_row(name, Text(change))
        if table.rows:
            self._print(table, left=_INDENT + 4, gap=False)

    def _verbatim(self, lines: Iterable[str], style: str) -> None:
        self._gap()
        for line in lines:
            self._console.print(Text(" " * (_INDENT + 2) + shown(line), style=style), soft_wrap=True)

    def _print(self, what: Any, *, left: int = _INDENT, gap: bool = True) -> None:
        if gap:
            self._gap()
        padded = Padding(what, (0, 0, 0, left))
        if self.in_terminal:
            self._console.print(padded, width=self._width)
            return
        # Rich fills lines up with spaces, which only get in the way in a file.
        with self._console.capture() as captured:
            self._console.print(padded, width=self._width)
        for line in captured.get().splitlines():
            self._console.out(line.rstrip(), highlight=False)

    def _gap(self) -> None:
        """An empty line between two blocks of a step."""
        if not self._under_heading:
            self._console.print()
        self._under_heading = False

    @property
    def _width(self) -> int:
        return min(self._console.width, WIDTH)


def changed_fields(arrival: Arrival) -> list[tuple[str, str]]:
    """Field and what became of it; of a new contact just what one looks for first, of one that left nothing."""
    if arrival.action == "insert":
        return [(name, value_text(arrival.change[name][1])) for name in _SHOWN_OF_NEW if name in arrival.change]
    if arrival.action == "delete":
        return []
    changes = [(name, before_after(name, *pair)) for name, pair in sorted(arrival.change.items())]
    return [(name, text if cell_len(text) <= _ONE_LINE else text.replace(" -> ", "\n-> ")) for name, text in changes]


def before_after(name: str, old: Any, new: Any) -> str:
    """`before -> after`; of two DNs without what they have in common at the end."""
    if name == "source_dn":
        old, new = _without_common_end(old.split(","), new.split(","))
    return f"{value_text(old)} -> {value_text(new)}"


def value_text(value: Any) -> str:
    """A field's value on one line."""
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    text = str(value or "(blank)")
    if text.startswith(r"\x"):  # bytea, as JSON has it
        return f"{text[2 : 2 + _SHOWN_OCTETS]}..."
    return shown(text)


def shown(text: str) -> str:
    """The text without anything that a terminal would obey instead of show."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _without_common_end(one: list[str], other: list[str]) -> tuple[str, str]:
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(reversed(one), reversed(other), strict=False)))
    end = ["..."] if same else []
    return ",".join(one[: len(one) - same] + end), ",".join(other[: len(other) - same] + end)
