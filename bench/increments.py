"""Incremental runs and live folders, compared with full runs over the same directory."""

from __future__ import annotations

import threading
import time
from functools import partial

import ldap3

from bench.daemon import Daemon, running
from bench.directory import dn, ldif, title_change
from bench.results import Following, Increment
from bench.servers import Servers, started
from bench.terminal import say, turns, wait_for

CHANGED = 10
PER_SECOND = 50
SESSION_LOG = 10_000
_IDLE_SECONDS = 3.0
_PATIENCE = 60.0
_MODE = "UPDATE contactsync.sync_definitions SET mode = %s WHERE definition_id = %s"
_RUN = "SELECT mode, outcome, updated FROM contactsync.sync_runs WHERE run_id = %s"
# PostgreSQL notifies at the commit, when the row can be read.
_NOTIFY = """
CREATE FUNCTION public.notify_title() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('bench', NEW.title);
    RETURN NULL;
END;
$$;
CREATE TRIGGER bench_notify AFTER UPDATE ON contactsync.contacts
    FOR EACH ROW WHEN (NEW.title LIKE 'Live %') EXECUTE FUNCTION public.notify_title();
"""


def measure_increments(entries: int, pairs: int, live_seconds: float) -> Following:
    """Measure incremental runs over this many people, and then a live folder for some seconds (0: not at all)."""
    say(f"Increments in a directory of {entries:,} people with a session log.")
    with started(partial(ldif, range(entries)), session_log=SESSION_LOG) as servers, running(servers) as daemon:
        job = _Job(servers, daemon, entries)
        increments = job.increments(pairs)
        delays, cpu = job.live(live_seconds) if live_seconds else ([], 0.0)
        return Following(entries, increments, delays, cpu)


class _Job:
    """One folder with everyone in it."""

    def __init__(self, servers: Servers, daemon: Daemon, entries: int) -> None:
        self._servers = servers
        self._daemon = daemon
        self._entries = entries
        self._edits = 0
        with servers.connect() as connection:
            self._definition_id = servers.define(connection, mode="incremental")
        daemon.sync(self._definition_id)
        servers.vacuum()

    def increments(self, pairs: int) -> list[Increment]:
        """Full runs that find nothing changed, each followed by an incremental run of ten changes."""
        say(f"  {CHANGED} changed: {turns(pairs)} with a full run that finds nothing changed")
        made = []
        for _ in range(pairs):
            self._set_mode("full")
            full = self._run("full", "unchanged", 0)
            self._set_mode("incremental")
            self._edit(CHANGED)
            made.append(Increment(self._run("incremental", "changed", CHANGED), full))
        return made

    def live(self, seconds: float) -> tuple[list[float], float]:
        """Seconds from the response to each change until it is in PostgreSQL, and the idle daemon's share of a core."""
        say(f"  live: {PER_SECOND} changes a second for {seconds:g} s")
        self._servers.administer(_NOTIFY)
        self._set_mode("live")
        listening = lambda: self._daemon.status()["live"]["listening"]  # noqa: E731 -- a condition
        wait_for(listening, "The daemon does not listen for changes of the folder.", seconds=_PATIENCE)
        cpu, start = self._daemon.cpu_seconds, time.monotonic()
        time.sleep(_IDLE_SECONDS)
        idle = (self._daemon.cpu_seconds - cpu) / (time.monotonic() - start)
        return _Delays(self._servers, self._entries).measure(seconds), idle

    def _set_mode(self, mode: str) -> None:
        with self._servers.connect() as connection:
            connection.execute(_MODE, [mode, self._definition_id])

    def _edit(self, number: int) -> None:
        self._edits += 1
        base, step = self._servers.slapd.people_base, max(1, self._entries // number)
        changes = (title_change(person * step, base, f"Edit {self._edits}") for person in range(number))
        self._servers.ldapmodify("".join(changes))

    def _run(self, mode: str, outcome: str, updated: int) -> float:
        seconds, run_id = self._daemon.sync(self._definition_id)
        with self._servers.connect() as connection:
            row = connection.execute(_RUN, [run_id]).fetchone()
        if row != (mode, outcome, updated):
            raise SystemExit(f"A run ended with {row} in place of {(mode, outcome, updated)}.")
        return seconds


class _Delays:
    """Changes one person after the other, and notes when each change has arrived."""

    def __init__(self, servers: Servers, entries: int) -> None:
        self._servers = servers
        self._entries = entries
        self._answered: dict[str, float] = {}
        self._arrived: dict[str, float] = {}
        self._over = threading.Event()

    def measure(self, seconds: float) -> list[float]:
        """The delay of each change. Ends the benchmark if one does not arrive."""
        listener = threading.Thread(target=self._listen)
        listener.start()
        try:
            self._change(seconds)
            arrived = lambda: self._answered.keys() <= self._arrived.keys()  # noqa: E731 -- a condition
            wait_for(arrived, "Some changes have not arrived.", seconds=_PATIENCE)
        finally:
            self._over.set()
            listener.join()
        return [max(0.0, self._arrived[title] - at) for title, at in self._answered.items()]

    def _change(self, seconds: float) -> None:
        admin, base = self._servers.slapd.connection(), self._servers.slapd.people_base
        start = time.monotonic()
        for number in range(int(seconds * PER_SECOND)):
            title = f"Live {number}"
            # One person after the other: of two changes of one person a run may see the second only.
            admin.modify(dn(number % self._entries, base), {"title": [(ldap3.MODIFY_REPLACE, [title])]})
            self._answered[title] = time.monotonic()
            time.sleep(max(0.0, start + (number + 1) / PER_SECOND - time.monotonic()))
        admin.unbind()

    def _listen(self) -> None:
        with self._servers.connect() as connection:
            connection.execute("LISTEN bench")
            while not self._over.is_set():
                for notify in connection.notifies(timeout=0.2):
                    self._arrived[notify.payload] = time.monotonic()
