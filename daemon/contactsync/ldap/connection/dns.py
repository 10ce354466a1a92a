"""Looks up names: by the name servers that the settings name, else as this machine does."""

from __future__ import annotations

import socket
from ipaddress import ip_address

from contactsync.errors import QueryError, ServerNotFound, ServerUnavailable
from contactsync.ldap.query.address import DNS_PORT, ServerAddress, parse_address

_SERVER_HINT = "Check the server in the query."


def parse_name_servers(text: str) -> tuple[ServerAddress, ...]:
    """IP addresses with spaces between them, each with or without a port; QueryError when one is none."""
    found = tuple(parse_address(word, default_port=DNS_PORT) for word in text.split())
    for server in found:
        if not _is_address(server.host):
            raise QueryError(f"{server.host} is not an IP address.")
    return found


def addresses_of(host: str, port: int, name_servers: tuple[ServerAddress, ...], *, timeout: float) -> list[str]:
    """The IP addresses of a host, by the given name servers first, else as this machine looks up names (RFC 6724).

    Looked up here because ldap3 leaves the socket open of every address but the last that it tries. Raises
    ServerNotFound, ServerUnavailable.
    """
    if name_servers and not _is_address(host):
        from contactsync.ldap.connection.nameservers import find_addresses  # noqa: PLC0415 -- dnspython, which few settings need

        if found := find_addresses(host, name_servers, timeout=timeout):
            return found
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise ServerUnavailable(f"DNS does not answer for {host}: {error.strerror}.") from None
        raise ServerNotFound(f"DNS does not know the server {host}.", hint=_SERVER_HINT) from None
    except UnicodeError:
        raise ServerNotFound(f"{host!r} is no host name.", hint=_SERVER_HINT) from None
    return list(dict.fromkeys(str(address[0]) for *_, address in answers))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
