"""Finds a domain's directory servers by their DNS SRV records (RFC 2782)."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate, groupby
from operator import attrgetter

import dns.name
from dns.rdtypes.IN.SRV import SRV

from contactsync.errors import ServerNotFound, ServerUnavailable
from contactsync.ldap.connection.nameservers import find_services
from contactsync.ldap.query.address import LDAP_PORT, TLS_PORTS, ServerAddress

_OF_DOMAIN_CONTROLLERS = "_ldap._tcp.dc._msdcs."
"""Where Active Directory lists its domain controllers, and nothing else ([MS-ADTS], section 6.3.2.3)."""
_OF_ANY_SERVERS = "_ldap._tcp."


def find_servers(
    domain: str,
    name_servers: tuple[ServerAddress, ...] = (),
    *,
    ldaps: bool = False,
    timeout: float = 5.0,
    rng: random.Random | None = None,
) -> tuple[ServerAddress, ...]:
    """The servers that DNS names for a domain, in the order to try them; those outside of the domain are left out.

    A name does not tell whether its domain is one of Active Directory, so the record that only Active Directory has is
    asked for first: its `_ldap._tcp.DOMAIN` may hold other servers as well. `name_servers` () are those of this
    machine; `timeout` is in seconds and holds for each look-up. With `ldaps` a record's port 389 says nothing: Active
    Directory's records have no other. Raises ServerNotFound when there are none, ServerTimeout or ServerUnavailable
    when no name server answers.
    """
    records = _inside(domain, _records(domain, name_servers, timeout))
    ordered = _in_order(records, rng or random.Random())  # noqa: S311  # spreads load
    return tuple(_to_address(found, ldaps=ldaps) for found in ordered)


def _records(domain: str, name_servers: tuple[ServerAddress, ...], timeout: float) -> list[SRV]:
    failure: ServerUnavailable | None = None
    try:
        return find_services(_OF_DOMAIN_CONTROLLERS + domain, name_servers, timeout=timeout)
    except ServerNotFound:
        pass
    except ServerUnavailable as error:  # the zone _msdcs is often kept elsewhere than its domain's
        failure = error
    try:
        return find_services(_OF_ANY_SERVERS + domain, name_servers, timeout=timeout)
    except ServerNotFound:
        if failure:
            raise failure from None
        raise


def _inside(domain: str, records: list[SRV]) -> list[SRV]:
    """Whoever forges an answer of DNS could else name a server of his own, for which he has a certificate.

    RFC 4513, section 3.1.3, has a certificate compared with a name that did not come from DNS. Raises ServerNotFound.
    """
    inside = [record for record in records if record.target.is_subdomain(dns.name.from_text(domain))]
    if records and not inside:
        raise ServerNotFound(
            f"DNS names {records[0].target.to_text(omit_final_dot=True)} for {domain}, which is not in that domain.",
            hint="Name it in the query if it is the right server: a forged answer could have the password sent there.",
        )
    return inside


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


def _to_address(record: SRV, *, ldaps: bool) -> ServerAddress:
    host = record.target.to_text(omit_final_dot=True).lower()
    port = None if ldaps and record.port == LDAP_PORT else record.port
    return ServerAddress(host=host, port=port, ldaps=ldaps or record.port in TLS_PORTS)
