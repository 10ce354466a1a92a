"""The steps "dns" and "tcp": the servers, their addresses, and whether they answer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from contactsync.checks.context import CheckContext
from contactsync.checks.result import StepResult, reachable
from contactsync.errors import DirectoryError
from contactsync.ldap.connection.dns import is_address
from contactsync.ldap.connection.target import Target, open_socket, targets_of
from contactsync.sync.definition import servers_of

_MILLISECONDS = 1000


def check_dns(context: CheckContext) -> StepResult:
    """Find the servers by SRV if the query names none, and their addresses. Raises DirectoryError if there is none."""
    found_by_srv = not context.servers
    if found_by_srv:
        context.servers = servers_of(context.resolved, context.options.name_servers)
    details, servers, errors = [], [], []
    for server in context.servers:
        try:
            targets = targets_of(server, context.connect_options())
        except DirectoryError as error:
            errors.append(error)
            details.append(error.message)
            servers.append({"server": server.netloc, "addresses": [], "error": error.message})
            continue
        context.targets.append(targets)
        addresses = [target.address for target in targets]
        details.append(f"{server.host}: {', '.join(addresses)}")
        servers.append({"server": server.netloc, "addresses": addresses})
    if len(errors) == len(context.servers):
        raise errors[0]
    return StepResult(
        reachable(len(context.servers), len(errors)),
        _servers_text(context, found_by_srv=found_by_srv),
        errors[0].hint if errors else "",
        tuple(details) if len(details) > 1 else (),
        {"servers": servers, "found_by_srv": found_by_srv},
    )


def _servers_text(context: CheckContext, *, found_by_srv: bool) -> str:
    if found_by_srv:
        names = ", ".join(server.netloc for server in context.servers)
        return f"The SRV records of {context.resolved.query.domain} name {names}."
    if len(context.servers) > 1:
        return f"{len(context.targets)} of {len(context.servers)} servers have an address."
    (server,) = context.servers
    if is_address(server.host):
        return f"{server.host} is an IP address; DNS is not needed."
    return f"{server.host} has the address {' and '.join(target.address for target in context.targets[0])}."


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A TCP connection to one address: the time that it took, or the error."""

    target: Target
    milliseconds: float = 0.0
    error: DirectoryError | None = None

    def __str__(self) -> str:
        host = f"[{self.target.address}]" if ":" in self.target.address else self.target.address
        answer = f": {self.error.message}" if self.error else f" answered after {self.milliseconds:.1f} ms"
        return f"{host}:{self.target.port}{answer}"

    def data(self) -> dict[str, Any]:
        answer = {"error": self.error.message} if self.error else {"milliseconds": self.milliseconds}
        return {"host": self.target.host, "address": self.target.address, "port": self.target.port, **answer}


def check_tcp(context: CheckContext) -> StepResult:
    """Connect to every address of every server; later steps use those that answer."""
    attempts = [[_connect(context, target) for target in targets] for targets in context.targets]
    context.targets = [
        answering for server in attempts if (answering := [attempt.target for attempt in server if not attempt.error])
    ]
    flat = [attempt for server in attempts for attempt in server]
    errors = [attempt.error for attempt in flat if attempt.error]
    if not context.targets:
        raise errors[0]
    text = f"{flat[0]}." if len(flat) == 1 else f"{len(flat) - len(errors)} of {len(flat)} addresses answer."
    hint = "Each run may wait for the addresses that do not answer. Check them, or remove them from the query or DNS."
    return StepResult(
        reachable(len(flat), len(errors)),
        text,
        hint if errors else "",
        tuple(map(str, flat)) if len(flat) > 1 else (),
        {"addresses": [attempt.data() for attempt in flat]},
    )


def _connect(context: CheckContext, target: Target) -> _Attempt:
    started = time.monotonic()
    try:
        connected = open_socket(target, min(context.connect_options().connect_timeout, context.deadline().remaining()))
    except DirectoryError as error:
        return _Attempt(target, error=error)
    milliseconds = round((time.monotonic() - started) * _MILLISECONDS, 1)
    connected.close()
    return _Attempt(target, milliseconds)
