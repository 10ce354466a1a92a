"""Looks up addresses: by the name servers of the settings, else as this machine does."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import ip_address
from typing import TYPE_CHECKING

from contactsync.errors import QueryError, ServerNotFound, ServerUnavailable
from contactsync.ldap.query.address import DNS_PORT, ServerAddress, parse_address
from contactsync.text import quoted

if TYPE_CHECKING:
    from dns.resolver import Resolver

_SERVER_HINT = "Check the server in the query."


def parse_name_servers(text: str) -> tuple[ServerAddress, ...]:
    """Parse IP addresses separated by spaces, each with or without a port; raises QueryError."""
    servers = tuple(parse_address(word, default_port=DNS_PORT) for word in text.split())
    for server in servers:
        if not is_address(server.host):
            raise QueryError(f"{server.host} is not an IP address.")
    return servers


def addresses_of(host: str, port: int, name_servers: tuple[ServerAddress, ...], *, timeout: float) -> list[str]:
    """The IP addresses of a host, from the given name servers or else from this machine's resolver (RFC 6724).

    Raises ServerNotFound, ServerUnavailable.
    """
    if name_servers and not is_address(host) and (addresses := _ask(host, name_servers, timeout)):
        return addresses
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise ServerUnavailable(f"DNS does not answer for {host}: {error.strerror}.") from None
        raise ServerNotFound(f"DNS does not know the server {host}.", hint=_SERVER_HINT) from None
    except UnicodeError:
        raise ServerNotFound(f"{quoted(host)} is not a host name.", hint=_SERVER_HINT) from None
    return list(dict.fromkeys(str(address[0]) for *_, address in answers))


def resolver(name_servers: Iterable[ServerAddress]) -> Resolver:
    """A resolver that asks these name servers, or this machine's if there are none."""
    from dns.nameserver import Do53Nameserver  # noqa: PLC0415 -- dnspython takes two megabytes, and few settings need it
    from dns.resolver import Resolver  # noqa: PLC0415 -- the same

    servers = [Do53Nameserver(server.host, server.port or DNS_PORT) for server in name_servers]
    made = Resolver(configure=not servers)
    if servers:
        made.nameservers = servers
    return made


def _ask(host: str, name_servers: Iterable[ServerAddress], timeout: float) -> list[str]:
    from dns.exception import DNSException  # noqa: PLC0415 -- dnspython again

    try:
        return list(resolver(name_servers).resolve_name(host, lifetime=timeout, search=False).addresses())
    except DNSException:
        return []


def is_address(host: str) -> bool:
    """Whether a host is an IP address."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
