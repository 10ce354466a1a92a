"""`contactsync check`: the result of each step, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from contactsync.cli.changes import send_draft
from contactsync.cli.errors import ExitCode
from contactsync.cli.output.tables import show_table
from contactsync.cli.output.text import NOTHING, show_json, show_text
from contactsync.text import counted, printable

if TYPE_CHECKING:
    from rich.console import Console

    from contactsync.cli.context import Invocation
    from contactsync.cli.options import DefinitionOptions

_MARKS = {"ok": "✓", "warning": "!", "failed": "✗", "skipped": "–"}  # noqa: RUF001 -- a dash
_STYLES = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "dim"}
_TITLE_WIDTH = len("Definition")
"""The longest title."""
_COLUMNS = ("Name", "Email", "Phone", "Department")
_INDENT = " " * 9  # the width of the longest status and its space


def check_folder(
    invocation: Invocation, name: str | None, query: str | None, options: DefinitionOptions, *, as_json: bool
) -> int:
    """Print the result of each step; returns FAILED if one failed. Raises UsageError, MappingError, DatabaseError."""
    with invocation.api() as api, invocation.err.status("checking ..."):
        document = send_draft(api, "/v1/check", name, query, options)
    if as_json:
        show_json(invocation.out, document)
    else:
        for step in document["steps"]:
            _show(invocation.out, step)
        show_text(invocation.out, _summary(document))
    return ExitCode.DONE if document["ok"] else ExitCode.FAILED


def _show(console: Console, step: Mapping[str, Any]) -> None:
    if console.is_terminal:
        console.print(_terminal_lines(console, step))
    else:
        lines = [f"{step['status']:<8} {step['title']}: {step['text']}"]
        lines += [f"{_INDENT}{line}" for line in step["details"]]
        lines += [f"{_INDENT}-> {step['hint']}"] if step["hint"] else []
        for line in lines:
            show_text(console, line)
    if contacts := step["data"].get("contacts"):
        rows = [[contact[column.lower()] or NOTHING for column in _COLUMNS] for contact in contacts]
        show_table(console, _COLUMNS, rows)


def _terminal_lines(console: Console, step: Mapping[str, Any]) -> Table:
    """The mark, the title and the text of a step in three columns."""
    status = step["status"]
    style = _STYLES[status]
    mark = status if console.options.ascii_only else _MARKS[status]
    grid = Table.grid(padding=(0, 1))
    grid.add_column()
    grid.add_column(width=_TITLE_WIDTH)
    grid.add_column(overflow="fold", ratio=1)
    text = Text(printable(step["text"]), style="dim" if status == "skipped" else "")
    grid.add_row(Text(mark, style=style), Text(step["title"], style="bold"), text)
    for line in step["details"]:
        grid.add_row("", "", Text(printable(line), style="dim"))
    if step["hint"]:
        grid.add_row("", "", Text(f"-> {printable(step['hint'])}", style=style))
    return grid


def _summary(document: Mapping[str, Any]) -> str:
    label = document["label"] or "The definition"
    numbers = Counter(step["status"] for step in document["steps"])
    if failed := numbers["failed"]:
        return f"{label} does not work: {counted(failed, 'step')} failed."
    if warnings := numbers["warning"]:
        return f"{label} works, with {counted(warnings, 'warning')}."
    return f"{label} works."
