"""The demo's output: numbered steps, prose in 80 columns, command lines to copy, changes as before and after."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from itertools import takewhile
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from contactsync.demo.comparison import Change
from contactsync.demo.database import Recorded
from contactsync.text import printable

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
    """Writes to one console; nothing in a text is taken for markup."""

    def __init__(self, console: Console) -> None:
        self._console = console
        if isinstance(console.file, io.TextIOWrapper):
            # A question mark for what the terminal's encoding lacks, in place of an error.
            console.file.reconfigure(errors="replace")
        self._step = 0
        self._under_heading = True

    @property
    def in_terminal(self) -> bool:
        """Whether the output goes to a terminal, whatever FORCE_COLOR says."""
        return self._console.file.isatty()

    def step(self, title: str) -> None:
        """The heading of the next step."""
        self._step += 1
        self._console.print(Text(f"\n{self._step}. {title}", style="bold"))
        self._under_heading = True

    def say(self, text: str) -> None:
        """A paragraph; nothing if the text is empty."""
        if text:
            self._print(Text(printable(text)))

    def command(self, pieces: Sequence[str]) -> None:
        """A command line to copy, with line breaks between its pieces only."""
        lines: list[str] = []
        for piece in pieces:
            if lines and cell_len(lines[-1]) + cell_len(piece) + 1 <= self._width - _COMMAND_INDENT:
                lines[-1] += f" {piece}"
            else:
                lines.append(piece)
        self.output("$ " + " \\\n    ".join(lines), style="cyan")

    def output(self, text: str, *, style: str = "dim") -> None:
        """The output of a command, line by line."""
        self._gap()
        for line in text.splitlines():
            self._console.print(Text(" " * (_INDENT + 2) + printable(line), style=style), soft_wrap=True)

    def points(self, *texts: str) -> None:
        """A list of paragraphs."""
        table = Table.grid(padding=(0, 1, 0, 0))
        for text in texts:
            table.add_row("-", Text(printable(text)))
        self._print(table)

    def quote(self, text: str) -> None:
        """A paragraph that the demo has not written."""
        self._print(Text(printable(text), style="dim"), left=_INDENT + 2)

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool = False) -> None:
        """Rows under headings; with `numbers` all columns but the first are aligned to the right."""
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
        for place, heading in enumerate(headings):
            table.add_column(heading, justify="right" if numbers and place else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        self._print(table)

    def changes(self, changes: Iterable[Change], since: datetime) -> None:
        """Changes of contacts, and how long after `since` they were there."""
        self._gap()
        for change in changes:
            seconds = max(0.0, (change.finished_at - since).total_seconds())
            self._change(change, f"run {change.run_id}, after {seconds:.1f} s")

    def recorded(self, recorded: Recorded) -> None:
        """A recorded change in one line."""
        sign, style = _SIGNS[recorded.action]
        fields = sorted((recorded.changes or {}).items()) if recorded.action == "update" else ()
        changes = "; ".join(f"{name}: {_before_after(name, *pair)}" for name, pair in fields)
        who = f"{sign} {recorded.label} {recorded.contact_id} {recorded.display_name}"
        self.line(f"{recorded.finished_at.astimezone():%H:%M:%S}  {who}  {changes}", style=style)

    def line(self, text: str, *, style: str = "") -> None:
        """One line of a running report, cut at the width of the terminal."""
        self._console.print(Text(printable(text), style=style), no_wrap=True, overflow="ellipsis")

    def waiting(self, text: str) -> AbstractContextManager[object]:
        """A spinner during a block, in a terminal."""
        return self._console.status(text, spinner="line") if self.in_terminal else nullcontext()

    def _change(self, change: Change, when: str) -> None:
        sign, style = _SIGNS[change.action]
        head = f"{sign} {change.label}  id {change.contact_id}  {printable(change.name)}"
        room = self._width - _INDENT - cell_len(head) - len(when)
        self._console.print(Text(" " * _INDENT).append(head, style).append(" " * max(room, 2) + when, "dim"))
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, style="dim")
        table.add_column(overflow="fold")
        for name, text in _shown_fields(change):
            table.add_row(name, Text(text))
        if table.rows:
            self._print(table, left=_INDENT + 4, gap=False)

    def _print(self, what: Any, *, left: int = _INDENT, gap: bool = True) -> None:
        if gap:
            self._gap()
        padded = Padding(what, (0, 0, 0, left))
        if self.in_terminal:
            self._console.print(padded, width=self._width)
            return
        # Rich fills lines up with spaces, which are of no use in a file.
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


def _shown_fields(change: Change) -> list[tuple[str, str]]:
    """The fields to show and their texts: the most important ones of a new contact, none of a deleted one."""
    if change.action == "insert":
        return [(name, _value_text(change.fields[name][1])) for name in _SHOWN_OF_NEW if name in change.fields]
    if change.action == "delete":
        return []
    texts = [(name, _before_after(name, *pair)) for name, pair in sorted(change.fields.items())]
    return [(name, text if cell_len(text) <= _ONE_LINE else text.replace(" -> ", "\n-> ")) for name, text in texts]


def _before_after(name: str, old: Any, new: Any) -> str:
    """`before -> after`; of two DNs without their common end."""
    if name == "source_dn":
        old, new = _without_common_end(old.split(","), new.split(","))
    return f"{_value_text(old)} -> {_value_text(new)}"


def _value_text(value: Any) -> str:
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    text = str(value or "(blank)")
    if text.startswith(r"\x"):  # bytea, as JSON has it
        return f"{text[2 : 2 + _SHOWN_OCTETS]}..."
    return printable(text)


def _without_common_end(one: list[str], other: list[str]) -> tuple[str, str]:
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(reversed(one), reversed(other), strict=False)))
    end = ["..."] if same else []
    return ",".join(one[: len(one) - same] + end), ",".join(other[: len(other) - same] + end)
