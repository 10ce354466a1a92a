"""A daemon with a folder `Staff` of forty people, asked over its control socket."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg

from contactsync.testing.people import write_people
from contactsync.testing.slapd import PrivateSlapd
from tests.acceptance.conftest import PATIENCE, DaemonProcess, wait_until
from tests.acceptance.test_daemon import define, outcomes

PEOPLE = 40


class Asking:
    """Everything that a test of the control socket needs."""

    def __init__(self, daemon: DaemonProcess, socket_path: Path, database: str, directory: PrivateSlapd) -> None:
        self.daemon = daemon
        self.path = socket_path
        self.directory = directory
        self.person = psycopg.connect(database, autocommit=True)
        self.http = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(socket_path)), base_url="http://daemon", timeout=PATIENCE
        )
        self.staff = 0

    def define(self, name: str, **columns: Any) -> int:
        """Add a definition that runs when it is asked to."""
        return define(self.person, self.directory, name, **{"schedule": "manual", **columns})

    def get(self, path: str, **query: Any) -> Any:
        """What a GET gives, which must succeed."""
        response = self.http.get(path, params=query)
        assert response.status_code == 200, response.text
        return response.json()

    def post(self, path: str, status: int = 200, **query: Any) -> Any:
        """What a POST gives, which must end with this status."""
        response = self.http.post(path, params=query)
        assert response.status_code == status, response.text
        return response.json()

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
        """The id of the run of a definition that goes on, which begins in a moment at the latest."""

        def look() -> int | None:
            runs = self.get("/v1/status")["running"]
            return next((run["run_id"] for run in runs if run["definition_id"] == definition_id), None)

        return int(wait_until(look, f"a run of {definition_id}"))

    def raw(self) -> socket.socket:
        """A connection to the socket, for what no client library would send."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(str(self.path))  # with a time limit it would not wait for a place in the backlog
        connection.settimeout(PATIENCE)
        return connection

    def close(self) -> None:
        """Hang up."""
        self.http.close()
        self.person.close()


@contextmanager
def asking(
    database: str, directory: PrivateSlapd, place: Path, *, command: Sequence[str] = (), **settings: str
) -> Iterator[Asking]:
    """Start a daemon whose files are in `place`, by another command if one is given, and fill `Staff`."""
    daemon = DaemonProcess(database, place, READER=directory.reader_password, **settings)
    asked = Asking(daemon, place / "state" / "control.sock", database, directory)
    try:
        daemon.start(*command)
        asked.staff = asked.define("Staff")
        wait_until(lambda: asked.get("/v1/status")["definitions"], "the daemon to see the definition")
        asked.post("/v1/definitions/Staff/sync", wait=True)
        yield asked
    finally:
        asked.close()
        daemon.end()


def people() -> str:
    """LDIF of forty people."""
    stream = io.BytesIO()
    write_people(stream, PEOPLE, seed=7, suffix="dc=example,dc=test")
    return stream.getvalue().decode()
