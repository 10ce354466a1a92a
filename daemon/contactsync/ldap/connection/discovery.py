"""Finds the directory servers of a domain by DNS SRV records (RFC 2782)."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate, groupby
from operator import attrgetter

import dns.exception
import dns.name
import dns.resolver
from dns.rdtypes.IN.SRV import SRV

from contactsync.errors import ServerNotFound, ServerTimeout, ServerUnavailable
from contactsync.ldap.connection.dns import resolver
from contactsync.ldap.query.address import LDAP_PORT, TLS_PORTS, ServerAddress

_DOMAIN_CONTROLLERS = "_ldap._tcp.dc._msdcs."
"""The record that lists Active Directory's domain controllers and nothing else ([MS-ADTS], section 6.3.2.3)."""
_ANY_SERVERS = "_ldap._tcp."

_NAME_SERVERS = "Check the name servers of this machine or directory.dns_servers, or name a server in the query."
_NAME_A_SERVER = "Name a server in the query, or correct its DC= components."


def find_servers(
    domain: str,
    name_servers: tuple[ServerAddress, ...] = (),
    *,
    ldaps: bool = False,
    timeout: float = 5.0,
    rng: random.Random | None = None,
) -> tuple[ServerAddress, ...]:
    """The servers inside a domain that DNS names for it, in the order to try them.

    Active Directory's own record is tried first, because `_ldap._tcp.DOMAIN` may list other servers too. Without
    `name_servers` this machine's are used; `timeout` is the seconds of each look-up. With `ldaps` the port 389 of a
    record is ignored: Active Directory's records have no other. Raises ServerNotFound when there are none,
    ServerTimeout or ServerUnavailable when no name server answers.
    """
    records = _inside(domain, _records(domain, name_servers, timeout))
    ordered = _in_order(records, rng or random.Random())  # noqa: S311  # spreads load
    return tuple(_to_address(record, ldaps=ldaps) for record in ordered)


def _records(domain: str, name_servers: tuple[ServerAddress, ...], timeout: float) -> list[SRV]:
    failure: ServerUnavailable | None = None
    try:
        return _look_up(_DOMAIN_CONTROLLERS + domain, name_servers, timeout)
    except ServerNotFound:
        pass
    except ServerUnavailable as error:  # the zone _msdcs is often on other name servers than its domain
        failure = error
    try:
        return _look_up(_ANY_SERVERS + domain, name_servers, timeout)
    except ServerNotFound:
        if failure:
            raise failure from None
        raise


def _look_up(record: str, name_servers: Iterable[ServerAddress], timeout: float) -> list[SRV]:
    try:
        answer = resolver(name_servers).resolve(record, "SRV", lifetime=timeout, search=False)
    except dns.resolver.LifetimeTimeout:
        raise ServerTimeout(f"No name server answered for {record} within {timeout:g} s.", hint=_NAME_SERVERS) from None
    except dns.resolver.NoNameservers:
        raise ServerUnavailable(f"The name servers could not answer for {record}.", hint=_NAME_SERVERS) from None
    except dns.resolver.NoResolverConfiguration:
        raise ServerNotFound(f"This machine has no name server to ask for {record}.", hint=_NAME_SERVERS) from None
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        raise ServerNotFound(f"DNS has no record {record}.", hint=_NAME_A_SERVER) from None
    except dns.exception.DNSException as error:
        raise ServerNotFound(f"{record} cannot be looked up in DNS: {error}.", hint=_NAME_SERVERS) from error
    records = [each for each in answer if isinstance(each, SRV) and str(each.target) != "."]
    if not records:  # the target "." means that the domain does not offer the service
        raise ServerNotFound(f"The DNS record {record} says that the domain offers no LDAP.", hint=_NAME_A_SERVER)
    return records


def _inside(domain: str, records: list[SRV]) -> list[SRV]:
    """The records whose target is in the domain; raises ServerNotFound if there is none.

    A forged answer could name the attacker's own server, for which he has a certificate. RFC 4513, section 3.1.3, wants
    the certificate compared with a name that did not come from DNS.
    """
    inside = [record for record in records if record.target.is_subdomain(dns.name.from_text(domain))]
    if records and not inside:
        raise ServerNotFound(
            f"DNS names {records[0].target.to_text(omit_final_dot=True)} for {domain}, which is not in that domain.",
            hint="Name it in the query if it is the right server: a forged answer could have the password sent there.",
        )
    return inside


def _in_order(records: Iterable[SRV], rng: random.Random) -> list[SRV]:
    """Lowest priority first; records of one priority are drawn by weight (RFC 2782, "Weight")."""
    ordered: list[SRV] = []
    by_priority = sorted(records, key=attrgetter("priority", "weight", "target", "port"))
    for _, group in groupby(by_priority, key=attrgetter("priority")):
        waiting = list(group)  # sorted by weight, so that those of 0 come first
        while waiting:
            ordered.append(waiting.pop(_draw([record.weight for record in waiting], rng)))
    return ordered


def _draw(weights: list[int], rng: random.Random) -> int:
    """The index of the first weight whose running sum reaches a random number from 0 to the sum of all."""
    return bisect_left(list(accumulate(weights)), rng.randint(0, sum(weights)))


def _to_address(record: SRV, *, ldaps: bool) -> ServerAddress:
    host = record.target.to_text(omit_final_dot=True).lower()
    port = None if ldaps and record.port == LDAP_PORT else record.port
    return ServerAddress(host=host, port=port, ldaps=ldaps or record.port in TLS_PORTS)
