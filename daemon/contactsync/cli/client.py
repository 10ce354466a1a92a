"""A client of the daemon's control socket."""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from contactsync.cli.errors import exit_code_of
from contactsync.errors import ControlError, ControlForbidden

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

TIMEOUT_SECONDS = 10.0
_CONNECT_RETRIES = 4
"""Connection retries while the socket's backlog is full; they take 3.5 s in all."""


class DaemonError(ControlError):
    """The daemon answered with a problem document; the code is the document's."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(problem["detail"], hint=problem.get("hint") or "")
        self.code = problem["code"]
        self.exit_code = exit_code_of(problem["code"])  # type: ignore[misc]


class Daemon:
    """A running daemon. Every method raises DaemonError for a problem, ControlError if the connection breaks."""

    def __init__(self, client: httpx.Client, path: Path) -> None:
        self._client = client
        self._path = path

    def get(self, path: str, **query: Any) -> Any:
        """The API's answer to a GET."""
        return self._request("GET", path, query, TIMEOUT_SECONDS)

    def post(self, path: str, *, timeout: float | None = TIMEOUT_SECONDS, **query: Any) -> Any:
        """The API's answer to a POST; `timeout` in seconds, None for no limit."""
        return self._request("POST", path, query, timeout)

    def events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Kind and data of each event from now on, until the daemon ends the stream."""
        with self._errors(), self._client.stream("GET", "/v1/events", timeout=TIMEOUT_SECONDS) as response:
            kind = ""
            for line in response.iter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    yield kind, json.loads(value)

    def _request(self, method: str, path: str, query: dict[str, Any], timeout: float | None) -> Any:
        given = {name: value for name, value in query.items() if value is not None}
        with self._errors():
            response = self._client.request(method, path, params=given, timeout=timeout)
        if response.is_error:
            raise DaemonError(response.json())
        return response.json()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        import httpx

        try:
            yield
        except httpx.HTTPError:
            raise ControlError(f"The daemon at {self._path} gave no answer.", hint="Its log has the reason.") from None


@contextmanager
def live_daemon(path: Path) -> Iterator[Daemon | None]:
    """The daemon that serves this socket; None if no process does. Raises ControlForbidden."""
    if not _is_served(path):
        yield None
        return
    import httpx

    transport = httpx.HTTPTransport(uds=str(path), retries=_CONNECT_RETRIES)
    with httpx.Client(transport=transport, base_url="http://daemon") as client:
        yield Daemon(client, path)


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(TIMEOUT_SECONDS)
        try:
            probe.connect(str(path))
        except PermissionError:
            raise ControlForbidden(
                f"You may not use the daemon's control socket {path}.",
                hint="Join its group, or run this command as root or as the daemon's user (sudo -u).",
            ) from None
        except OSError as error:
            return error.errno == errno.EAGAIN  # the backlog is full
    return True
