"""The directory, PostgreSQL and the daemon are killed (SIGKILL) at any point of a run, and started again."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from contactsync.model import Outcome
from tests.faults.expected import brought, recomputed
from tests.faults.trial import Trial, everything, faults, repeatable
from tests.faults.world import World
from tests.support.folder import SyncedFolder, change
from tests.support.processes import DaemonProcess
from tests.support.proxy import Fault, Harm, Proxy
from tests.support.waiting import wait_until

MODES = ["full", "incremental"]
SWAPPED = {"fields": {"title": "sn", "nickname": "title"}}
"""A mapping that requests the same attributes as the preset, so that no entry differs for it."""
_UNFINISHED = "SELECT 1 FROM contactsync.sync_runs WHERE definition_id = %s AND finished_at IS NULL"
_BACKENDS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'contactsync' AND datname = current_database()"


class _KilledDaemon:
    """The real daemon with one folder of `world`, which it runs on request."""

    def __init__(self, world: World, place: Path, mode: str) -> None:
        self.world = world
        self.folder: SyncedFolder = world.folder("plain", mode=mode)
        self.folder.edit(password_sealed=None, password_ref="env:READER")
        settings = {"CONTACTSYNC_DIRECTORY__PAGE_SIZE": "10", "CONTACTSYNC_DIRECTORY__RETRY_BASE_SECONDS": "0.1"}
        self.daemon = DaemonProcess(world.through, place, READER=world.slapd.reader_password, **settings)
        self.state = Path(self.daemon.state)
        self.found: Counter[str] = Counter()

    def request(self) -> None:
        self.folder.query("SELECT contactsync.request_sync(%s)", self.folder.name)

    def runs(self) -> list[dict[str, Any]]:
        query = "SELECT * FROM contactsync.sync_runs WHERE definition_id = %s ORDER BY run_id"
        return self.folder.query(query, self.folder.definition_id)

    def settle(self) -> dict[str, Any]:
        """Request a run, wait for its end, and give its row."""
        before = len(self.runs())
        self.request()
        wait_until(lambda: self._ended(before), lambda: f"no run ended: {self.daemon.text()[-2000:]}")
        return self.runs()[-1]

    def _ended(self, before: int) -> bool:
        return len(self.runs()) > before and not self.folder.query(_UNFINISHED, self.folder.definition_id)

    def measure(self, proxy: Proxy) -> dict[bool, int]:
        """The octets of a run with changes."""
        change(self.world.slapd)
        passed = proxy.measure(self.settle)
        assert self.runs()[-1]["outcome"] == "changed"
        return passed

    def kill_at(self, proxy: Proxy, fault: Fault, *, remapped: bool) -> None:
        """Kill the daemon in a run: the folder is the old or the new one. Start it again: the folder is the new one.

        With `remapped` it is killed under an edited mapping, which is undone before the start. A run may pass fewer
        octets than the measured one; then it is killed just after the run.
        """
        change(self.world.slapd)
        before, files, runs = everything(self.folder), self._files(), len(self.runs())
        proxy.arm(fault, lambda: self.daemon.send(signal.SIGKILL))
        if remapped:
            self.folder.edit(mapping=SWAPPED)
        self.request()
        wait_until(lambda: proxy.struck or self._ended(runs), lambda: f"no run: {self.daemon.text()[-2000:]}")
        self.daemon.send(signal.SIGKILL)
        assert self.daemon.wait() == -signal.SIGKILL
        proxy.heal()
        wait_until(
            lambda: not self.world.leftovers(self.folder), lambda: f"left behind: {self.world.leftovers(self.folder)}"
        )
        self._expect_old_or_new(before, self.runs()[runs:], remapped=remapped)
        if remapped:
            self.folder.edit(mapping=None)
        self.daemon.start()
        wait_until(lambda: not self.folder.query(_UNFINISHED, self.folder.definition_id), lambda: "a run is left open")
        row = self.settle()
        assert row["outcome"] in {"changed", "unchanged"}, row["error"]
        assert brought(self.folder) == recomputed(self.world.slapd)
        assert self._files() == files

    def _expect_old_or_new(self, before: dict[str, Any], runs: list[dict[str, Any]], *, remapped: bool) -> None:
        """By the rows of the runs, whether they are closed or not."""
        applied = any(run["outcome"] == "changed" for run in runs)
        self.found["new" if applied else "old"] += 1
        if not applied:
            assert everything(self.folder) == before
            return
        wanted = recomputed(self.world.slapd)
        if remapped:
            wanted = {key: contact | {"title": contact["family_name"]} for key, contact in wanted.items()}
        assert brought(self.folder) == wanted

    def _files(self) -> set[Path]:
        return set(self.state.rglob("*"))


@pytest.mark.parametrize("mode", MODES)
def test_a_daemon_that_is_killed(troubled: World, seed: str, times: int, tmp_path: Path, mode: str) -> None:
    """At any octet that it exchanges with either server; the next start closes the run's record."""
    killed = _KilledDaemon(troubled, tmp_path, mode)
    try:
        killed.daemon.start()
        assert killed.settle()["outcome"] == "changed"
        ways: list[tuple[Proxy, dict[bool, int]]] = [
            (proxy, killed.measure(proxy)) for proxy in (troubled.plain, troubled.database)
        ]
        random = Random(f"{seed}/daemon/{mode}")  # noqa: S311 -- repeatable, not secret
        for remapped in (True, False):
            # The statement that closes the record, when everything else is done.
            killed.kill_at(
                troubled.database, Fault(Harm.KILL, to_server=True, at=b"WITH finished AS"), remapped=remapped
            )
        for _ in range(5 * times):
            proxy, totals = random.choice([ways[0], ways[1], ways[1]])
            to_server, remapped = random.choice([True, False]), random.choice([True, False, False])
            fault = Fault(Harm.KILL, to_server, random.randrange(totals[to_server]))
            with repeatable(fault, seed):
                killed.kill_at(proxy, fault, remapped=remapped)
        assert killed.daemon.stop() == 0
        assert not [path for path in killed.state.rglob("*") if path.is_socket()]
        assert killed.found.keys() == {"old", "new"}
    finally:
        killed.daemon.end()


