"""`contactsync check`: the result of each step, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from contactsync.bootstrap import build_runner, run_options
from contactsync.checks.check import TITLES, check
from contactsync.checks.document import CheckDocument
from contactsync.checks.result import Status, StepResult
from contactsync.cli.changes import draft_of
from contactsync.cli.errors import ExitCode
from contactsync.cli.output.tables import show_table
from contactsync.cli.output.text import NOTHING, show_json, show_text
from contactsync.text import counted, printable

if TYPE_CHECKING:
    from rich.console import Console

    from contactsync.checks.context import Preview
    from contactsync.cli.context import Invocation
    from contactsync.cli.options import DefinitionOptions
    from contactsync.operations.preview import Draft

_MARKS = {Status.OK: "✓", Status.WARNING: "!", Status.FAILED: "✗", Status.SKIPPED: "–"}  # noqa: RUF001 -- a dash
_STYLES = {Status.OK: "green", Status.WARNING: "yellow", Status.FAILED: "red", Status.SKIPPED: "dim"}
_TITLE_WIDTH = max(map(len, TITLES.values()))
_COLUMNS = ("Name", "Email", "Phone", "Department")
_INDENT = " " * 9  # the width of the longest status and its space


def check_folder(
    invocation: Invocation, name: str | None, query: str | None, options: DefinitionOptions, *, as_json: bool
) -> int:
    """Print the result of each step; returns FAILED if one failed. Raises UsageError, MappingError, DatabaseError."""
    with draft_of(invocation, name, query, options) as (draft, pool):
        runner = None if pool is None else build_runner(invocation.settings, pool)
        preview = None if runner is None else lambda: draft.preview(runner, limit=0).report
        results = list(_run_steps(invocation, draft, preview, quiet=as_json))
    if as_json:
        show_json(invocation.out, CheckDocument.of(draft.label, results).model_dump())
    else:
        show_text(invocation.out, _summary(draft, results))
    return ExitCode.FAILED if any(result.status is Status.FAILED for result in results) else ExitCode.DONE


def _run_steps(invocation: Invocation, draft: Draft, preview: Preview | None, *, quiet: bool) -> Iterator[StepResult]:
    with _step_in_progress(invocation, quiet=quiet) as entering:
        # Again, because the display has replaced sys.stderr.
        invocation.log_quietly()
        options = run_options(invocation.settings)
        for result in check(draft.definition, draft.password, options, preview=preview, entering=entering):
            if not quiet:
                _show(invocation.out, result)
            yield result


@contextmanager
def _step_in_progress(invocation: Invocation, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    """A callback that shows the current step in a line of its own; no output outside a terminal."""
    if quiet or not invocation.out.is_terminal:
        yield lambda _name: None
        return
    with invocation.out.status("") as status:
        yield lambda name: status.update(f"{TITLES[name]} ...")


def _show(console: Console, result: StepResult) -> None:
    if console.is_terminal:
        console.print(_terminal_lines(console, result))
    else:
        lines = [f"{result.status.value:<8} {TITLES[result.name]}: {result.text}"]
        lines += [f"{_INDENT}{line}" for line in result.details]
        lines += [f"{_INDENT}-> {result.hint}"] if result.hint else []
        for line in lines:
            show_text(console, line)
    if contacts := result.data.get("contacts"):
        rows = [[contact[column.lower()] or NOTHING for column in _COLUMNS] for contact in contacts]
        show_table(console, _COLUMNS, rows)


def _terminal_lines(console: Console, result: StepResult) -> Table:
    """The mark, the title and the text of a step in three columns."""
    style = _STYLES[result.status]
    mark = result.status.value if console.options.ascii_only else _MARKS[result.status]
    grid = Table.grid(padding=(0, 1))
    grid.add_column()
    grid.add_column(width=_TITLE_WIDTH)
    grid.add_column(overflow="fold", ratio=1)
    text = Text(printable(result.text), style="dim" if result.status is Status.SKIPPED else "")
    grid.add_row(Text(mark, style=style), Text(TITLES[result.name], style="bold"), text)
    for line in result.details:
        grid.add_row("", "", Text(printable(line), style="dim"))
    if result.hint:
        grid.add_row("", "", Text(f"-> {printable(result.hint)}", style=style))
    return grid


def _summary(draft: Draft, results: list[StepResult]) -> str:
    label = draft.label or "The definition"
    failed = sum(result.status is Status.FAILED for result in results)
    warnings = sum(result.status is Status.WARNING for result in results)
    if failed:
        return f"{label} does not work: {counted(failed, 'step')} failed."
    if warnings:
        return f"{label} works, with {counted(warnings, 'warning')}."
    return f"{label} works."
