"""Random harms to the nodes of a fleet, changes and requests meanwhile, and what must be true afterwards."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import Any, Self

import httpx
import ldap3
import psycopg

from bench.directory import TEAM_SIZE
from tests.support.fleet import Fleet, FleetNode
from tests.support.fleet_servers import FleetServers, MeteredDirectory
from tests.support.waiting import wait_until

_END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE %s"
_RUNS = "SELECT count(*) FROM contactsync.sync_runs WHERE finished_at IS NOT NULL"
_OVERLAPS = """
SELECT count(*) FROM (
    SELECT started_at, max(finished_at) OVER (PARTITION BY definition_id ORDER BY run_id
                                              ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS others
    FROM contactsync.sync_runs) AS r
WHERE started_at < others
"""
_LATE = """
SELECT count(*) FROM contactsync.contact_changes AS c JOIN contactsync.sync_runs AS r USING (run_id)
WHERE r.outcome IS DISTINCT FROM 'changed'
"""
_UNANSWERED = """
SELECT count(*) FROM contactsync.sync_requests AS q LEFT JOIN contactsync.sync_runs AS r USING (run_id)
WHERE q.state <> 'done' OR r.run_id IS NULL OR r.finished_at < q.requested_at
"""
_INTERVALS = """
SELECT d.query, r.started_at, r.finished_at
FROM contactsync.sync_runs AS r JOIN contactsync.sync_definitions AS d USING (definition_id)
WHERE r.finished_at IS NOT NULL AND r.outcome <> 'interrupted'
"""
_CALM = """
SELECT (SELECT count(*) FROM contactsync_queue.procrastinate_jobs)
     + (SELECT count(*) FROM contactsync.sync_requests WHERE finished_at IS NULL)
     + (SELECT count(*) FROM contactsync.sync_runs WHERE finished_at IS NULL)
"""
_JOBS = "SELECT * FROM contactsync_queue.procrastinate_jobs"
_CONTACTS = """
SELECT c.source_dn, c.title FROM contactsync.contacts AS c JOIN contactsync.sync_definitions AS d USING (definition_id)
WHERE d.query = %s
"""


class Harms:
    """Harms to one node at a time, by a seed. Whatever happens, the node is there again or about to join again.

    `done` counts the harms by their kind.
    """

    def __init__(self, fleet: Fleet, servers: FleetServers, seed: Any) -> None:
        self._fleet = fleet
        self._servers = servers
        self._chances = random.Random(seed)  # noqa: S311 -- repeatable, not secret
        self._kinds: dict[str, Callable[[FleetNode], None]] = {
            "kill -9": self._kill,
            "SIGSTOP": self._stop,
            "SIGTERM": self._end,
            "drain": self._drain,
            "ended sessions": self._end_sessions,
            "network cut": self._cut,
        }
        self._bag: list[str] = []
        self.done: Counter[str] = Counter()

    def strike(self) -> None:
        """Harm a node; each kind comes once before one comes again."""
        if not self._bag:
            self._bag = self._chances.sample(sorted(self._kinds), len(self._kinds))
        kind = self._bag.pop()
        self._kinds[kind](self._chances.choice(self._fleet.nodes))
        self.done[kind] += 1

    def rest(self, most: float) -> None:
        """Let some time pass, up to `most` seconds."""
        time.sleep(self._chances.uniform(0.0, most))

    def _kill(self, node: FleetNode) -> None:
        node.kill()
        self.rest(4)
        node.start()

    def _stop(self, node: FleetNode) -> None:
        node.send(signal.SIGSTOP)
        time.sleep(self._chances.uniform(1.0, 9.0))
        node.send(signal.SIGCONT)

    def _end(self, node: FleetNode) -> None:
        code = node.stop()
        assert code == 0, f"{node.name} ended with {code}: {node.text()[-2000:]}"
        node.start()

    def _drain(self, node: FleetNode) -> None:
        _post(node, "drain")
        self.rest(2)
        _post(node, "resume")

    def _end_sessions(self, node: FleetNode) -> None:
        self._fleet.rows(_END_SESSIONS, f"contactsync {node.name} %")

    def _cut(self, node: FleetNode) -> None:
        link = self._servers.links[self._fleet.nodes.index(node)]
        link.pause()
        time.sleep(self._chances.uniform(1.0, 9.0))
        link.heal()


def _post(node: FleetNode, deed: str) -> None:
    """Drain or resume a node; it may be about to join again."""
    with suppress(httpx.HTTPError):
        node.http.post(f"/v1/fleet/{deed}", params={"node": node.name})


class Traffic:
    """Changes people of the directories and requests runs, on a thread of its own, until it is closed."""

    def __init__(self, servers: FleetServers, conninfo: str, seed: Any) -> None:
        self._servers = servers
        self._conninfo = conninfo
        self._chances = random.Random(seed)  # noqa: S311 -- repeatable, not secret
        self._over = threading.Event()
        self.changes = self.requests = 0
        self._thread = threading.Thread(target=self._go, name="traffic")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _go(self) -> None:
        admins = [(each, each.slapd.connection()) for each in self._servers.directories]
        with psycopg.connect(self._conninfo, autocommit=True) as person:
            names = [name for (name,) in person.execute("SELECT name FROM contactsync.folders ORDER BY name")]
            for turn in count():
                if self._over.wait(0.05):
                    break
                directory, admin = self._chances.choice(admins)
                number = self._chances.randrange(directory.teams * TEAM_SIZE)
                admin.modify(directory.person(number), {"title": [(ldap3.MODIFY_REPLACE, [f"Title {turn}"])]})
                self.changes += 1
                if turn % 10 == 0:
                    person.execute("SELECT contactsync.request_sync(%s)", [self._chances.choice(names)])
                    self.requests += 1
        for _, admin in admins:
            admin.unbind()


def define_teams(fleet: Fleet, servers: FleetServers, **columns: Any) -> list[int]:
    """A definition for each team of each directory, which reads the whole team in each run."""
    return [
        fleet.define(f"Team {number}-{team}", **directory.definition(team, **{"mode": "full", **columns}))
        for number, directory in enumerate(servers.directories)
        for team in range(directory.teams)
    ]


def finished_runs(fleet: Fleet) -> int:
    """The number of runs that have ended."""
    return int(fleet.value(_RUNS))


def come_to_rest(fleet: Fleet) -> None:
    """Let no schedule fire any more, and run each definition once more. No request is unanswered then."""
    fleet.person.execute("UPDATE contactsync.sync_definitions SET schedule = 'manual'")
    wait_until(lambda: fleet.value(_CALM) == 0, lambda: f"the queue to be empty: {fleet.rows(_JOBS)}")
    fleet[0].post("/v1/sync", 202)
    wait_until(lambda: fleet.value(_CALM) == 0, lambda: f"the queue to be empty: {fleet.rows(_JOBS)}")


def overlaps(fleet: Fleet) -> int:
    """Runs that began before an earlier run of the same definition had ended."""
    return int(fleet.value(_OVERLAPS))


def late_commits(fleet: Fleet) -> int:
    """Changes of contacts by runs that did not end as runs with changes."""
    return int(fleet.value(_LATE))


def unanswered_requests(fleet: Fleet) -> int:
    """Requests by SQL that no run answered which was in progress after them. The start of a run takes its requests."""
    return int(fleet.value(_UNANSWERED))


def most_at_once(fleet: Fleet) -> int:
    """The most runs on one server at once, by their rows, but not those that are closed long after a node has ended."""
    instants = []
    for server, started_at, finished_at in fleet.rows(_INTERVALS):
        instants += [(started_at, 1, server), (finished_at, -1, server)]
    running: Counter[str] = Counter()
    most = 0
    for _, step, server in sorted(instants):
        running[server] += step
        most = max(most, running[server])
    return most


def differences(fleet: Fleet, servers: FleetServers) -> Iterator[str]:
    """Contacts that are not what the directories have."""
    for directory in servers.directories:
        query = directory.definition(0)["query"]
        wanted, found = _titles(directory), dict(fleet.rows(_CONTACTS, query))
        for name in sorted(wanted.keys() | found.keys()):
            if wanted.get(name) != found.get(name):
                yield f"{name} has the title {found.get(name)} in place of {wanted.get(name)}"


def _titles(directory: MeteredDirectory) -> dict[str, str]:
    admin = directory.slapd.connection()
    admin.search(directory.slapd.people_base, "(objectClass=inetOrgPerson)", ldap3.SUBTREE, attributes=["title"])
    titles = {each["dn"]: each["raw_attributes"]["title"][0].decode() for each in admin.response}
    admin.unbind()
    return titles
