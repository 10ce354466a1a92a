"""Writes the results: results.json for programs, results.md for readers, and tables for the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from bench.results import Results
from bench.sheets import Sheet, sheets
from bench.targets import targets
from bench.terminal import console


def show(results: Results) -> None:
    """Print the tables."""
    print_sheets(sheets(results))


def print_sheets(made: Iterable[Sheet]) -> None:
    """Print some tables."""
    for sheet in made:
        table = Table(*sheet.headings, title=sheet.title, caption=sheet.note)
        for row in sheet.rows:
            table.add_row(*row)
        console.print(table)


def write(results: Results, folder: Path) -> None:
    """Write results.json and results.md."""
    document = asdict(results) | {"targets": [asdict(target) for target in targets(results)]}
    (folder / "results.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    head = "# What was measured\n\n`make bench` writes this page; [Performance](../performance.md) explains it."
    (folder / "results.md").write_text(page(head, results.machine | results.options, sheets(results)), encoding="utf-8")


def page(head: str, facts: Mapping[str, str], made: Iterable[Sheet]) -> str:
    """A page with a table of facts, and some other tables."""
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    return "\n".join([f"{head}\n\n| on | |\n| --- | --- |\n{rows}\n", *map(_markdown, made)])


def _markdown(sheet: Sheet) -> str:
    lines = map(_line, (sheet.headings, ("---",) * len(sheet.headings), *sheet.rows))
    return f"## {sheet.title}\n\n{sheet.note}\n\n" + "\n".join(lines) + "\n"


def _line(cells: tuple[str, ...]) -> str:
    whole = " | ".join(cell.replace("|", r"\|") for cell in cells)
    return f"| {whole} |"
