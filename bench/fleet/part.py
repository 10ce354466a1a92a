"""The whole part: what is measured in which fleet, and its page."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from bench.fleet.harmed import measure_harmed
from bench.fleet.moments import measure_idle, measure_moments
from bench.fleet.queue_tables import measure_queue
from bench.fleet.results import FleetResults
from bench.fleet.sheets import sheets
from bench.fleet.takeover import measure_live, measure_restart, measure_takeovers, measure_wake
from bench.fleet.throughput import measure_rounds
from bench.machine import describe
from bench.report import page, print_sheets
from bench.terminal import say
from tests.support.fleet_servers import fleet_servers


def measure_fleet(options: argparse.Namespace) -> FleetResults:
    """Measure everything. `options` are those of the command whose names begin with fleet."""
    machine = describe()
    times = options.fleet_times
    harmed = measure_harmed(options.fleet_runs, options.fleet_harms, options.fleet_seed)
    say("Three nodes, and what each does for the others")
    with fleet_servers() as servers, servers.fleet() as fleet:
        figures = [
            *measure_takeovers(fleet, servers, times),
            *measure_live(fleet, servers, times),
            *measure_wake(fleet, servers),
            *measure_moments(fleet, servers, times),
            *measure_restart(fleet, servers),
            *measure_idle(fleet, options.idle_seconds),
        ]
        machine["PostgreSQL"] = fleet.person.info.parameter_status("server_version") or "unknown"
    say(f"{options.fleet_folders:,} small folders")
    rounds = measure_rounds(options.fleet_folders)
    queue = measure_queue(options.fleet_jobs)
    written = {name.replace("_", " "): str(value) for name, value in vars(options).items() if name.startswith("fleet_")}
    return FleetResults(machine, written, figures, harmed, rounds, queue)


def write(results: FleetResults, folder: Path) -> None:
    """Write fleet.json and fleet.md."""
    text = json.dumps(asdict(results), indent=2, ensure_ascii=False)
    (folder / "fleet.json").write_text(f"{text}\n", encoding="utf-8")
    link = "[Several daemons](../../how-to/fleet.md)"
    head = f"# A fleet, measured\n\n`make bench` writes this page; {link} explains a fleet."
    (folder / "fleet.md").write_text(page(head, results.machine | results.options, sheets(results)), encoding="utf-8")


def show(results: FleetResults) -> None:
    """Print the tables."""
    print_sheets(sheets(results))
