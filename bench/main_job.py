"""Measures the main job beside `ldapsearch`, over the same entries of the same slapd in the same minute.

    .venv/bin/python bench/main_job.py [--entries 100000] [--pairs 5]

Starts a slapd and a PostgreSQL of its own and one warm process that makes the runs. Prints seconds, peak memory and the
ratio to `ldapsearch` (C, LDIF into /dev/null, the same attributes and page size) of a first load, a run that finds
nothing changed, and a run with 1% changed (half edits, a quarter each adds and deletes). Runs and `ldapsearch` take
turns, and each ratio is the median over the pairs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import IO, Any

import psycopg
from rich.console import Console
from rich.table import Table

import directory
from contactsync.demo.slapd import PrivateSlapd
from contactsync.ldap.mapping import MapLimits, compile_mapping
from contactsync.store.definitions import add_definition, add_folder
from contactsync.store.embedded import embedded_server
from contactsync.store.migrate import migrate

PAGE_SIZE = 1000
REFERENCE = "BENCH_READER"
"""The environment variable in which the runs find the password."""
console = Console()


class Bench:
    """The servers, the warm process, and the things that are timed."""

    def __init__(self, stack: ExitStack, entries: int) -> None:
        self.entries = entries
        self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="contactsync-bench-")))
        self._slapd = stack.enter_context(self._make_slapd())
        self._conninfo = stack.enter_context(embedded_server(self._folder / "state"))
        migrate(self._conninfo)
        self._definition_id = self._define()
        self._runner = self._start_runner(stack)
        self._round = 0

    def ldapsearch(self) -> float:
        """Seconds of one ldapsearch that prints every entry into /dev/null."""
        mapping = compile_mapping(None, active_directory=False, limits=MapLimits())
        password = self._folder / "password"
        password.touch(mode=0o600)
        password.write_text(self._slapd.reader_password)
        command = ["ldapsearch", "-x", "-LLL", "-H", self._slapd.url, "-D", self._slapd.reader_dn, "-y", str(password)]
        command += ["-b", self._slapd.suffix, "-E", f"pr={PAGE_SIZE}/noprompt", mapping.filter, *mapping.attributes]
        start = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        return time.perf_counter() - start

    def run(self, expected: str) -> dict[str, Any]:
        """One run in the warm process; its outcome must be the one expected, or there is nothing to measure."""
        requests, answers = self._runner
        requests.write("run\n")
        requests.flush()
        answer: dict[str, Any] = json.loads(answers.readline())
        if answer["outcome"] != expected:
            raise SystemExit(f"a run ended {answer['outcome']} in place of {expected}: {answer['error']}")
        return answer

    def first_load(self) -> dict[str, Any]:
        """A run into an empty folder."""
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            connection.execute("TRUNCATE contactsync.contacts, contactsync.contact_changes CASCADE")
            connection.execute("TRUNCATE contactsync.departed_contacts")
            connection.execute("VACUUM ANALYZE contactsync.contacts")
        return self.run("changed")

    def settle(self) -> None:
        """Do now what autovacuum does within a minute of a first load: without statistics a plan takes much longer."""
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE contactsync.contacts")

    def unchanged(self) -> dict[str, Any]:
        """A run that finds nothing changed."""
        return self.run("unchanged")

    def changed(self) -> dict[str, Any]:
        """A run after 1% of the directory changed."""
        changes = directory.changes(
            self._round, existing=self.entries, count=self.entries // 100, base=self._slapd.people_base
        )
        self._round += 1
        connection = ["-H", self._slapd.url, "-D", self._slapd.admin_dn, "-w", self._slapd.admin_password]
        subprocess.run(["ldapmodify", "-x", *connection], input=changes.encode(), stdout=subprocess.DEVNULL, check=True)
        return self.run("changed")

    def _make_slapd(self) -> PrivateSlapd:
        people = self._folder / "people.ldif"
        slapd = PrivateSlapd(self._folder / "slapd", ldif=people)
        with people.open("w", encoding="utf-8") as file:
            file.writelines(directory.ldif(range(self.entries), slapd.people_base))
        return slapd

    def _define(self) -> int:
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            return add_definition(
                connection,
                add_folder(connection, "Everybody", None),
                {
                    "query": f"{self._slapd.url}/{self._slapd.suffix}",
                    "bind_user": self._slapd.reader_dn,
                    "password_ref": f"env:{REFERENCE}",
                    "tls": "none",
                    "page_size": PAGE_SIZE,
                    "max_delete_count": self.entries,
                },
            )

    def _start_runner(self, stack: ExitStack) -> tuple[IO[str], IO[str]]:
        script = Path(__file__).with_name("warm_runner.py")
        process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, str(script), self._conninfo, str(self._definition_id)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, REFERENCE: self._slapd.reader_password},
            )
        )
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("Popen was asked for two pipes and gave fewer")
        return process.stdin, process.stdout


def measure(bench: Bench, what: str, pairs: int, run: Callable[[], dict[str, Any]]) -> list[str]:
    """A row of the table: the medians of `pairs` turns of ldapsearch and the run."""
    turns = [(bench.ldapsearch(), run()) for _ in range(pairs)]
    ratios = sorted(answer["seconds"] / reference for reference, answer in turns)
    stages = {stage: median(answer["stages"].get(stage, 0.0) for _, answer in turns) for stage in turns[0][1]["stages"]}
    return [
        what,
        f"{median(answer['seconds'] for _, answer in turns):.2f}",
        f"{median(reference for reference, _ in turns):.2f}",
        f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
        f"{turns[-1][1]['peak_mib']:.0f}",
        " ".join(f"{stage} {seconds:.2f}" for stage, seconds in stages.items()),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=100_000, help="how many people (default: 100000)")
    parser.add_argument("--pairs", type=int, default=5, help="how many turns of each kind (default: 5)")
    options = parser.parse_args()
    table = Table("run", "s", "ldapsearch, s", "ratio (min to max)", "peak MiB", "s by stage", title="The main job")
    with ExitStack() as stack:
        console.print(f"Making a directory of {options.entries:,} people ...")
        bench = Bench(stack, options.entries)
        bench.ldapsearch()
        table.add_row(*measure(bench, "first load", options.pairs, bench.first_load))
        bench.settle()
        bench.unchanged()
        table.add_row(*measure(bench, "nothing changed", options.pairs, bench.unchanged))
        table.add_row(*measure(bench, "1% changed", options.pairs, bench.changed))
    console.print(table)


if __name__ == "__main__":
    main()
