"""The whole part: what is measured of the console, and its page."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.figures import Figure, figures_sheet
from bench.machine import describe
from bench.report import page, print_sheets
from bench.sheets import Sheet
from bench.web.lighthouse import measure_lighthouse
from bench.web.load import measure_answers, measure_memory
from bench.web.scene import web_scene
from bench.web.visits import measure_visits
from bench.web.watchers import measure_watchers


@dataclass(frozen=True)
class WebResults:
    """All results of the console."""

    machine: dict[str, str]
    options: dict[str, str]
    figures: list[Figure]


def measure_web(options: argparse.Namespace) -> WebResults:
    """Measure everything. `options` are those of the command whose names begin with web."""
    machine = describe()
    with web_scene(options.web_contacts, options.web_folders) as scene:
        machine["PostgreSQL"] = scene.postgresql
        figures = [
            *measure_visits(scene),
            *measure_answers(scene),
            *measure_watchers(scene, options.web_watchers),
            *measure_lighthouse(scene),
            measure_memory(scene),
        ]
    written = {name.replace("_", " "): f"{value:,}" for name, value in vars(options).items() if name.startswith("web_")}
    return WebResults(machine, written, figures)


def write(results: WebResults, folder: Path) -> None:
    """Write web.json and web.md."""
    document = asdict(results)
    for made, figure in zip(document["figures"], results.figures, strict=True):
        made["met"] = figure.met
    text = json.dumps(document, indent=2, ensure_ascii=False)
    (folder / "web.json").write_text(f"{text}\n", encoding="utf-8")
    head = "# The web console, measured\n\n`make bench` writes this page; [Performance](../performance.md) explains it."
    (folder / "web.md").write_text(page(head, results.machine | results.options, _sheets(results)), encoding="utf-8")


def show(results: WebResults) -> None:
    """Print the table."""
    print_sheets(_sheets(results))


def _sheets(results: WebResults) -> list[Sheet]:
    note = "The browser, the console, the daemon, PostgreSQL and the directory share one machine."
    note += " A limit is for the worst value."
    if not any("Lighthouse" in each.what for each in results.figures):
        note += " Lighthouse was not measured."
    return [figures_sheet("Limits", note, results.figures)]
