"""The drop-in of systemd for a node, started as processes: systemd itself need not be running."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from contactsync.testing.ports import ReservedPort
from tests.support.processes import DaemonProcess
from tests.support.resources import short_directory

DROP_IN = Path(__file__).parents[3] / "deploy" / "systemd" / "contactsync.service.d" / "fleet.conf"
URL = "CONTACTSYNC_DATABASE__URL"


def environment(host: str) -> dict[str, str]:
    """What the drop-in sets on a machine with this short name."""
    lines = DROP_IN.read_text(encoding="utf-8").splitlines()
    assigned = [line.partition("=")[2] for line in lines if line.startswith("Environment=")]
    return dict(word.replace("%l", host).split("=", 1) for text in assigned for word in shlex.split(text))


def example() -> dict[str, str]:
    """The parameters of the connection string that the drop-in shows for the file with the environment."""
    (line,) = [line for line in DROP_IN.read_text(encoding="utf-8").splitlines() if line.startswith(f"# {URL}=")]
    return {name: str(value) for name, value in conninfo_to_dict(line.partition("=")[2]).items()}


@pytest.fixture
def nodes(database: str) -> Iterator[list[DaemonProcess]]:
    """Start two nodes as the drop-in says; of the servers in their connection string the first is away."""
    away = ReservedPort()
    server = conninfo_to_dict(database)
    through = make_conninfo(
        database,
        host=f"127.0.0.1,{server['host']}",
        port=f"{away.number},{server.get('port') or 5432}",
        target_session_attrs=example()["target_session_attrs"],
    )
    with short_directory() as place:
        started = []
        try:
            for host in ("alpha", "beta"):
                (place / host).mkdir()
                key = {"CONTACTSYNC_SECRETS__KEY_FILE": str(place / "secret.key")}
                started.append(DaemonProcess(through, place / host, **environment(host), **key))
                started[-1].start()
            yield started
        finally:
            for node in started:
                node.end()
            away.release()


def test_the_drop_in_makes_a_node(nodes: list[DaemonProcess]) -> None:
    """Named like its host; it waits for the server that accepts writes, and leaves the fleet at its stop."""
    assert example()["host"].count(",") == 2
    joined = [node.events("fleet.joined")[0]["node"] for node in nodes]
    assert joined == ["alpha", "beta"]
    leader, other = sorted(nodes, key=lambda node: not node.events("fleet.leads"))
    assert leader.stop() == 0
    other.wait_for_event("fleet.leads")
    assert other.stop() == 0
    assert [node.events("fleet.crashed") for node in nodes] == [[], []]
