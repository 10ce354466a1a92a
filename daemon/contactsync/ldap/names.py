"""Asks DNS: the name servers that the settings name, or those of this machine."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address

import dns.exception
import dns.resolver
from dns.nameserver import Do53Nameserver
from dns.rdtypes.IN.SRV import SRV

from contactsync.errors import QueryError, ServerNotFound, ServerTimeout, ServerUnavailable
from contactsync.ldap.address import ServerAddress, parse_address

DNS_PORT = 53

_NAME_SERVERS_HINT = "Check the name servers of this machine or directory.dns_servers, or name a server in the query."
_SERVER_HINT = "Check the server in the query."


def parse_name_servers(text: str) -> tuple[ServerAddress, ...]:
    """IP addresses with spaces between them, each with or without a port; QueryError when one is none."""
    found = tuple(parse_address(word, default_port=DNS_PORT) for word in text.split())
    for server in found:
        if not _is_address(server.host):
            raise QueryError(f"{server.host} is not an IP address.")
    return found


def find_services(record: str, name_servers: Iterable[ServerAddress], *, timeout: float) -> list[SRV]:
    """The SRV records of that name (RFC 2782), none of which says that there is no such service.

    Without `name_servers` those of this machine are asked; `timeout` is in seconds and covers the whole look-up.
    Raises ServerNotFound when there are none, ServerTimeout or ServerUnavailable when no name server answers.
    """
    try:
        answer = _resolver(name_servers).resolve(record, "SRV", lifetime=timeout, search=False)
    except dns.resolver.LifetimeTimeout:
        raise ServerTimeout(
            f"No name server answered within {timeout:g} s when asked for {record}.", hint=_NAME_SERVERS_HINT
        ) from None
    except dns.resolver.NoNameservers:
        raise ServerUnavailable(
            f"The name servers could not answer when asked for {record}.", hint=_NAME_SERVERS_HINT
        ) from None
    except dns.resolver.NoResolverConfiguration:
        raise ServerNotFound(f"This machine has no name server to ask for {record}.", hint=_NAME_SERVERS_HINT) from None
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        raise ServerNotFound(
            f"DNS has no record {record}.", hint="Name a server in the query, or correct its DC= components."
        ) from None
    except dns.exception.DNSException as error:
        raise ServerNotFound(f"{record} cannot be looked up in DNS: {error}.", hint=_NAME_SERVERS_HINT) from error
    records = [found for found in answer if isinstance(found, SRV) and str(found.target) != "."]
    if not records:  # a target of "." says that there is decidedly no such service
        raise ServerNotFound(
            f"The DNS record {record} says that the domain offers no LDAP.", hint="Name a server in the query."
        )
    return records


def addresses_of(host: str, port: int, name_servers: tuple[ServerAddress, ...], *, timeout: float) -> list[str]:
    """The IP addresses of a host, by the given name servers first, else as this machine looks up names (RFC 6724).

    Looked up here because ldap3 leaves the socket open of every address but the last that it tries. Raises
    ServerNotFound, ServerUnavailable.
    """
    if name_servers and not _is_address(host):
        with suppress(dns.exception.DNSException):
            found = _resolver(name_servers).resolve_name(host, lifetime=timeout, search=False)
            return list(found.addresses())
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise ServerUnavailable(f"DNS does not answer for {host}: {error.strerror}.") from None
        raise ServerNotFound(f"DNS does not know the server {host}.", hint=_SERVER_HINT) from None
    except UnicodeError:
        raise ServerNotFound(f"{host!r} is no host name.", hint=_SERVER_HINT) from None
    return list(dict.fromkeys(str(address[0]) for *_, address in answers))


def _resolver(name_servers: Iterable[ServerAddress]) -> dns.resolver.Resolver:
    servers = [Do53Nameserver(server.host, server.port or DNS_PORT) for server in name_servers]
    resolver = dns.resolver.Resolver(configure=not servers)
    if servers:
        resolver.nameservers = servers
    return resolver


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
