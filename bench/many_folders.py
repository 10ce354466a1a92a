"""Many small folders on one daemon: its starts, its idle time, and a run of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection

from bench.daemon import Daemon, running
from bench.directory import TEAM_SIZE, teams_ldif
from bench.results import Folders, Round
from bench.servers import Servers, started
from bench.terminal import say, wait_for

EDITS = 5
QUIET_SECONDS = 2
POLL_SECONDS = 0.5
CLOSE_SECONDS = 0.01
REPORT_SECONDS = 15
PATIENCE = 1800

# Due at the first start, because they never ran, and not again during the benchmark. Of all schedules, the next time of
# this one takes longest to compute.
_DEFINE = """
WITH teams AS (
    INSERT INTO contactsync.folders (name) SELECT 't' || lpad(n::text, 6, '0')
    FROM generate_series(0, %(folders)s - 1) AS n RETURNING folder_id, name
)
INSERT INTO contactsync.sync_definitions (folder_id, query, base, bind_user, password_ref, tls, schedule)
SELECT folder_id, %(url)s, 'ou=' || name || ',' || %(base)s, %(user)s, %(password)s, 'none', '@yearly' FROM teams
"""
_LAST_RUN = "SELECT coalesce(max(run_id), 0) FROM contactsync.sync_runs"
_RAN = "SELECT count(DISTINCT definition_id) FROM contactsync.sync_runs WHERE run_id > %s AND finished_at IS NOT NULL"
_ROUND = """
SELECT extract(epoch FROM max(finished_at) - %(since)s)::float8, count(*), count(DISTINCT definition_id),
       extract(epoch FROM max(started_at) - %(since)s)::float8
