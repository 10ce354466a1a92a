"""A fleet: several daemons as processes on one database, each with its own socket."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from contactsync.testing.slapd import PrivateSlapd
from tests.support.daemon_client import SocketClient
from tests.support.definitions import define
from tests.support.processes import DaemonProcess
from tests.support.waiting import wait_until


class FleetNode(DaemonProcess, SocketClient):
    """One daemon of a fleet, and a client of its socket."""

    def __init__(self, name: str, database: str, directory: Path, **settings: str) -> None:
        fleet = {"CONTACTSYNC_FLEET__ENABLED": "true", "CONTACTSYNC_FLEET__NAME": name}
        super().__init__(database, directory, **fleet, **settings)
        self.name = name
        self.connect(Path(self.state) / "control.sock")

    def follows(self, number: int) -> bool:
        """Whether it has read so many definitions."""
        return bool(self.get("/v1/status")["definitions"] >= number)

    def is_ready(self) -> bool:
        """Whether it has no problems."""
        return not self.get("/v1/status")["problems"]

    def kill(self) -> None:
        """End it without warning, and wait for its end."""
        self.send(signal.SIGKILL)
        self.wait()

    def end(self) -> None:
        """Leave nothing running after a test, also if it is stopped."""
        self.http.close()
        super().end()


class Fleet:
    """Nodes that share one database and one directory."""

    def __init__(self, nodes: list[FleetNode], database: str, directory: PrivateSlapd) -> None:
        self.nodes = nodes
        self.directory = directory
        self.person = psycopg.connect(database, autocommit=True)

    def close(self) -> None:
        """Close its connection, which a test may have replaced."""
        self.person.close()

    def __getitem__(self, number: int) -> FleetNode:
        return self.nodes[number]

    def define(self, name: str, **columns: Any) -> int:
        """Add a definition that runs on request only."""
        return define(self.person, self.directory, name, **{"schedule": "manual", **columns})

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a statement that is written in a test."""
        return self.person.execute(statement, values).fetchall()  # type: ignore[arg-type, unused-ignore]

    def value(self, statement: str, *values: Any) -> Any:
        """The only value of a statement that is written in a test."""
        ((value,),) = self.rows(statement, *values)
        return value

    def named(self, name: str) -> FleetNode:
        """The node with this name."""
        return next(node for node in self.nodes if node.name == name)

    def running(self, definition_id: int) -> tuple[int, str]:
        """Run and node of the present run of a definition, which may start a moment later."""
        statement = "SELECT run_id, node FROM contactsync.sync_runs WHERE definition_id = %s AND finished_at IS NULL"
        ((run_id, node),) = wait_until(lambda: self.rows(statement, definition_id), f"a run of {definition_id}")
        return run_id, node

    def leader(self) -> FleetNode | None:
        """The node that runs the schedule, as the database says."""
        names = [
            name for (name,) in self.rows("SELECT name FROM contactsync.fleet_nodes WHERE ended_at IS NULL AND leads")
        ]
        return next((node for node in self.nodes if node.name in names), None)

    def wait_for_leader(self, *others: FleetNode) -> FleetNode:
        """The leader, when there is one that is none of `others`."""
        leader = wait_until(lambda: (found := self.leader()) not in others and found, "a leader")
        assert isinstance(leader, FleetNode)
        return leader

    def wait_for_definitions(self, number: int) -> None:
        """Wait until each node has read so many definitions."""
        for node in self.nodes:
            wait_until(partial(node.follows, number), "definitions")


@contextmanager
def running_fleet(
    database: str,
    directory: PrivateSlapd,
    place: Path,
    number: int = 3,
    *,
    through: Sequence[str] = (),
    **settings: str,
) -> Iterator[Fleet]:
    """Start so many nodes, named node-1 and so on. `through` are their ways to the database, if they are others.

    Each has the password in an environment variable of its own: ONLY_1 and so on. `credentials` in its directory is for
    its credentials.
    """
    settings = {"CONTACTSYNC_SECRETS__KEY_FILE": str(place / "secret.key"), **settings}
    with ExitStack() as stack:
        nodes = []
        settings = {"READER": directory.reader_password, "WRONG": "wrong", **settings}
        for index, way in enumerate(through or [database] * number, start=1):
            (place / f"node-{index}").mkdir()
            own = {f"ONLY_{index}": directory.reader_password}
            own["CREDENTIALS_DIRECTORY"] = str(place / f"node-{index}" / "credentials")
            node = FleetNode(f"node-{index}", way, place / f"node-{index}", **settings, **own)
            stack.callback(node.end)
            nodes.append(node)
        nodes[0].start()  # creates the tables of the queue
        for node in nodes[1:]:
            node.launch()
        for node in nodes[1:]:
            node.wait_for_start()
        fleet = Fleet(nodes, database, directory)
        stack.callback(fleet.close)
        fleet.wait_for_leader()
        yield fleet
