"""Asks name servers by dnspython: those that the settings name, or those of this machine.

It takes two megabytes, so that nothing imports this before there is something to ask.
"""

from __future__ import annotations

from collections.abc import Iterable

import dns.exception
import dns.resolver
from dns.nameserver import Do53Nameserver
from dns.rdtypes.IN.SRV import SRV

from contactsync.errors import ServerNotFound, ServerTimeout, ServerUnavailable
from contactsync.ldap.query.address import DNS_PORT, ServerAddress

_NAME_SERVERS_HINT = "Check the name servers of this machine or directory.dns_servers, or name a server in the query."


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


def find_addresses(host: str, name_servers: Iterable[ServerAddress], *, timeout: float) -> list[str]:
    """The IP addresses of a host by these name servers; none when they do not tell."""
    try:
        found = _resolver(name_servers).resolve_name(host, lifetime=timeout, search=False)
    except dns.exception.DNSException:
        return []
    return list(found.addresses())


def _resolver(name_servers: Iterable[ServerAddress]) -> dns.resolver.Resolver:
    servers = [Do53Nameserver(server.host, server.port or DNS_PORT) for server in name_servers]
    resolver = dns.resolver.Resolver(configure=not servers)
    if servers:
        resolver.nameservers = servers
    return resolver