FROM contactsync.sync_runs WHERE run_id > %(after)s AND finished_at IS NOT NULL
"""
_STAGES = """
SELECT stage.key, sum(stage.value::float8) FROM contactsync.sync_runs AS r, jsonb_each_text(r.seconds) AS stage
WHERE r.run_id > %s GROUP BY stage.key
"""
_FAILED = """
SELECT coalesce(error, outcome) FROM contactsync.sync_runs WHERE outcome NOT IN ('changed', 'unchanged') LIMIT 1
"""
_EDIT_READ = """
UPDATE contactsync.sync_definitions SET deadline_seconds = %s WHERE definition_id = %s RETURNING clock_timestamp()
"""
_STARTED = "SELECT started_at FROM contactsync.sync_runs WHERE run_id > %s AND definition_id = %s"
_EDIT_SCHEDULE = "UPDATE contactsync.sync_definitions SET schedule = 'every 300d' WHERE definition_id = %s"
_NEXT = "SELECT next_run_at FROM contactsync.sync_status WHERE definition_id = %s"
_SOME = "SELECT definition_id FROM contactsync.sync_definitions ORDER BY definition_id LIMIT %s"


def measure_folders(folders: int, idle_seconds: float) -> Folders:
    """Measure this many folders of twenty people each."""
    people = folders * TEAM_SIZE
    say(f"Many folders: a directory of {people:,} people in {folders:,} units.")
    with started(lambda base: teams_ldif(folders, base)) as servers, servers.connect() as connection:
        many = _Many(servers, connection, folders)
        many.define()
        return Folders(folders=folders, people=people, **many.first_start(), **many.later_start(idle_seconds))


class _Many:
    """The definitions and their runs; the measured values have the names of Folders' fields."""

    def __init__(self, servers: Servers, connection: Connection[Any], folders: int) -> None:
        self._servers = servers
        self._connection = connection
        self._folders = folders
        self._report_at = 0.0

    def define(self) -> None:
        """Add all definitions at once."""
        slapd = self._servers.slapd
        values = {"folders": self._folders, "url": slapd.url, "base": slapd.people_base, "user": slapd.reader_dn}
        self._connection.execute(_DEFINE, values | {"password": f"file:{self._servers.password_file}"})
        self._servers.vacuum()

    def first_start(self) -> dict[str, Any]:
        """The start when every definition is due, and the first runs."""
        say("  the first start, when all of them are due")
        with self._started() as (daemon, seconds, since):
            say(f"  scheduled after {seconds:.1f} seconds; their first runs")
            return {"first_start": seconds, "first_round": self._round(since, 0), "first_peak": daemon.peak}

    def later_start(self, idle_seconds: float) -> dict[str, Any]:
        """A start when none is due, an idle time, edits, and a run of each."""
        self._servers.vacuum()
        say(f"  a start when none is due, and {idle_seconds:g} idle seconds")
        with self._started() as (daemon, seconds, _):
            return {
                "restart": seconds,
                **_idle(daemon, idle_seconds),
                "noticed": self._edits(),
                **self._full_round(daemon),
                "peak": daemon.peak,
            }

    @contextmanager
    def _started(self) -> Iterator[tuple[Daemon, float, datetime]]:
        """A daemon, the seconds until it had scheduled every definition, and the time of its start."""
        since, start = datetime.now(UTC), time.perf_counter()
        with running(self._servers, definitions=self._folders) as daemon:
            yield daemon, time.perf_counter() - start, since

    def _full_round(self, daemon: Daemon) -> dict[str, Any]:
        """A run of each, and how long an edited schedule takes to have its effect meanwhile."""
        say("  a run of each, requested at once, and an edit in the middle of them")
        definition_id, after = self._one(_SOME, 1), self._one(_LAST_RUN)
        before, since = self._one(_NEXT, definition_id), datetime.now(UTC)
        daemon.sync_all()
        start = time.perf_counter()
        self._connection.execute(_EDIT_SCHEDULE, [definition_id])
        _wait(lambda: self._one(_NEXT, definition_id) != before, CLOSE_SECONDS)
        noticed = time.perf_counter() - start
        return {"full_round": self._round(since, after), "noticed_in_round": noticed}

    def _round(self, since: datetime, after: int) -> Round:
        """Wait until every definition has run after the run `after`, and add up the runs."""
        self._report_at = time.monotonic() + REPORT_SECONDS
        _wait(lambda: self._all_ran(after), POLL_SECONDS)
        if failed := self._one(_FAILED):
            raise SystemExit(f"A run of a small folder failed: {failed}")
        (row,) = self._connection.execute(_ROUND, {"since": since, "after": after}).fetchall()
        seconds, runs, definitions, longest_wait = row
        stages = dict(self._connection.execute(_STAGES, [after]).fetchall())
        return Round(seconds, runs, definitions, longest_wait, stages)

    def _all_ran(self, after: int) -> bool:
        ran: int = self._one(_RAN, after)
        if time.monotonic() > self._report_at:
            self._report_at += REPORT_SECONDS
            say(f"    {ran:,} of {self._folders:,}")
        return ran == self._folders

    def _edits(self) -> list[float]:
        """Edit some definitions; the seconds from each edit to the start of the run that it causes."""
        say(f"  {EDITS} edits, one after the other")
        some = [definition_id for (definition_id,) in self._connection.execute(_SOME, [EDITS])]
        return [self._edit(definition_id) for definition_id in some]

    def _edit(self, definition_id: int) -> float:
        after = self._one(_LAST_RUN)
        edited = self._one(_EDIT_READ, 900, definition_id)
        begun = _wait(lambda: self._one(_STARTED, after, definition_id), CLOSE_SECONDS)
        _wait(lambda: self._one(_RAN, after), CLOSE_SECONDS)
        return float((begun - edited).total_seconds())

    def _one(self, query: Any, *values: Any) -> Any:
        row = self._connection.execute(query, values).fetchone()
        return row[0] if row else None


def _idle(daemon: Daemon, seconds: float) -> dict[str, Any]:
    """The share of a core and the memory that an idle daemon uses."""

    def is_idle() -> bool:
        status = daemon.status()
        return not status["running"] and not status["waiting"]

    _wait(is_idle, POLL_SECONDS)
    time.sleep(QUIET_SECONDS)
    before, start = daemon.cpu_seconds, time.perf_counter()
    time.sleep(seconds)
    share = (daemon.cpu_seconds - before) / (time.perf_counter() - start)
    return {"idle_cpu": share, "idle_memory": daemon.memory}


def _wait(condition: Callable[[], Any], poll: float) -> Any:
    return wait_for(condition, "The daemon did not finish its work with many folders.", seconds=PATIENCE, poll=poll)
