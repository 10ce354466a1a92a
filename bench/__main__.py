"""Measures everything with the real daemon, a slapd and a PostgreSQL of its own.

    make bench
    .venv/bin/python -m bench --entries 10000 --sizes 1000,10000 --folders 100 --output /tmp/bench

    .venv/bin/python -m bench --only fleet --fleet-runs 10000 --fleet-harms 50 --output /tmp/bench
    .venv/bin/python -m bench --only definitions --definitions 100000 --output /tmp/bench
    .venv/bin/python -m bench --only web --web-contacts 1000 --web-folders 100 --output /tmp/bench

It writes results.json, results.md and the plots into docs/explanation/performance; for a fleet of daemons fleet.json
and fleet.md; for the web console web.json and web.md.
"""

from __future__ import annotations

import argparse
import signal
import sys
from functools import partial
from pathlib import Path

from bench import many_definitions
from bench.directory import Staff, ldif
from bench.doubling import measure_doubling
from bench.fleet import part as fleet
from bench.increments import measure_increments
from bench.machine import describe
from bench.main_job import measure_size
from bench.many_folders import measure_folders
from bench.others import measure_rivals
from bench.plots import draw
from bench.report import show, write
from bench.results import Results, Rival, Size
from bench.servers import started
from bench.terminal import say
from bench.web import part as web


def main() -> None:
    """Measure, write and show."""
    options = _options()
    # As for Ctrl-C, whatever was started is ended in order.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    options.output.mkdir(parents=True, exist_ok=True)
    if options.only == "definitions":
        many = many_definitions.measure_definitions(options)
        many_definitions.write(many, options.output)
        many_definitions.show(many)
        return
    if options.only not in {"fleet", "web"}:
        results = _measure(options)
        write(results, options.output)
        draw(results, options.output)
        show(results)
    if options.only not in {"one", "web"} and options.fleet_runs:
        measured = fleet.measure_fleet(options)
        fleet.write(measured, options.output)
        fleet.show(measured)
    if options.only not in {"one", "fleet"} and options.web_contacts:
        pages = web.measure_web(options)
        web.write(pages, options.output)
        web.show(pages)
    say(f"Written to {options.output}.")


def _measure(options: argparse.Namespace) -> Results:
    sizes: list[Size] = []
    rivals: list[Rival] = []
    machine = describe()
    for entries in sorted({*options.sizes, options.entries}):
        say(f"A directory of {entries:,} people.")
        with started(partial(ldif, range(entries))) as servers:
            machine["PostgreSQL"] = servers.postgresql
            staff = Staff(entries, servers.slapd.people_base)
            sizes.append(measure_size(servers, staff, _pairs(options, entries)))
            if entries == options.entries and options.rival_pairs:
                rivals = measure_rivals(servers, staff, options.rival_pairs)
    folders = measure_folders(options.folders, options.idle_seconds) if options.folders else None
    following = [
        measure_increments(entries, options.pairs, options.live_seconds if entries == options.entries else 0)
        for entries in sorted({*options.sizes, options.entries})
        if entries <= options.entries
    ]
    doublings = measure_doubling(options.doubled_entries, options.pairs) if options.doubled_entries else []
    written = {name.replace("_", " "): _written(value) for name, value in vars(options).items() if _is_size(name)}
    return Results(machine, written, options.entries, sizes, rivals, folders, following, doublings)


def _is_size(name: str) -> bool:
    return name not in {"output", "only"} and not name.startswith(("fleet_", "web_", "definitions"))


def _pairs(options: argparse.Namespace, entries: int) -> int:
    return int(options.pairs if entries <= options.entries else options.large_pairs)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--entries", type=int, default=100_000, help="people in the main comparison (100000)")
    add("--sizes", type=_sizes, default=[10_000, 200_000], help="other sizes, for the growth (10000,200000)")
    add("--pairs", type=int, default=3, help="turns of each kind of run with ldapsearch (3)")
    add("--large-pairs", type=int, default=1, help="the same for sizes above --entries (1)")
    add("--rival-pairs", type=int, default=1, help="turns of each other program; 0 for none (1)")
    add("--folders", type=int, default=10_000, help="many small folders; 0 for none (10000)")
    add("--idle-seconds", type=float, default=10, help="how long the idle daemon is measured with them (10)")
    add("--live-seconds", type=float, default=30, help="how long a live folder is measured; 0 for not at all (30)")
    add("--doubled-entries", type=int, default=20_000, help="entries of costs that must double; 0 for none (20000)")
    add(
        "--only",
        choices=["one", "fleet", "web", "definitions"],
        help="only one daemon, a fleet, the web console, or a fleet with many definitions",
    )
    add("--definitions", type=int, default=100_000, help="definitions, with --only definitions (100000)")
    add("--definitions-seconds", type=float, default=300, help="how long they run by their schedule (300)")
    add("--fleet-runs", type=int, default=1000, help="runs of a fleet whose nodes are harmed; 0 for no fleet (1000)")
    add("--fleet-harms", type=int, default=6, help="kills, stops, cuts and drains meanwhile (6)")
    add("--fleet-seed", default="1", help="the seed of these harms (1)")
    add("--fleet-times", type=int, default=2, help="how often each way to lose a node is measured (2)")
    add("--fleet-folders", type=int, default=600, help="small folders for one, two and three nodes (600)")
    add("--fleet-jobs", type=int, default=10_000, help="jobs through the tables of the queue (10000)")
    add("--web-contacts", type=int, default=100_000, help="contacts of a folder in the console; 0 for none (100000)")
    add("--web-folders", type=int, default=10_000, help="folders in the console (10000)")
    add("--web-watchers", type=int, default=200, help="browsers that watch one run (200)")
    add("--output", type=Path, default=Path("docs/explanation/performance"), help="the folder to write to")
    return parser.parse_args()


def _sizes(text: str) -> list[int]:
    return [int(size) for size in text.split(",") if size]


def _written(value: object) -> str:
    return ", ".join(f"{size:,}" for size in value) if isinstance(value, list) else f"{value:,}"


if __name__ == "__main__":
    main()
