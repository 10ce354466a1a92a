"""A client of the daemon's Unix sockets, with the standard library only, so that it is loaded quickly."""

from __future__ import annotations

import errno
import grp
import http.client
import json
import os
import pwd
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlencode

from contactsync import COMMAND_LINE, __version__
from contactsync.errors import ControlError, ControlForbidden, OtherVersion, exit_code_of

TIMEOUT_SECONDS = 10.0
_CONNECT_PAUSES = (0.5, 1.0, 2.0)
"""Seconds before the next attempt to connect while the socket's backlog is full."""


class DaemonError(ControlError):
    """The daemon answered with a problem document; code, sentence, hint and `errors` are the document's."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        super().__init__(problem.get("detail", "The daemon refused the request."), hint=problem.get("hint") or "")
        self.code = problem.get("code", self.code)
        self.status: int = problem.get("status", HTTPStatus.CONFLICT)
        self.errors: list[dict[str, Any]] = problem.get("errors", [])
        self.exit_code = exit_code_of(self.code)  # type: ignore[misc]
        self.fields = {f"{error.get('pointer') or ''}/".split("/")[1] for error in problem.get("errors") or ()}
        """The names of the fields of the request that are not valid."""


class Event(NamedTuple):
    """An event of the daemon; `id` resumes the stream after it."""

    kind: str
    data: dict[str, Any]
    id: str


class DaemonSilent(ControlError):
    """No process answers at the socket."""


class Daemon:
    """A running daemon. Every method raises DaemonError for a problem, DaemonSilent if there is no answer.

    `headers` are sent with each request.
    """

    is_daemon = True

    def __init__(self, path: Path, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        self._path = path
        self._headers = {"Accept": "application/json", "User-Agent": f"{COMMAND_LINE}/{__version__}", **headers}

    def get(self, path: str, *, timeout: float | None = TIMEOUT_SECONDS, **query: Any) -> Any:
        """The document at a path; `timeout` in seconds, None for no limit. A query of None is left out."""
        return self._request("GET", path, query, None, timeout)

    def post(
        self,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = TIMEOUT_SECONDS,
        **query: Any,
    ) -> Any:
        """The answer to a POST."""
        return self._request("POST", path, query, body, timeout)

    def put(self, path: str, body: Mapping[str, Any] | None = None, **query: Any) -> Any:
        """The answer to a PUT."""
        return self._request("PUT", path, query, body, TIMEOUT_SECONDS)

    def patch(self, path: str, body: Mapping[str, Any], **query: Any) -> Any:
        """The answer to a PATCH."""
        return self._request("PATCH", path, query, body, TIMEOUT_SECONDS)

    def delete(self, path: str, **query: Any) -> Any:
        """The answer to a DELETE."""
        return self._request("DELETE", path, query, None, TIMEOUT_SECONDS)

    def octets(self, path: str) -> bytes:
        """The content at a path that is no document."""
        with self._response("GET", path, headers={}, timeout=TIMEOUT_SECONDS) as response:
            return response.read()

    def events(self, last_id: str | None = None) -> Iterator[Event]:
        """The events from now on, or after `last_id`, until the daemon ends the stream."""
        headers = {} if last_id is None else {"Last-Event-ID": last_id}
        with self._response("GET", "/v1/events", headers=headers, timeout=TIMEOUT_SECONDS) as response:
            fields: dict[str, str] = {}
            while octets := response.readline():
                name, _, value = octets.decode().rstrip("\n").partition(": ")
                if name == "data":
                    yield Event(fields.get("event", ""), json.loads(value), fields.get("id", ""))
                elif name:
                    fields[name] = value

    def _request(
        self, method: str, path: str, query: Mapping[str, Any], body: Mapping[str, Any] | None, timeout: float | None
    ) -> Any:
        given = {name: _query_value(value) for name, value in query.items() if value is not None}
        target = f"{path}?{urlencode(given, doseq=True)}" if given else path
        headers = {} if body is None else {"Content-Type": "application/json"}
        octets = None if body is None else json.dumps(body).encode()
        with self._response(method, target, octets, headers=headers, timeout=timeout) as response:
            text = response.read()
            return json.loads(text) if text else None

    @contextmanager
    def _response(
        self, method: str, target: str, body: bytes | None = None, *, headers: dict[str, str], timeout: float | None
    ) -> Iterator[http.client.HTTPResponse]:
        """A response that is no problem, on a connection of its own."""
        connection = _Connection(self._path, timeout)
        try:
            connection.request(method, target, body, {**self._headers, **headers})
            response = connection.getresponse()
            self._check_version(response)
            if response.status >= HTTPStatus.BAD_REQUEST:
                raise DaemonError(json.loads(response.read()))
            yield response
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DaemonSilent(f"The daemon at {self._path} {_silence(error, timeout)}.", hint=_SILENT_HINT) from None
        finally:
            connection.close()

    def _check_version(self, response: http.client.HTTPResponse) -> None:
        version = response.headers.get("contactsync-version", "unknown")
        if version != __version__:
            raise OtherVersion(
                f"The daemon at {self._path} is of version {version}, and this program is of version {__version__}.",
                hint="Restart the daemon (systemctl restart contactsync.service), or use the command of its version.",
            )


_SILENT_HINT = "It may be starting, or the control socket is not contactsync's; the daemon's log says more."


def live_daemon(path: Path) -> Daemon | None:
    """The daemon that serves this socket; None if no process does. Raises ControlForbidden."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(TIMEOUT_SECONDS)
        try:
            probe.connect(str(path))
        except PermissionError:
            raise _forbidden(path) from None
        except OSError as error:
            return Daemon(path) if error.errno == errno.EAGAIN else None  # the backlog is full
    return Daemon(path)


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect, again if the backlog is full."""
        for pause in (*_CONNECT_PAUSES, None):
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(self.timeout)
            try:
                self.sock.connect(str(self._path))
            except BlockingIOError:
                self.sock.close()
                if pause is None:
                    raise
                time.sleep(pause)
            else:
                return


def _forbidden(path: Path) -> ControlForbidden:
    """The error of a user without permission; it names the group of the socket."""
    group = _group_of(path) or _group_of(path.parent)
    user = user_name()
    joining = f"Join the group {group} (usermod --append --groups {group} {user}) and log in again" if group else ""
    return ControlForbidden(
        f"You may not use the daemon's control socket {path}.",
        hint=f"{joining or 'Join its group'}, or run this command as root or as the daemon's user (sudo -u).",
    )


def _group_of(path: Path) -> str:
    """The group that may use a path; empty if that is not known, or the group of root."""
    try:
        number = path.stat().st_gid
        return grp.getgrgid(number).gr_name if number else ""
    except (OSError, KeyError):
        return ""


def user_name() -> str:
    """The name of the user of this process."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def _query_value(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _silence(error: Exception, timeout: float | None) -> str:
    if isinstance(error, TimeoutError) and timeout is not None:
        return f"gave no answer within {timeout:g} seconds"
    return "gave an answer that is no JSON" if isinstance(error, ValueError) else "gave no answer"
