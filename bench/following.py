"""Runs that ask only for what changed, and folders that follow at once, beside full runs over the same directory."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from functools import partial

import ldap3

from bench.daemon import Daemon, running
from bench.directory import dn, ldif
from bench.results import Following, Increment
from bench.servers import Servers, started
from bench.telling import say, turns

CHANGED = 10
PER_SECOND = 50
SESSION_LOG = 10_000
_CALM_SECONDS = 3.0
_PATIENCE = 60.0
_MODE = "UPDATE contactsync.sync_definitions SET mode = %s WHERE definition_id = %s"
_RUN = "SELECT mode, outcome, updated FROM contactsync.sync_runs WHERE run_id = %s"
# Told at the commit: what is heard can be read.
_TELL = """
CREATE FUNCTION public.tell_title() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('bench', NEW.title);
    RETURN NULL;
END;
$$;
CREATE TRIGGER bench_told AFTER UPDATE ON contactsync.contacts
    FOR EACH ROW WHEN (NEW.title LIKE 'Live %') EXECUTE FUNCTION public.tell_title();
"""


def measure_following(entries: int, pairs: int, live_seconds: float) -> Following:
    """Measure increments over so many people, and then a live folder for so long (0: not at all)."""
    say(f"Only what changed, in a directory of {entries:,} people with a session log.")
    with started(partial(ldif, range(entries)), session_log=SESSION_LOG) as servers, running(servers) as daemon:
        job = _Job(servers, daemon, entries)
        increments = job.increments(pairs)
        delays, cpu = job.live(live_seconds) if live_seconds else ([], 0.0)
        return Following(entries, increments, delays, cpu)


class _Job:
    """One folder with everybody in it."""

    def __init__(self, servers: Servers, daemon: Daemon, entries: int) -> None:
        self._servers = servers
        self._daemon = daemon
        self._entries = entries
        self._edits = 0
        with servers.connect() as connection:
            self._definition_id = servers.define(connection, mode="incremental")
        daemon.sync(self._definition_id)
        servers.settle()

    def increments(self, pairs: int) -> list[Increment]:
        """Full runs that find nothing changed, each with a run after it that asks for ten changes."""
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
        """The seconds from the directory's answer to a change until it is in PostgreSQL, and the idle daemon's CPU."""
        say(f"  live: {PER_SECOND} changes a second for {seconds:g} s")
        self._servers.administer(_TELL)
        self._set_mode("live")
        deadline = time.monotonic() + _PATIENCE
        while not self._daemon.status()["live"]["listening"]:
            if time.monotonic() > deadline:
                raise SystemExit("The folder is not listened for.")
            time.sleep(0.05)
        cpu, start = self._daemon.cpu_seconds, time.monotonic()
        time.sleep(_CALM_SECONDS)
        idle = (self._daemon.cpu_seconds - cpu) / (time.monotonic() - start)
        return _Delays(self._servers, self._entries).measure(seconds), idle

    def _set_mode(self, mode: str) -> None:
        with self._servers.connect() as connection:
            connection.execute(_MODE, [mode, self._definition_id])

    def _edit(self, number: int) -> None:
        self._edits += 1
        base = self._servers.slapd.people_base
        step = max(1, self._entries // number)
        self._servers.ldapmodify(
            "".join(
                f"dn: {dn(person * step, base)}\nchangetype: modify\nreplace: title\ntitle: Edit {self._edits}\n\n"
                for person in range(number)
            )
        )

    def _run(self, mode: str, outcome: str, updated: int) -> float:
        seconds, run_id = self._daemon.sync(self._definition_id)
        with self._servers.connect() as connection:
            row = connection.execute(_RUN, [run_id]).fetchone()
        if row != (mode, outcome, updated):
            raise SystemExit(f"A run ended with {row} in place of {(mode, outcome, updated)}.")
        return seconds


class _Delays:
    """Changes one person after the other, and hears when each change has arrived."""

    def __init__(self, servers: Servers, entries: int) -> None:
        self._servers = servers
        self._entries = entries
        self._answered: dict[str, float] = {}
        self._arrived: dict[str, float] = {}
        self._over = threading.Event()

    def measure(self, seconds: float) -> list[float]:
        """The delay of each change. Ends the benchmark when one does not arrive."""
        hearing = threading.Thread(target=self._hear)
        hearing.start()
        try:
            self._change(seconds)
            deadline = time.monotonic() + _PATIENCE
            while self._answered.keys() - self._arrived.keys():
                if time.monotonic() > deadline:
                    raise SystemExit(f"{len(self._answered.keys() - self._arrived.keys())} changes never arrived.")
                time.sleep(0.05)
        finally:
            self._over.set()
            hearing.join()
        return [max(0.0, self._arrived[title] - at) for title, at in self._answered.items()]

    def _change(self, seconds: float) -> None:
        with closing(_Directory(self._servers)) as directory:
            start = time.monotonic()
            for number in range(int(seconds * PER_SECOND)):
                title = f"Live {number}"
                # Nobody twice: a run between two changes of one person would tell the second only.
                directory.change(number % self._entries, title)
                self._answered[title] = time.monotonic()
                time.sleep(max(0.0, start + (number + 1) / PER_SECOND - time.monotonic()))

    def _hear(self) -> None:
        with self._servers.connect() as connection:
            connection.execute("LISTEN bench")
            while not self._over.is_set():
                for notify in connection.notifies(timeout=0.2):
                    self._arrived[notify.payload] = time.monotonic()


class _Directory:
    """A connection of the administrator's."""

    def __init__(self, servers: Servers) -> None:
        self._base = servers.slapd.people_base
        self._connection = servers.slapd.connection()

    def change(self, number: int, title: str) -> None:
        self._connection.modify(dn(number, self._base), {"title": [(ldap3.MODIFY_REPLACE, [title])]})

    def close(self) -> None:
        self._connection.unbind()
