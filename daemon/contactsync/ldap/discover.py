"""Finds a domain's directory servers by their DNS SRV records (RFC 2782)."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate, groupby
from operator import attrgetter

import dns.exception
import dns.resolver
from dns.rdtypes.IN.SRV import SRV

from contactsync.errors import ServerNotFound, ServerTimeout, ServerUnavailable
from contactsync.ldap.address import TLS_PORTS, ServerAddress

_NAME_SERVERS_HINT = "Check the name servers of this machine, or name a server in the query."


def find_servers(
    domain: str,
    *,
    resolver: dns.resolver.Resolver | None = None,
    timeout: float = 5.0,
    rng: random.Random | None = None,
) -> tuple[ServerAddress, ...]:
    """The servers that `_ldap._tcp.DOMAIN` names, in the order to try them.

    `timeout` is in seconds and covers the whole look-up. `resolver` None is the one of this machine. Raises
    ServerNotFound when there are none, ServerTimeout or ServerUnavailable when no name server answers.
    """
    record = f"_ldap._tcp.{domain}"
    records = [found for found in _look_up(record, resolver, timeout) if str(found.target) != "."]
    if not records:  # a target of "." says that there is decidedly no such service
        raise ServerNotFound(
            f"The DNS record {record} says that the domain offers no LDAP.", hint="Name a server in the query."
        )
    return tuple(_to_address(found) for found in _in_order(records, rng or random.Random()))  # noqa: S311  # spreads load


def _look_up(record: str, resolver: dns.resolver.Resolver | None, timeout: float) -> Iterable[SRV]:
    try:
        answer = (resolver or dns.resolver.Resolver()).resolve(record, "SRV", lifetime=timeout, search=False)
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
    return (rdata for rdata in answer if isinstance(rdata, SRV))


def _in_order(records: Iterable[SRV], rng: random.Random) -> list[SRV]:
    """Lowest priority first; among equals drawn by weight (RFC 2782, the algorithm under "Weight")."""
    ordered: list[SRV] = []
    by_priority = sorted(records, key=attrgetter("priority", "weight", "target", "port"))
    for _, group in groupby(by_priority, key=attrgetter("priority")):
        waiting = list(group)  # by weight, so that those of 0 are first
        while waiting:
            ordered.append(waiting.pop(_draw([record.weight for record in waiting], rng)))
    return ordered


def _draw(weights: list[int], rng: random.Random) -> int:
    """The place of the first weight whose running sum reaches a number drawn from 0 to the sum of all."""
    return bisect_left(list(accumulate(weights)), rng.randint(0, sum(weights)))


def _to_address(record: SRV) -> ServerAddress:
    host = record.target.to_text(omit_final_dot=True).lower()
    return ServerAddress(host=host, port=record.port, ldaps=record.port in TLS_PORTS)
