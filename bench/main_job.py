"""The main comparison at one size of the directory: each kind of run, in turns with `ldapsearch`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from bench.comparison import CONTACTS, count_equal
from bench.daemon import Daemon, running
from bench.directory import Staff
from bench.results import CHANGED, FIRST, REMAPPED, UNCHANGED, Kind, Size, Turn
from bench.servers import Servers
from bench.terminal import say, turns

MAPPINGS = [{"fields": {"title": ["title", attribute]}} for attribute in ("employeeType", "carLicense")]
"""Attributes that no entry has, so that the mappings differ and give the same contacts."""
_EMPTY = "TRUNCATE contactsync.folders, contactsync.contact_changes CASCADE"
_EDIT = "UPDATE contactsync.sync_definitions SET mapping = %s WHERE definition_id = %s"
_RUN = "SELECT * FROM contactsync.sync_runs WHERE run_id = %s"


def measure_size(servers: Servers, staff: Staff, pairs: int) -> Size:
    """Measure every kind of run over this directory."""
    with running(servers) as daemon:
        return _Job(servers, daemon, staff).measure(pairs)


class _Job:
    """One folder, and the daemon that runs it."""

    def __init__(self, servers: Servers, daemon: Daemon, staff: Staff) -> None:
        self._servers = servers
        self._daemon = daemon
        self._staff = staff
        self._definition_id = 0
        self._edits = 0

    def measure(self, pairs: int) -> Size:
        """All kinds of runs in their order, and the WAL of runs without changes."""
        self._servers.ldapsearch()  # so that slapd has read everything from the disk
        kinds = {FIRST: self._turns(FIRST, pairs, self._first_load)}
        self._servers.vacuum()
        kinds[UNCHANGED] = self._turns(UNCHANGED, pairs, self._unchanged)
        say(f"  WAL of a run that finds nothing changed: {turns(pairs)}")
        wal = [self._wal(checkpoint=False) for _ in range(pairs)]
        wal_after_checkpoint = [self._wal(checkpoint=True) for _ in range(pairs)]
        kinds[CHANGED] = self._turns(CHANGED, pairs, self._changed)
        self._servers.vacuum()
        kinds[REMAPPED] = self._turns(REMAPPED, pairs, self._remapped)
        say("  comparing the contacts with the directory")
        with self._servers.connect() as connection:
            equal = count_equal(connection, CONTACTS, self._staff.records())
        return Size(self._staff.count, kinds, wal, wal_after_checkpoint, equal)

    def _turns(self, kind: str, pairs: int, turn: Callable[[], Turn]) -> Kind:
        say(f"  {kind}: {turns(pairs)} with ldapsearch")
        return Kind([turn() for _ in range(pairs)])

    def _first_load(self) -> Turn:
        self._define()
        return self._turn({"outcome": "changed", "inserted": self._staff.count})

    def _unchanged(self) -> Turn:
        return self._turn({"outcome": "unchanged", "unchanged": self._staff.count})

    def _changed(self) -> Turn:
        unchanged, _ = self._daemon.sync(self._definition_id)
        self._servers.ldapmodify(self._staff.change())
        quarter = self._staff.quarter
        counts = {"inserted": quarter, "deleted": quarter, "updated": 2 * quarter}
        return replace(self._turn({"outcome": "changed", **counts}), unchanged=unchanged)

    def _remapped(self) -> Turn:
        mapping = MAPPINGS[self._edits % len(MAPPINGS)]
        self._edits += 1
        with self._servers.connect() as connection:
            connection.execute(_EDIT, [Jsonb(mapping), self._definition_id])
        turn = self._turn({"outcome": "unchanged", "unchanged": self._staff.count, "updated": 0}, mapping)
        if "map" not in turn.stages:
            raise SystemExit("A run under another mapping did not decode the entries.")
        self._servers.vacuum()
        return turn

    def _turn(self, expected: dict[str, Any], mapping: dict[str, Any] | None = None) -> Turn:
        """An ldapsearch and a run, which must end as expected."""
        ldapsearch = self._servers.ldapsearch(mapping)
        self._daemon.reset_peak()
        seconds, run_id = self._daemon.sync(self._definition_id)
        run = self._run(run_id)
        expected["entries"] = self._staff.count
        if differing := {name: run[name] for name in expected if run[name] != expected[name]}:
            why = run["error"] or run["held_reason"]
            raise SystemExit(f"A run ended with {differing} in place of {expected}: {why}")
        return Turn(seconds, ldapsearch, self._daemon.peak, run["seconds"])

    def _run(self, run_id: int) -> dict[str, Any]:
        with self._servers.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(_RUN, [run_id]).fetchone() or {}

    def _define(self) -> None:
        """An empty folder in empty tables."""
        with self._servers.connect() as connection:
            connection.execute(_EMPTY)
            self._definition_id = self._servers.define(connection, max_delete_count=self._staff.count)

    def _wal(self, *, checkpoint: bool) -> int:
        """The octets of WAL that are written during a run without changes, also by background processes."""
        if checkpoint:
            self._servers.administer("CHECKPOINT")  # after it, the first change of a page writes the whole page
        with self._servers.connect() as connection:
            before = connection.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
            self._daemon.sync(self._definition_id)
            row = connection.execute("SELECT pg_current_wal_insert_lsn() - %s::pg_lsn", before).fetchone()
        return int(row[0]) if row else 0
