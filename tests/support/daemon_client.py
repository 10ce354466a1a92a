"""A daemon with a folder `Staff` of forty people, and a client of its control socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg

from contactsync.testing.slapd import PrivateSlapd
from tests.support.definitions import define, outcomes
from tests.support.processes import DaemonProcess
from tests.support.waiting import PATIENCE, wait_until


class SocketClient:
    """Requests to a daemon over its control socket."""

    http: httpx.Client

    def connect(self, socket_path: Path) -> None:
        """Make the client; it connects with the first request."""
        transport = httpx.HTTPTransport(uds=str(socket_path))
        self.http = httpx.Client(transport=transport, base_url="http://daemon", timeout=PATIENCE)

    def get(self, path: str, **query: Any) -> Any:
        """The document of a GET that must succeed."""
        response = self.http.get(path, params=query)
        assert response.status_code == 200, response.text
        return response.json()

    def post(self, path: str, status: int = 200, **query: Any) -> Any:
        """The document of a POST that must have this status."""
        response = self.http.post(path, params=query)
        assert response.status_code == status, response.text
        return response.json()

    def run(self, definition_id: int) -> dict[str, Any]:
        """The document of a run that is made now."""
        (run,) = self.post(f"/v1/definitions/{definition_id}/sync", wait=True)["runs"]
        assert isinstance(run, dict)
        return run


class DaemonClient(SocketClient):
    """A daemon, its directory, its database and a client of its control socket."""

    def __init__(self, daemon: DaemonProcess, socket_path: Path, database: str, directory: PrivateSlapd) -> None:
        self.daemon = daemon
        self.path = socket_path
        self.directory = directory
        self.person = psycopg.connect(database, autocommit=True)
        self.connect(socket_path)
        self.staff = 0

    def define(self, name: str, **columns: Any) -> int:
        """Add a definition that runs on request only."""
        return define(self.person, self.directory, name, **{"schedule": "manual", **columns})

    def definitions(self, **query: Any) -> list[dict[str, Any]]:
        """The first page of definitions."""
        return list(self.get("/v1/definitions", **query)["definitions"])

    def problem(self, method: str, path: str, status: int, **query: Any) -> dict[str, Any]:
        """The problem document of a request that must fail with this status."""
        response = self.http.request(method, path, params=query)
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"
        problem = response.json()
        assert isinstance(problem, dict)
        assert (problem["status"], problem["instance"]) == (status, path)
        assert problem.keys() >= {"type", "title", "detail", "code"}
        return problem

    def outcomes(self, definition_id: int) -> list[str | None]:
        """The outcomes of a definition's runs, oldest first."""
        return outcomes(self.person, definition_id)

    def running(self, definition_id: int) -> int:
        """The id of the present run of a definition, which may start a moment later."""

        def run_id() -> int | None:
            runs = self.get("/v1/status")["running"]
            return next((run["run_id"] for run in runs if run["definition_id"] == definition_id), None)

        return int(wait_until(run_id, f"a run of {definition_id}"))

    def raw(self) -> socket.socket:
        """A connection to the socket, for octets that no client library sends."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(str(self.path))  # with a time limit it would not wait for a place in the backlog
        connection.settimeout(PATIENCE)
        return connection

    def close(self) -> None:
        """Close the connections."""
        self.http.close()
        self.person.close()


@contextmanager
def running_daemon(database: str, directory: PrivateSlapd, place: Path, **settings: str) -> Iterator[DaemonClient]:
    """Start a daemon whose files are in `place`, and fill `Staff`."""
    daemon = DaemonProcess(database, place, READER=directory.reader_password, **settings)
    socket_path = Path(settings.get("CONTACTSYNC_CONTROL__SOCKET", place / "state" / "control.sock"))
    client = DaemonClient(daemon, socket_path, database, directory)
    try:
        daemon.start()
        client.staff = client.define("Staff")
        wait_until(lambda: client.get("/v1/status")["definitions"], "the daemon to see the definition")
        client.run(client.staff)
        yield client
    finally:
        client.close()
        daemon.end()
