"""One run with one fault, and everything that must be true afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from contactsync.errors import ContactsyncError, DatabaseError
from contactsync.model import Counts, Outcome, RunReport
from contactsync.sync.runner import Runner
from tests.faults.expected import brought, recomputed
from tests.faults.world import World
from tests.support.folder import SyncedFolder, change
from tests.support.proxy import Fault, Harm, Proxy
from tests.support.waiting import PATIENCE, wait_until

CONNECTION = tuple(harm for harm in Harm if harm is not Harm.KILL)
"""Faults of a connection whose two sides live on."""
_NEW_RUNS = "SELECT * FROM contactsync.sync_runs WHERE definition_id = %s AND run_id > %s ORDER BY run_id"
_LAST_RUN = "SELECT coalesce(max(run_id), 0) AS run_id FROM contactsync.sync_runs"
_CURSOR = (
    "SELECT kind, value, server, context, moved_at, full_at FROM contactsync.sync_cursors"
    " WHERE definition_id = %s AND kind IS NOT NULL"
)
_HISTORY = "SELECT action FROM contactsync.contact_changes WHERE folder_id = %s AND run_id = %s"
_COUNTS = {"insert": "inserted", "update": "updated", "delete": "deleted"}


@contextmanager
def repeatable(what: object, seed: object) -> Iterator[None]:
    """Add to a failure what it happened with and how to repeat it."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"This was with: {what}. To repeat it, run the same test with --fault-seed={seed}.")
        raise


@dataclass(frozen=True, slots=True)
class Span:
    """The octets in one direction while a run is in a stage, from `start` to before `stop`."""

    stage: str
    to_server: bool
    start: int
    stop: int


@dataclass
class Tried:
    """How often each outcome came so far, and the stages in which runs failed."""

    outcomes: Counter[str] = field(default_factory=Counter)
    stages: Counter[str] = field(default_factory=Counter)