@pytest.mark.parametrize("mode", MODES)
def test_a_directory_that_is_killed(troubled: World, seed: str, times: int, mode: str) -> None:
    """At any octet of a run; it is started at once, and the run's next attempt may succeed."""
    folder = troubled.folder("starttls", mode=mode)
    trial = Trial(troubled, folder, troubled.plain)
    assert folder.run().outcome is Outcome.CHANGED

    def kill() -> None:
        troubled.slapd.kill()
        troubled.slapd.start()

    for number, fault in enumerate(faults(seed, trial.measure(), each=2 * times, harms=[Harm.KILL])):
        with repeatable(fault, seed):
            trial.run(fault, kill, retry_attempts=1 + number % 2)
    assert trial.tried.outcomes.keys() == {Outcome.CHANGED, Outcome.FAILED}, trial.tried


@pytest.mark.parametrize("mode", MODES)
def test_a_postgresql_that_is_killed(troubled: World, seed: str, times: int, mode: str) -> None:
    """Some of its processes, from which it recovers, or all of it, and it is started again."""
    folder = troubled.folder("plain", mode=mode)
    trial = Trial(troubled, folder, troubled.database)
    assert folder.run().outcome is Outcome.CHANGED

    def kill_backend() -> None:
        troubled.postgres.kill_backends(*(row["pid"] for row in folder.query(_BACKENDS)))

    def kill_all() -> None:
        troubled.postgres.crash(signal.SIGKILL)
        troubled.postgres.start()

    for number, fault in enumerate(faults(seed, trial.measure(), each=2 * times, harms=[Harm.KILL])):
        with repeatable(fault, seed):
            trial.run(fault, kill_all if number % 3 == 0 else kill_backend)
    assert "begin" in trial.tried.stages, trial.tried
    assert trial.tried.stages.keys() & {"plan", "apply"}, trial.tried
