"""Lets the real daemon work for long while everything around it breaks, and looks whether anything grows or is left.

    make soak MINUTES=60
    .venv/bin/python -m tests.endurance.soak --minutes 60 --definitions 300 --seed 1

Storms, in which the directory, the definitions, the connections and the servers change and fail at random, take turns
with calms. In each calm every folder has to be in step with the directory, and the log may complain of nothing. In the
first half the daemon is restarted and killed too. In the second it is one process, and its memory, threads, sockets and
open files must not grow.
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
from tests.endurance.storm import Storm
from tests.endurance.vitals import Vitals, growth
from tests.faults.world import World, world
from tests.support.processes import DaemonProcess

STORM_SECONDS = 20
FEWEST_LOOKS = 3
"""At the process that is not to grow."""
DATABASE_SECONDS = 3
"""How long the daemon waits for PostgreSQL before it complains."""
_SETTINGS = {
    "CONTACTSYNC_DATABASE__CONNECT_TIMEOUT_SECONDS": f"{DATABASE_SECONDS}",
    "CONTACTSYNC_DIRECTORY__CONNECT_TIMEOUT_SECONDS": "2",
    "CONTACTSYNC_DIRECTORY__RECEIVE_TIMEOUT_SECONDS": "2",
    "CONTACTSYNC_DIRECTORY__RETRY_ATTEMPTS": "2",
    "CONTACTSYNC_DIRECTORY__RETRY_BASE_SECONDS": "0.2",
    "CONTACTSYNC_DIRECTORY__DEADLINE_SECONDS": "20",
    "CONTACTSYNC_DIRECTORY__PAGE_SIZE": "7",
    "CONTACTSYNC_SCHEDULER__RESCAN_SECONDS": "10",
}


class Failed(Exception):
    """What was found to be wrong, in a sentence."""


class Soak:
    """One soak: its servers, its daemon, and what was seen of it."""

    def __init__(self, servers: World, place: Path, options: argparse.Namespace) -> None:
        self._daemon = DaemonProcess(servers.through, place, READER=servers.slapd.reader_password, **_SETTINGS)
        self._folders = Folders(servers, options.definitions, every=options.every)
        self._storm = Storm(servers, self._folders, self._daemon, options.seed)
        self._seconds = options.minutes * 60
        self._storm_seconds = min(STORM_SECONDS, self._seconds / 20)
        self._vitals: list[Vitals] = []

    def carry_out(self) -> None:
        """Everything, to the end in order. Raises Failed."""
        self._folders.define()
        self._daemon.start()
        begin = time.monotonic()
        try:
            self._calm()
            while (passed := time.monotonic() - begin) < self._seconds or len(self._vitals) < FEWEST_LOOKS:
                if passed < self._seconds / 2:
                    self._vitals.clear()  # the process will be another one
                self._storm.rage(self._storm_seconds, restarts=passed < self._seconds / 2)
                self._calm()
                self._note()
            self._expect_flat()
            if self._daemon.stop() != 0:
                raise Failed(f"The daemon did not stop in order: {self._daemon.text()[-2000:]}")
        finally:
            self._daemon.end()

    def _calm(self) -> None:
        """Let all runs end, have all of them made once more, and look."""
        self._storm.end()
        # What waits in vain since the storm complains only now, be the runs ever so quick.
        quiet_at = time.monotonic() + DATABASE_SECONDS + 1
        self._daemon.send(signal.SIGUSR1)
        self._folders.wait_for_all(self._daemon)
        time.sleep(max(0.0, quiet_at - time.monotonic()))
        self._storm.troubles += self._storm.log.skip()
        self._daemon.send(signal.SIGUSR1)
        self._folders.wait_for_all(self._daemon)
        for trouble in (*self._storm.troubles, *self._storm.log.complaints(), *self._folders.differences()):
            raise Failed(trouble)

    def _note(self) -> None:
        vitals = Vitals.of(self._daemon.pid)
        self._vitals.append(vitals)
        say(f"{self._storm}; {self._folders.runs()} runs; now {vitals}")

    def _expect_flat(self) -> None:
        for trouble in growth(self._vitals):
            raise Failed(trouble)


def main() -> None:
    """Soak, and say how it went."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    say(f"{options.definitions} definitions for {options.minutes:g} minutes, with --seed {options.seed}.")
    with TemporaryDirectory(prefix="contactsync-soak-", ignore_cleanup_errors=True) as temporary:
        place = Path(temporary).resolve()
        ldif = "".join(teams_ldif(options.definitions, "ou=people,dc=example,dc=test"))
        with world(place, ldif) as servers:
            try:
                Soak(servers, place, options).carry_out()
            except Failed as trouble:
                say(f"FAILED: {trouble}")
                sys.exit(1)
    say("Everything was in step after each storm, and nothing grew.")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.endurance.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--minutes", type=float, default=60, help="how long (60)")
    add("--definitions", type=int, default=300, help="folders of twenty people each (300)")
    add("--every", default="30s", help="how often each of them runs by its schedule (30s)")
    add("--seed", default="1", help="what everything that is left to chance goes by (1)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
