"""Random changes and failures of the directory, the definitions, the connections and the servers."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

from ldap3 import MODIFY_REPLACE
from ldap3.core.exceptions import LDAPException

from bench.directory import TEAM_SIZE, attributes, dn, team_base
from tests.endurance.folders import Folders
from tests.endurance.nodes import Nodes
from tests.faults.trial import CONNECTION
from tests.faults.world import World
from tests.support.proxy import Fault

_MAPPINGS = ['{"fields": {"nickname": "uid"}}', '{"fields": {"notes": {"policy": "fill"}}}', None]
_BACKENDS = "SELECT pid FROM pg_stat_activity WHERE application_name ~ '^contactsync' AND datname = current_database()"


class Storm:
    """Everything that may happen at random; `problems` are defects that were found."""

    def __init__(self, servers: World, folders: Folders, nodes: Nodes, seed: str) -> None:
        self._servers = servers
        self._folders = folders
        self._nodes = nodes
        self._random = Random(seed)  # noqa: S311 -- repeatable, not secret
        self._done: Counter[str] = Counter()
        self._changes = 0
        self.problems: list[str] = []
        self._often: list[Callable[[], None]] = [self._change, self._change, self._edit, self._ask, self._fault]
        self._seldom: list[Callable[[], None]] = [
            self._restart_directory,
            self._restart_postgresql,
            self._kill_backends,
            self._replace_folder,
            self._reload,
        ]
        self._comers = nodes.all
        self._restarts: list[Callable[[], None]] = [self._restart_daemon, self._kill_daemon]
        if len(nodes.all) > 1:
            self._seldom += [self._stall_node, self._drain_node]

    def __str__(self) -> str:
        return ", ".join(f"{number} {what}" for what, number in sorted(self._done.items()))

    def rage(self, seconds: float, *, restarts: bool) -> None:
        """Let things happen for some seconds; with `restarts` the first daemon is restarted and killed like others."""
        end = time.monotonic() + seconds
        self._comers = self._nodes.all if restarts else self._nodes.all[1:]
        seldom = self._seldom + (self._restarts if self._comers else [])
        while time.monotonic() < end:
            act = self._random.choice(seldom if self._random.random() < 0.1 else self._often)
            act()
            self._done[act.__name__.strip("_").replace("_", " ")] += 1
            time.sleep(self._random.random() * 0.3)
            self.problems += self._nodes.defects()

    def end(self) -> None:
        """Repair all connections, and start what is down."""
        for proxy in self._servers.proxies:
            proxy.heal()
        self._servers.slapd.start()
        self._servers.postgres.start()

    def _team(self) -> int:
        return self._random.randrange(self._folders.number)

    def _person(self) -> tuple[int, str]:
        number = self._random.randrange(self._folders.number * TEAM_SIZE)
        return number, dn(number, team_base(number // TEAM_SIZE, self._servers.slapd.people_base))

    def _change(self) -> None:
        """Change, delete or add some people."""
        admin = self._servers.slapd.connection()
        for _ in range(10):
            number, name = self._person()
            with suppress(LDAPException):  # of a person who is not there, or already is
                self._changes += 1
                match self._random.choice(["change", "change", "come", "leave"]):
                    case "change":
                        admin.modify(name, {"title": [(MODIFY_REPLACE, [f"Change {self._changes}"])]})
                    case "come":
                        admin.add(name, "inetOrgPerson", attributes(number))
                    case _:
                        admin.delete(name)
        admin.unbind()

    def _edit(self) -> None:
        """Edit a definition: its mapping, page size or deadline."""
        column, value = self._random.choice(
            [*(("mapping", mapping) for mapping in _MAPPINGS), ("page_size", 5), ("deadline_seconds", 15)]
        )
        self._sql(
            f"UPDATE contactsync.sync_definitions AS d SET {column} = %s FROM contactsync.folders AS f"  # noqa: S608
            " WHERE f.folder_id = d.folder_id AND f.name = %s",
            value,
            self._folders.name(self._team()),
        )

    def _ask(self) -> None:
        """Request a run."""
        self._sql("SELECT contactsync.request_sync(%s)", self._folders.name(self._team()))

    def _fault(self) -> None:
        """Arm a fault in a proxy, after repairing it."""
        proxy = self._random.choice(self._servers.proxies)
        proxy.heal()
        to_server = self._random.choice([True, False])
        proxy.arm(Fault(self._random.choice(CONNECTION), to_server, self._random.randrange(50_000)))

    def _restart_directory(self) -> None:
        self._servers.slapd.kill()
        self._servers.slapd.start()

    def _restart_postgresql(self) -> None:
        self._servers.postgres.crash()
        self._servers.postgres.start()

    def _kill_backends(self) -> None:
        pids = [pid for (pid,) in self._folders.connection.execute(_BACKENDS)]
        self._servers.postgres.kill_backends(*pids)

    def _replace_folder(self) -> None:
        """Delete a folder with everything in it, and add it again."""
        team = self._team()
        self._sql("DELETE FROM contactsync.folders WHERE name = %s", self._folders.name(team))
        self._folders.add(team)
        self._sql(
            "INSERT INTO contactsync.contacts (folder_id, display_name)"
            " SELECT folder_id, 'Mum' FROM contactsync.folders WHERE name = %s",
            self._folders.name(team),
        )

    def _reload(self) -> None:
        self._random.choice(self._nodes.all).send(signal.SIGHUP)

    def _restart_daemon(self) -> None:
        self.end()
        daemon = self._random.choice(self._comers)
        if daemon.stop() != 0:
            self.problems.append("The daemon did not stop in order.")
        daemon.start()

    def _kill_daemon(self) -> None:
        self.end()
        daemon = self._random.choice(self._comers)
        daemon.send(signal.SIGKILL)
        daemon.wait()
        daemon.start()

    def _stall_node(self) -> None:
        """Stop a node for so long that the others may end it, or not."""
        node = self._random.choice(self._nodes.all)
        node.send(signal.SIGSTOP)
        time.sleep(self._random.uniform(1.0, 9.0))
        node.send(signal.SIGCONT)

    def _drain_node(self) -> None:
        """Drain a node for a moment."""
        node = self._nodes.name_of(self._random.choice(self._nodes.all))
        draining = "UPDATE contactsync.fleet_nodes SET draining = %s WHERE name = %s AND ended_at IS NULL"
        self._sql(draining, True, node)  # noqa: FBT003 -- a value
        time.sleep(self._random.uniform(0.5, 2.0))
        self._sql(draining, False, node)  # noqa: FBT003 -- a value

    def _sql(self, statement: Any, *values: Any) -> None:
        self._folders.connection.execute(statement, values)
