"""Runs the real daemon for long while everything around it fails, and checks that nothing grows or is left behind.

    make soak MINUTES=60
    make soak MINUTES=10 OPTIONS="--nodes 3"
    .venv/bin/python -m tests.endurance.soak --minutes 60 --definitions 300 --seed 1

Storms, in which the directory, the definitions, the connections and the servers change and fail at random, alternate
with calms. In each calm every folder must be in sync with the directory, and the log must have no complaint. In the
first half the daemon is restarted and killed too. In the second half it is one process, and its memory, threads,
sockets and open files must not grow.

With several nodes, the daemons are a fleet. They are stalled and drained too, and in the second half all but the first
come and go. Dead nodes must leave nothing in the queue.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.directory import teams_ldif
from bench.terminal import say
from tests.endurance.folders import Folders
from tests.endurance.nodes import Nodes
from tests.endurance.storm import Storm
from tests.endurance.vitals import Vitals, growth
from tests.faults.world import World, world

STORM_SECONDS = 20
FEWEST_LOOKS = 3
"""Measurements of the process that must not grow."""
DATABASE_SECONDS = 5
"""How long the daemon waits for PostgreSQL before it complains."""
_SETTINGS = {
    "CONTACTSYNC_DATABASE__CONNECT_TIMEOUT_SECONDS": f"{DATABASE_SECONDS}",
    "CONTACTSYNC_DIRECTORY__CONNECT_TIMEOUT_SECONDS": "4",
    "CONTACTSYNC_DIRECTORY__RECEIVE_TIMEOUT_SECONDS": "4",
    "CONTACTSYNC_DIRECTORY__RETRY_ATTEMPTS": "2",
    "CONTACTSYNC_DIRECTORY__RETRY_BASE_SECONDS": "0.2",
    "CONTACTSYNC_DIRECTORY__DEADLINE_SECONDS": "20",
    "CONTACTSYNC_DIRECTORY__PAGE_SIZE": "7",
    "CONTACTSYNC_SCHEDULER__RESCAN_SECONDS": "10",
}


class Failed(Exception):
    """What is wrong, in a sentence."""


class Soak:
    """One soak: its servers, its daemon and what was measured."""

    def __init__(self, servers: World, place: Path, options: argparse.Namespace) -> None:
        settings = {"READER": servers.slapd.reader_password, **_SETTINGS}
        self._nodes = Nodes(servers.through, place, options.nodes, **settings)
        self._folders = Folders(servers, options.definitions, every=options.every)
        self._storm = Storm(servers, self._folders, self._nodes, options.seed)
        self._seconds = options.minutes * 60
        self._storm_seconds = min(STORM_SECONDS, self._seconds / 20)
        self._vitals: list[Vitals] = []

    def run(self) -> None:
        """Alternate storms and calms to the end. Raises Failed."""
        self._folders.define()
        self._nodes.start()
        start = time.monotonic()
        try:
            self._calm()
            while (passed := time.monotonic() - start) < self._seconds or len(self._vitals) < FEWEST_LOOKS:
                restarts = passed < self._seconds / 2
                if restarts:
                    self._vitals.clear()  # the process will be another one
                self._storm.rage(self._storm_seconds, restarts=restarts)
                self._calm()
                self._vitals.append(Vitals.of(self._nodes.first.pid))
                say(f"{self._storm}; {self._folders.runs()} runs; now {self._vitals[-1]}")
            for problem in growth(self._vitals):
                raise Failed(problem)
            for node in self._nodes.all:
                if node.stop() != 0:
                    raise Failed(f"A daemon did not stop in order: {node.text()[-2000:]}")
        finally:
            self._nodes.end()

    def _calm(self) -> None:
        """Let all runs end, run every folder once more, and check."""
        self._storm.end()
        # A wait that began in the storm complains only when it has timed out, however quick the runs are.
        quiet_at = time.monotonic() + max(DATABASE_SECONDS + 1, self._nodes.notice_seconds)
        self._run_all()
        time.sleep(max(0.0, quiet_at - time.monotonic()))
        self._storm.problems += self._nodes.defects()
        self._run_all()
        left = self._nodes.leftovers(self._folders.connection)
        for problem in (*self._storm.problems, *self._nodes.complaints(), *left, *self._folders.differences()):
            raise Failed(problem)

    def _run_all(self) -> None:
        self._nodes.first.send(signal.SIGUSR1)
        self._folders.wait_for_all(self._nodes.first)


def main() -> None:
    """Run a soak, and print its result."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    say(f"{options.definitions} definitions for {options.minutes:g} minutes, with --seed {options.seed}.")
    with TemporaryDirectory(prefix="contactsync-soak-", ignore_cleanup_errors=True) as temporary:
        place = Path(temporary).resolve()
        ldif = "".join(teams_ldif(options.definitions, "ou=people,dc=example,dc=test"))
        with world(place, ldif) as servers:
            try:
                Soak(servers, place, options).run()
            except Failed as problem:
                say(f"FAILED: {problem}")
                sys.exit(1)
    say("Every folder was in sync after each storm, and nothing grew.")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.endurance.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--minutes", type=float, default=60, help="how long (60)")
    add("--definitions", type=int, default=300, help="folders of twenty people each (300)")
    add("--nodes", type=int, default=1, help="daemons that share the folders (1)")
    add("--every", default="30s", help="how often each of them runs by its schedule (30s)")
    add("--seed", default="1", help="the seed of everything that is random (1)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
