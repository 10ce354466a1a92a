"""The daemon as the command line meets it: over its control socket, if one is alive."""

# ruff: noqa: PLC0415 -- httpx is loaded when there is a socket to speak to

from __future__ import annotations

import errno
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from contactsync.cli.errors import ExitCode, exit_code_of
from contactsync.errors import ControlError

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

PATIENCE_SECONDS = 10.0
"""How long the daemon may take for an answer that it need not wait for itself."""
_TRIES = 4
"""How often to knock again where so many are waiting to be let in that there is no room for another: for 3.5 s."""


class ControlForbidden(ControlError):
    """The user may not use the control socket."""

    code = "control.forbidden"
    exit_code = ExitCode.FORBIDDEN


class DaemonError(ControlError):
    """The daemon answered with a problem, whose code it has."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(problem["detail"], hint=problem.get("hint") or "")
        self.code = problem["code"]
        self.exit_code = exit_code_of(problem["code"])  # type: ignore[misc]


class Daemon:
    """A daemon that is alive. Every method raises DaemonError for a problem, ControlError when it goes away."""

    def __init__(self, client: httpx.Client, path: Path) -> None:
        self._client = client
        self._path = path

    def get(self, path: str, **query: Any) -> Any:
        """What the API answers to a GET of this path."""
        return self._call("GET", path, query, PATIENCE_SECONDS)

    def post(self, path: str, *, patiently: bool = False, **query: Any) -> Any:
        """What the API answers to a POST; `patiently` means for as long as it takes."""
        return self._call("POST", path, query, None if patiently else PATIENCE_SECONDS)

    def events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Kind and data of what happens from now on, until the daemon ends the stream. Raises ControlError."""
        with self._goes_away(), self._client.stream("GET", "/v1/events", timeout=PATIENCE_SECONDS) as response:
            kind = ""
            for line in response.iter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    yield kind, json.loads(value)

    def _call(self, method: str, path: str, query: dict[str, Any], timeout: float | None) -> Any:
        with self._goes_away():
            response = self._client.request(method, path, params=query, timeout=timeout)
        if response.is_error:
            raise DaemonError(response.json())
        return response.json()

    @contextmanager
    def _goes_away(self) -> Iterator[None]:
        import httpx

        try:
            yield
        except httpx.HTTPError:
            raise ControlError(
                f"The daemon at {self._path} went away before it answered.", hint="Its log says what happened."
            ) from None


@contextmanager
def live_daemon(path: Path) -> Iterator[Daemon | None]:
    """The daemon that serves this socket; None when nobody does. Raises ControlForbidden."""
    if not _is_served(path):
        yield None
        return
    import httpx

    transport = httpx.HTTPTransport(uds=str(path), retries=_TRIES)
    with httpx.Client(transport=transport, base_url="http://daemon") as client:
        yield Daemon(client, path)


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PATIENCE_SECONDS)
        try:
            probe.connect(str(path))
        except PermissionError:
            raise ControlForbidden(
                f"You may not use the daemon's control socket {path}.",
                hint="Join its group, or run this as root or as the user that the daemon runs as (sudo -u).",
            ) from None
        except OSError as error:
            # EAGAIN: somebody serves it and has many waiting.
            return error.errno == errno.EAGAIN
    return True
