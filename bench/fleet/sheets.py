"""The tables of the page, as headings and rows of text."""

from __future__ import annotations

import os
from collections.abc import Sequence

from bench.figures import figures_sheet
from bench.fleet.queue_tables import RATE
from bench.fleet.results import FleetResults, Harmed, Queue, Round
from bench.sheets import Sheet

_LIMITS_NOTE = (
    "Three nodes as processes. A limit is for the greatest value. A proxy before each directory counts searches."
)


def sheets(results: FleetResults) -> list[Sheet]:
    """All tables, in their order."""
    figures = [*(results.harmed.figures if results.harmed else []), *results.figures]
    made = [figures_sheet("Limits", _LIMITS_NOTE, figures)]
    made += [_harmed(results.harmed)] if results.harmed else []
    made += [_rounds(results.rounds)] if results.rounds else []
    return made + ([_queue(results.queue)] if results.queue else [])


def _harmed(harmed: Harmed) -> Sheet:
    rows = [(kind, f"{number}") for kind, number in harmed.harms.items()]
    note = (
        f"{harmed.runs:,} runs in {harmed.seconds:.0f} seconds, with {harmed.changes:,} changes in the directories and"
        f" {harmed.requests:,} requests by SQL meanwhile. In the end, every contact equalled its entry."
    )
    return Sheet("Harms", note, ("harm", "times"), rows)


def _rounds(rounds: Sequence[Round]) -> Sheet:
    processors = os.cpu_count() or 1
    rows = []
    for made in rounds:
        each = {what: seconds / made.runs * 1000 for what, seconds in made.cpu.items()}
        busy = sum(made.cpu.values()) / made.seconds / processors
        name = f"{made.nodes} of a fleet" if made.nodes else "1 without a fleet"
        rows.append((name, f"{made.runs_per_second:.0f}", *(f"{cost:.1f}" for cost in each.values()), f"{busy:.0%}"))
    return Sheet(
        "Small folders, by the number of nodes",
        f"A run without changes of each of {rounds[0].runs:,} folders of twenty people, requested at once: processor"
        f" milliseconds of each run, and the share of the {processors} processors that these used together. The folders"
        " are on two directories, so at most eight runs are in progress, whatever the number of nodes.",
        ("nodes", "runs a second", *(f"{what}, ms" for what in rounds[0].cpu), "of the processors"),
        rows,
    )


def _queue(queue: Queue) -> Sheet:
    names = list(queue.sizes[-1].octets)
    rows = [
        (f"{size.jobs:,}", f"{size.jobs / RATE / 60:.0f}", *(f"{size.octets[name] / 1024:,.0f}" for name in names))
        for size in queue.sizes
    ]
    note = (
        f"KiB of each table with its indexes, at {queue.jobs_per_second:.0f} jobs a second; autovacuum looked every"
        f" {queue.naptime:.0f} seconds, as often for each job as at {RATE:.0f} a second, and vacuumed"
        f" {queue.vacuums} times."
    )
    heads = (name.removeprefix("procrastinate_") for name in names)
    return Sheet("The tables of the queue", note, ("jobs", f"minutes at {RATE:.0f} a second", *heads), rows)
