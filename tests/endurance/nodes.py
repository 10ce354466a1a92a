"""The daemons of a soak: one, or the nodes of a fleet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from psycopg import Connection

from tests.endurance.vitals import Log
from tests.support.fleet import FleetNode
from tests.support.processes import DaemonProcess

_NOTICE_SECONDS = 10.0
"""After how long the others have ended a node that died last, and it has joined again."""
_LEFTOVERS = """
SELECT 'a message of ' || sent_at FROM contactsync.fleet_messages WHERE sent_at < now() - interval '1 minute'
UNION ALL
SELECT 'the worker ' || w.id FROM contactsync_queue.procrastinate_workers AS w
WHERE w.last_heartbeat < now() - interval '1 minute'
  AND NOT EXISTS (SELECT FROM contactsync.fleet_nodes AS n WHERE n.worker_id = w.id AND n.ended_at IS NULL)
UNION ALL
SELECT 'the job ' || j.id FROM contactsync_queue.procrastinate_jobs AS j
WHERE j.status = 'doing'
  AND NOT EXISTS (SELECT FROM contactsync.fleet_nodes AS n WHERE n.worker_id = j.worker_id AND n.ended_at IS NULL)
UNION ALL
SELECT 'the listener ' || l.listener FROM contactsync.fleet_listeners AS l
WHERE NOT EXISTS (SELECT FROM contactsync.fleet_nodes AS n WHERE n.node_id = l.node_id AND n.ended_at IS NULL)
"""


class Nodes:
    """Daemons with the same settings, and their logs."""

    def __init__(self, database: str, place: Path, number: int, **settings: str) -> None:
        self.all: list[DaemonProcess] = []
        self._is_fleet = number > 1
        for name in [f"node-{index}" for index in range(1, number + 1)]:
            own = place / name
            own.mkdir()
            if self._is_fleet:
                key = {"CONTACTSYNC_SECRETS__KEY_FILE": str(place / "secret.key")}
                self.all.append(FleetNode(name, database, own, **settings, **key))
            else:
                self.all.append(DaemonProcess(database, own, **settings))
        self._logs = [Log(Path(node.state).with_name("daemon.log")) for node in self.all]

    @property
    def first(self) -> DaemonProcess:
        """The one that stays."""
        return self.all[0]

    @property
    def notice_seconds(self) -> float:
        """How long a fleet may need until it is complete again."""
        return _NOTICE_SECONDS if self._is_fleet else 0.0

    def name_of(self, node: DaemonProcess) -> str:
        """The name of a node of the fleet."""
        return f"node-{self.all.index(node) + 1}"

    def start(self) -> None:
        """Start all; the first one creates the tables."""
        for node in self.all:
            node.start()

    def end(self) -> None:
        """Leave nothing running."""
        for node in self.all:
            node.end()

    def defects(self) -> list[str]:
        """Of the new lines of all logs, those that no failure of the servers explains."""
        return [line for log in self._logs for line in log.defects()]

    def complaints(self) -> list[str]:
        """Of the new lines of all logs, every warning and error."""
        return [line for log in self._logs for line in log.complaints()]

    def leftovers(self, connection: Connection[Any]) -> Iterator[str]:
        """What dead nodes have left behind in the tables of a fleet."""
        if self._is_fleet:
            for (what,) in connection.execute(_LEFTOVERS):
                yield f"{what} of a dead node is left."
