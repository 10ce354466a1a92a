"""Very many small folders on one daemon: its starts, its rest, and rounds of all of them."""

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
from bench.telling import say

EDITS = 5
QUIET_SECONDS = 2
POLL_SECONDS = 0.5
CLOSE_SECONDS = 0.01
TELL_SECONDS = 15
PATIENCE = 1800

# Due once at the first start, since they never ran, and then hardly ever while this goes on.
_DEFINE = """
WITH teams AS (
    INSERT INTO contactsync.folders (name) SELECT 't' || lpad(n::text, 6, '0')
    FROM generate_series(0, %(folders)s - 1) AS n RETURNING folder_id, name
)
INSERT INTO contactsync.sync_definitions (folder_id, query, base, bind_user, password_ref, tls, schedule)
SELECT folder_id, %(url)s, 'ou=' || name || ',' || %(base)s, %(user)s, %(password)s, 'none', 'every 7d' FROM teams
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
    """Measure so many folders of twenty people each."""
    people = folders * TEAM_SIZE
    say(f"Many folders: a directory of {people:,} people in {folders:,} units.")
    with started(lambda base: teams_ldif(folders, base)) as servers, servers.connect() as connection:
        many = _Many(servers, connection, folders)
        many.define()
        return Folders(folders=folders, people=people, **many.first_start(), **many.later_start(idle_seconds))


class _Many:
    """The definitions, and the eyes on what becomes of them; what it measures has the names of Folders."""

    def __init__(self, servers: Servers, connection: Connection[Any], folders: int) -> None:
        self._servers = servers
        self._connection = connection
        self._folders = folders
        self._tell_at = 0.0

    def define(self) -> None:
        """Add the definitions as an application would, all at once."""
        slapd = self._servers.slapd
        values = {"folders": self._folders, "url": slapd.url, "base": slapd.people_base, "user": slapd.reader_dn}
        self._connection.execute(_DEFINE, values | {"password": f"file:{self._servers.password_file}"})
        self._servers.settle()

    def first_start(self) -> dict[str, Any]:
        """A start at which every definition is due, and the first runs."""
        say("  the first start, at which all of them are due")
        with self._started() as (daemon, seconds, since):
            say(f"  followed after {seconds:.1f} seconds; their first runs")
            return {"first_start": seconds, "first_round": self._round(since, 0), "first_peak": daemon.peak}

    def later_start(self, idle_seconds: float) -> dict[str, Any]:
        """A start at which none is due, a rest, edits, and a run of all."""
        self._servers.settle()
        say(f"  a start with nothing due, and {idle_seconds:g} seconds of rest")
        with self._started() as (daemon, seconds, _):
            return {
                "restart": seconds,
                **_rest(daemon, idle_seconds),
                "noticed": self._edits(),
                **self._full_round(daemon),
                "peak": daemon.peak,
            }

    @contextmanager
    def _started(self) -> Iterator[tuple[Daemon, float, datetime]]:
        """A daemon, the seconds until it followed every definition, and when it was started."""
        since, start = datetime.now(UTC), time.perf_counter()
        with running(self._servers, definitions=self._folders) as daemon:
            yield daemon, time.perf_counter() - start, since

    def _full_round(self, daemon: Daemon) -> dict[str, Any]:
        """A run of each, and how long it takes meanwhile until an edited schedule is followed."""
        say("  a run of each, asked for at once, and an edit in the middle of them")
        definition_id, after = self._one(_SOME, 1), self._one(_LAST_RUN)
        before, since = self._one(_NEXT, definition_id), datetime.now(UTC)
        daemon.sync_all()
        start = time.perf_counter()
        self._connection.execute(_EDIT_SCHEDULE, [definition_id])
        _wait(lambda: self._one(_NEXT, definition_id) != before, CLOSE_SECONDS)
        noticed = time.perf_counter() - start
        return {"full_round": self._round(since, after), "noticed_in_round": noticed}

    def _round(self, since: datetime, after: int) -> Round:
        """Wait until every definition ran after that run, and add up what they did."""
        self._tell_at = time.monotonic() + TELL_SECONDS
        _wait(lambda: self._all_ran(after), POLL_SECONDS)
        if failed := self._one(_FAILED):
            raise SystemExit(f"A run of a small folder did not do its work: {failed}")
        (row,) = self._connection.execute(_ROUND, {"since": since, "after": after}).fetchall()
        seconds, runs, definitions, longest_wait = row
        stages = dict(self._connection.execute(_STAGES, [after]).fetchall())
        return Round(seconds, runs, definitions, longest_wait, stages)

    def _all_ran(self, after: int) -> bool:
        ran: int = self._one(_RAN, after)
        if time.monotonic() > self._tell_at:
            self._tell_at += TELL_SECONDS
            say(f"    {ran:,} of {self._folders:,}")
        return ran == self._folders

    def _edits(self) -> list[float]:
        """Edit some definitions; the seconds from each edit to the start of the run that it sets going."""
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


def _rest(daemon: Daemon, seconds: float) -> dict[str, Any]:
    """The share of a core and the memory that a daemon uses that has nothing to do."""

    def at_rest() -> bool:
        status = daemon.status()
        return not status["running"] and not status["waiting"]

    _wait(at_rest, POLL_SECONDS)
    time.sleep(QUIET_SECONDS)
    before, start = daemon.cpu_seconds, time.perf_counter()
    time.sleep(seconds)
    share = (daemon.cpu_seconds - before) / (time.perf_counter() - start)
    return {"idle_cpu": share, "idle_memory": daemon.memory}


def _wait(condition: Callable[[], Any], poll: float) -> Any:
    """Wait for something to become true, and give what it became."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        if time.monotonic() > end:
            raise SystemExit("The daemon does not come to an end with its many folders.")
        time.sleep(poll)
    return found
