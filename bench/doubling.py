"""Twice as many rejected entries, and an undo of twice as many deletions: the time must double, and no more."""

from __future__ import annotations

from functools import partial
from statistics import median
from typing import Any

from psycopg.types.json import Jsonb

from bench.daemon import Daemon, running
from bench.directory import half_numbered_ldif
from bench.results import Doubling
from bench.servers import Servers, started
from bench.terminal import say, turns, wait_for

_NUMBERED = {"identity": "employeeNumber"}
_FILTER = "UPDATE contactsync.sync_definitions SET filter = '(uid=u0000000)' WHERE definition_id = %s"
_LOADED = "SELECT outcome, inserted, rejected FROM contactsync.sync_runs WHERE run_id = %s"
_DELETED = """
SELECT run_id, extract(epoch FROM finished_at - started_at)::float8 FROM contactsync.sync_runs
WHERE definition_id = %s AND run_id > %s AND finished_at IS NOT NULL AND outcome = 'changed' AND deleted = %s
"""
_LEFT = "SELECT count(*) FROM contactsync.contacts WHERE definition_id = %s"
_PATIENCE = 300.0


def measure_doubling(entries: int, pairs: int) -> list[Doubling]:
    """Measure both over a directory of this many people, and over one of twice as many."""
    once, twice = (_measure(count, pairs) for count in (entries, 2 * entries))
    return [Doubling(what, entries, once[what], twice[what]) for what in once]


def _measure(entries: int, pairs: int) -> dict[str, float]:
    say(f"Rejected entries and an undo, in a directory of {entries:,} people: {turns(pairs)}")
    people = partial(half_numbered_ldif, range(entries))
    with started(people) as servers, running(servers) as daemon:
        job = _Job(servers, daemon, entries)
        job.load_numbered()  # so that slapd has read everything from the disk
        loads = [job.load_numbered() for _ in range(pairs)]
        deletions, undos = zip(*(job.delete_and_undo() for _ in range(pairs)), strict=True)
    return {
        "half of the entries rejected": median(loads),
        "deletions": median(deletions),
        "undo of the deletions": median(undos),
    }


class _Job:
    """New folders of the same people."""

    def __init__(self, servers: Servers, daemon: Daemon, entries: int) -> None:
        self._servers = servers
        self._daemon = daemon
        self._entries = entries

    def load_numbered(self) -> float:
        """Seconds of the first load of a folder with those who have a number; the other half is rejected."""
        seconds, _ = self._load({"mapping": Jsonb(_NUMBERED)}, rejected=self._entries // 2)
        return seconds

    def delete_and_undo(self) -> tuple[float, float]:
        """Seconds of an approved run that deletes all contacts but one, and of its undo."""
        _, definition_id = self._load({"max_delete_count": self._entries}, rejected=0)
        with self._servers.connect() as connection:
            connection.execute(_FILTER, [definition_id])
            _, held = self._daemon.sync(definition_id)
            self._daemon.approve(held)
            wanted = [definition_id, held, self._entries - 1]
            deleted = lambda: connection.execute(_DELETED, wanted).fetchone()  # noqa: E731 -- a condition
            run_id, seconds = wait_for(deleted, "An approved run did not delete.", seconds=_PATIENCE)
            # The run's row is finished a moment before its lock is released.
            undo_seconds = wait_for(lambda: self._daemon.undo(run_id), "No undo began.", seconds=_PATIENCE)
            left = connection.execute(_LEFT, [definition_id]).fetchone()
        if left != (self._entries,):
            raise SystemExit(f"After the undo a folder of {self._entries} has {left} contacts.")
        return seconds, undo_seconds

    def _load(self, columns: dict[str, Any], rejected: int) -> tuple[float, int]:
        with self._servers.connect() as connection:
            connection.execute("TRUNCATE contactsync.folders, contactsync.contact_changes CASCADE")
            definition_id = self._servers.define(connection, **columns)
            seconds, run_id = self._daemon.sync(definition_id)
            row = connection.execute(_LOADED, [run_id]).fetchone()
        if row != (expected := ("changed", self._entries - rejected, rejected)):
            raise SystemExit(f"A first load ended with {row} in place of {expected}.")
        return seconds, definition_id