class Trial:
    """Faults in one folder's runs, through one proxy."""

    def __init__(self, world: World, folder: SyncedFolder, proxy: Proxy) -> None:
        self.world = world
        self.folder = folder
        self.proxy = proxy
        self.tried = Tried()
        self._stage = ""

    def measure(self) -> list[Span]:
        """The octets of each stage of a run with changes and without a fault."""
        change(self.world.slapd)
        self.proxy.arm(None)
        entered = [("begin", dict(self.proxy.passed))]

        def progress(stage: str, _counts: Counts) -> None:
            if stage != entered[-1][0]:
                entered.append((stage, dict(self.proxy.passed)))

        report = self.folder.run(progress)
        assert report.outcome is Outcome.CHANGED, report.error
        ends = [*(passed for _, passed in entered[1:]), dict(self.proxy.passed)]
        return [
            Span(stage, to_server, start[to_server], end[to_server])
            for (stage, start), end in zip(entered, ends, strict=True)
            for to_server in (True, False)
            if start[to_server] < end[to_server]
        ]

    def run(
        self,
        fault: Fault,
        kill: Callable[[], object] = lambda: None,
        *,
        runner: Runner | None = None,
        **options: Any,
    ) -> Outcome | None:
        """Change something, run with the fault, check, and run without. None: no run could be started."""
        folder = self.folder
        change(self.world.slapd)
        before, held = everything(folder), brought(folder)
        last = folder.query(_LAST_RUN)[0]["run_id"]
        self.world.refresh_pool()
        killed: Future[object] = Future()
        self.proxy.arm(fault, lambda: _fulfil(killed, kill))
        report = self._attempt(runner, options)
        if self.proxy.struck and fault.harm is Harm.KILL:
            killed.result(PATIENCE)
        struck = self.proxy.struck
        self.proxy.heal()
        self.world.pool.timeout = 10
        self._expect_no_leftovers()
        self._expect_truth(last, report, before, killed=fault.harm is Harm.KILL)
        if fault.harm is Harm.DELAY or (struck is None and fault.harm not in {Harm.STALL, Harm.CORRUPT}):
            assert report is not None, "a run without a fault did not begin"
            assert report.outcome is Outcome.CHANGED, report.error
        self._count(report)
        self._expect_next_run(last, before, held)
        return report.outcome if report else None

    def _attempt(self, runner: Runner | None, options: dict[str, Any]) -> RunReport | None:
        self._stage = "begin"

        def progress(stage: str, _counts: Counts) -> None:
            self._stage = stage

        try:
            return self.folder.run(progress, runner=runner, **options)
        except ContactsyncError as error:
            assert isinstance(error, DatabaseError), error  # noqa: PT017 -- it need not be raised
            self.folder.expect_sentences(str(error))
            return None

    def _expect_no_leftovers(self) -> None:
        """No lock, large temporary table, thread or connection is left."""
        wait_until(
            lambda: not self.world.leftovers(self.folder),
            lambda: f"left behind: {self.world.leftovers(self.folder)}",
        )

    def _expect_truth(
        self, last: int, report: RunReport | None, before: dict[str, list[dict[str, Any]]], *, killed: bool
    ) -> None:
        """The folder is completely the old or the new one, and the run's row says which."""
        folder, after = self.folder, everything(self.folder)
        rows = folder.query(_NEW_RUNS, folder.definition_id, last)
        assert len(rows) <= 1
        applied = bool(rows) and rows[0]["outcome"] == "changed"
        if applied:
            assert brought(folder) == recomputed(self.world.slapd)
            actions = Counter(row["action"] for row in folder.query(_HISTORY, folder.folder_id, rows[0]["run_id"]))
            assert {name: actions[action] for action, name in _COUNTS.items()} == {
                name: rows[0][name] for name in _COUNTS.values()
            }
        else:
            assert after == before
        if report is None:
            return
        if rows[0]["finished_at"]:
            folder.expect_row(report)
        elif not (applied and killed):  # the end of a record does not wait for the disk, if its outcome does
            assert "run.unrecorded" in "".join(folder.log)
        if report.outcome is not Outcome.CHANGED:
            folder.expect_sentences(report.error)

    def _expect_next_run(self, last: int, before: dict[str, Any], held: dict[str, Any]) -> None:
        """It brings the folder in sync and closes every record; ids stay, and so do contacts of no definition."""
        folder = self.folder
        report = folder.run()
        assert report.outcome in {Outcome.CHANGED, Outcome.UNCHANGED}, report.error
        now = brought(folder)
        assert now == recomputed(self.world.slapd)
        assert all(row["finished_at"] for row in folder.query(_NEW_RUNS, folder.definition_id, last))
        rows = folder.rows()["contacts"]
        own = [row for row in before["contacts"] if row["definition_id"] is None]
        assert [row for row in rows if row["definition_id"] is None] == own
        assert _ids(rows, now.keys() & held.keys()) == _ids(before["contacts"], now.keys() & held.keys())
        self._expect_no_leftovers()

    def _count(self, report: RunReport | None) -> None:
        self.tried.outcomes[report.outcome if report else "not begun"] += 1
        if report is None or report.outcome is not Outcome.CHANGED:
            self.tried.stages[self._stage] += 1


def everything(folder: SyncedFolder) -> dict[str, list[dict[str, Any]]]:
    """All that a run changes in a folder, with its cursor, which must never be ahead of the contacts."""
    return folder.rows() | {"cursor": folder.query(_CURSOR, folder.definition_id)}


def _fulfil(future: Future[object], act: Callable[[], object]) -> None:
    """Do something for a waiter in another thread."""
    try:
        future.set_result(act())
    except Exception as error:  # noqa: BLE001 -- for the waiter
        future.set_exception(error)


def _ids(rows: list[dict[str, Any]], keys: Any) -> dict[str, int]:
    return {row["source_key"]: row["contact_id"] for row in rows if row["source_key"] in keys}


def faults(seed: object, spans: list[Span], *, each: int, harms: Iterable[Harm] = CONNECTION) -> Iterator[Fault]:
    """`each` faults of each kind in each stage, at random octets."""
    random = Random(str(seed))  # noqa: S311 -- repeatable, not secret
    stages = list(dict.fromkeys(span.stage for span in spans))
    for _ in range(each):
        for harm in harms:
            for stage in stages:
                span = random.choice([span for span in spans if span.stage == stage])
                yield Fault(harm, span.to_server, random.randrange(span.start, span.stop))
