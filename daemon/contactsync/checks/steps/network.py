"""The steps "dns" and "tcp": where the servers are, and whether they can be reached."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from contactsync.checks.result import StepResult, worst
from contactsync.errors import DirectoryError
from contactsync.ldap.connection.target import Target, close, open_protected, targets_of
from contactsync.sync.definition import servers_of

if TYPE_CHECKING:
    from contactsync.checks.context import CheckContext

_MILLISECONDS = 1000


def check_dns(checkup: CheckContext) -> StepResult:
    """Find the servers by SRV when the query names none, and the addresses of each. Raises when there is none."""
    found_by_srv = not checkup.servers
    if found_by_srv:
        checkup.servers = servers_of(checkup.known, checkup.options.name_servers)
    details, data, errors = [], [], []
    for server in checkup.servers:
        try:
            targets = targets_of(server, checkup.connect_options())
        except DirectoryError as error:
            errors.append(error)
            details.append(error.message)
            data.append({"server": server.netloc, "addresses": [], "error": error.message})
            continue
        checkup.targets.append(targets)
        addresses = [target.address for target in targets]
        details.append(f"{server.host}: {', '.join(addresses)}")
        data.append({"server": server.netloc, "addresses": addresses})
    if len(errors) == len(checkup.servers):
        raise errors[0]
    return StepResult(
        status=worst(len(errors), len(checkup.servers)),
        text=_where(checkup, found_by_srv=found_by_srv),
        hint=errors[0].hint if errors else "",
        details=tuple(details) if len(details) > 1 else (),
        data={"servers": data, "found_by_srv": found_by_srv},
    )


def _where(checkup: CheckContext, *, found_by_srv: bool) -> str:
    if found_by_srv:
        names = ", ".join(server.netloc for server in checkup.servers)
        return f"The SRV records of {checkup.known.query.domain} name {names}."
    if len(checkup.servers) > 1:
        return f"{len(checkup.targets)} of {len(checkup.servers)} servers have an address."
    (server,) = checkup.servers
    if _is_address(server.host):
        return f"{server.host} is an address; there is nothing to look up."
    return f"{server.host} is {', '.join(target.address for target in checkup.targets[0])}."


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Knock:
    """How one address answered."""

    target: Target
    milliseconds: float = 0.0
    error: DirectoryError | None = None

    def __str__(self) -> str:
        if self.error:
            return f"{_endpoint(self.target)}: {self.error.message}"
        return f"{_endpoint(self.target)} answered after {self.milliseconds:.1f} ms"

    def data(self) -> dict[str, Any]:
        """For scripts."""
        answer = {"error": self.error.message} if self.error else {"milliseconds": self.milliseconds}
        return {"host": self.target.host, "address": self.target.address, "port": self.target.port, **answer}


def check_tcp(checkup: CheckContext) -> StepResult:
    """Connect to every address of every server; those that do not answer are left out from here on."""
    knocks = [[_knock(checkup, target) for target in targets] for targets in checkup.targets]
    checkup.targets = [
        answered for server in knocks if (answered := [knock.target for knock in server if not knock.error])
    ]
    every = [knock for server in knocks for knock in server]
    errors = [knock.error for knock in every if knock.error]
    if not checkup.targets:
        raise errors[0]
    first = next(knock for knock in every if not knock.error)
    return StepResult(
        status=worst(len(errors), len(every)),
        text=f"{first}." if len(every) == 1 else f"{len(every) - len(errors)} of {len(every)} addresses answer.",
        hint="A run tries the others, after it has waited for those that do not answer." if errors else "",
        details=tuple(map(str, every)) if len(every) > 1 else (),
        data={"addresses": [knock.data() for knock in every]},
    )


def _knock(checkup: CheckContext, target: Target) -> _Knock:
    plain = replace(target, ldaps=False, starttls=False)
    started = time.monotonic()
    try:
        connection, _ = open_protected(plain, checkup.connect_options(), checkup.deadline())
    except DirectoryError as error:
        return _Knock(target, error=error)
    took = round((time.monotonic() - started) * _MILLISECONDS, 1)
    close(connection)
    return _Knock(target, took)


def _endpoint(target: Target) -> str:
    host = f"[{target.address}]" if ":" in target.address else target.address
    return f"{host}:{target.port}"
