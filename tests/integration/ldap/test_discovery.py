"""Servers from DNS SRV records of a real name server on loopback."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from contactsync.errors import QueryError, ServerNotFound, ServerTimeout, ServerUnavailable
from contactsync.ldap.connection.discovery import find_servers
from contactsync.ldap.connection.dns import addresses_of, parse_name_servers
from contactsync.ldap.query.address import ServerAddress
from tests.support.name_server import NameServer

DOMAIN = "workgroup.example"
RECORD = f"_ldap._tcp.{DOMAIN}"
CONTROLLERS = f"_ldap._tcp.dc._msdcs.{DOMAIN}"

Start = Callable[..., NameServer]


@pytest.fixture
def name_server() -> Iterator[Start]:
    """Start name servers and stop them when the test is over."""
    with ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(NameServer(*args, **options))


def found(server: NameServer, domain: str = DOMAIN, *, seed: int = 7, ldaps: bool = False) -> tuple[ServerAddress, ...]:
    """The servers that the name server's records give."""
    return find_servers(domain, (server.address,), ldaps=ldaps, rng=random.Random(seed))  # noqa: S311 -- repeatable


def test_servers_are_ordered_by_priority(name_server: Start) -> None:
    """The lowest priority comes first, whatever its weight."""
    records = [
        "20 100 389 dc3.workgroup.example.",
        "0 0 389 DC1.workgroup.example.",
        "10 5 1389 dc2.workgroup.example.",
    ]
    server = name_server({f"{RECORD} SRV": records})
    assert found(server) == (
        ServerAddress("dc1.workgroup.example", 389),
        ServerAddress("dc2.workgroup.example", 1389),
        ServerAddress("dc3.workgroup.example", 389),
    )
    assert server.questions == [f"{CONTROLLERS} SRV", f"{RECORD} SRV"]


def test_domain_controllers_come_before_other_servers(name_server: Start) -> None:
    """If Active Directory's record exists, the common one is not looked up."""
    server = name_server(
        {f"{CONTROLLERS} SRV": [f"0 100 389 dc1.{DOMAIN}."], f"{RECORD} SRV": [f"0 100 389 other.{DOMAIN}."]}
    )
    assert found(server) == (ServerAddress(f"dc1.{DOMAIN}", 389),)
    assert server.questions == [f"{CONTROLLERS} SRV"]


def test_the_common_record_is_used_if_that_of_controllers_fails(name_server: Start) -> None:
    """The zone _msdcs is often on another name server. Without either record the error is retryable."""
    failing = [CONTROLLERS]
    assert found(name_server({f"{RECORD} SRV": [f"0 0 389 dc1.{DOMAIN}."]}, failing=failing)) == (
        ServerAddress(f"dc1.{DOMAIN}", 389),
    )
    with pytest.raises(ServerUnavailable, match="_msdcs") as caught:
        found(name_server({}, failing=failing))
    assert caught.value.retryable


def test_a_port_of_ldaps_means_ldaps(name_server: Start) -> None:
    """636 and 3269."""
    server = name_server({f"{RECORD} SRV": [f"0 0 636 a.{DOMAIN}.", f"1 0 3269 b.{DOMAIN}.", f"2 0 389 c.{DOMAIN}."]})
    assert [address.ldaps for address in found(server)] == [True, True, False]


def test_ldaps_ignores_the_port_of_plain_ldap(name_server: Start) -> None:
    """Active Directory's records have no other. Another port is used as it is."""
    server = name_server({f"{CONTROLLERS} SRV": [f"0 0 389 dc1.{DOMAIN}.", f"1 0 1636 dc2.{DOMAIN}."]})
    assert [(address.port_or_default, address.ldaps) for address in found(server, ldaps=True)] == [
        (636, True),
        (1636, True),
    ]


def test_equal_priorities_are_drawn_by_weight(name_server: Start) -> None:
    """In proportion to the weight; a weight of 0 is hardly ever first."""
    server = name_server(
        {f"{CONTROLLERS} SRV": [f"0 0 389 zero.{DOMAIN}.", f"0 25 389 seldom.{DOMAIN}.", f"0 75 389 often.{DOMAIN}."]}
    )
    draws = [found(server, seed=seed) for seed in range(400)]
    first = Counter(servers[0].host.partition(".")[0] for servers in draws)
    assert {len(set(servers)) for servers in draws} == {3}
    assert 0 < first["zero"] < 20
    assert 70 < first["seldom"] < 130
    assert 270 < first["often"] < 330


def test_the_same_seed_draws_the_same_order(name_server: Start) -> None:
    """Whatever the order of the answer."""
    server = name_server({f"{RECORD} SRV": [f"0 10 389 dc{number}.{DOMAIN}." for number in range(8)]})
    orders = [found(server, seed=seed) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert set(orders[0]) == set(orders[2])


def test_an_unknown_domain_names_the_record(name_server: Start) -> None:
    """The domain does not exist; it is not retried."""
    with pytest.raises(ServerNotFound, match=r"no record _ldap\._tcp\.workgroup\.example") as caught:
        found(name_server({}))
    assert "Name a server in the query" in caught.value.hint
    assert not caught.value.retryable


def test_a_domain_without_the_record_names_the_record(name_server: Start) -> None:
    """The domain exists without the record."""
    with pytest.raises(ServerNotFound, match=r"no record _ldap\._tcp\.workgroup\.example"):
        found(name_server({f"{RECORD} TXT": ["hello"]}))


def test_a_target_of_the_root_means_no_service(name_server: Start) -> None:
    """RFC 2782."""
    with pytest.raises(ServerNotFound, match="offers no LDAP"):
        found(name_server({f"{RECORD} SRV": ["0 0 0 ."]}))


def test_a_server_outside_the_domain_is_not_used(name_server: Start) -> None:
    """A forged answer could name an attacker's server with a valid certificate."""
    records = ["0 0 389 evil.example.", f"9 0 389 dc1.{DOMAIN}.", f"0 0 389 {DOMAIN}.evil.example."]
    assert found(name_server({f"{RECORD} SRV": records})) == (ServerAddress(f"dc1.{DOMAIN}", 389),)
    for record in (RECORD, CONTROLLERS):
        with pytest.raises(ServerNotFound, match=f"names evil{DOMAIN} for {DOMAIN}") as caught:
            found(name_server({f"{record} SRV": [f"0 0 389 evil{DOMAIN}."]}))
        assert "Name it in the query" in caught.value.hint


def test_a_silent_name_server_is_a_timeout(name_server: Start) -> None:
    """It is retryable."""
    server = name_server({}, silent=True)
    with pytest.raises(ServerTimeout, match=r"within 0\.2 s") as caught:
        find_servers(DOMAIN, (server.address,), timeout=0.2)
    assert caught.value.retryable
    assert server.questions


def test_a_failing_name_server_is_retryable(name_server: Start) -> None:
    """One that answers SERVFAIL."""
    with pytest.raises(ServerUnavailable, match="could not answer") as caught:
        found(name_server({}, failing=[RECORD, CONTROLLERS]))
    assert caught.value.retryable


def test_a_second_name_server_is_asked_when_the_first_fails(name_server: Start) -> None:
    """In the order of the setting."""
    failing, good = (
        name_server({}, failing=[CONTROLLERS]),
        name_server({f"{CONTROLLERS} SRV": [f"0 0 389 dc1.{DOMAIN}."]}),
    )
    assert find_servers(DOMAIN, (failing.address, good.address)) == (ServerAddress(f"dc1.{DOMAIN}", 389),)


def test_a_domain_that_dns_cannot_hold_is_not_found(name_server: Start) -> None:
    """A label over 63 octets is not looked up."""
    server = name_server({})
    with pytest.raises(ServerNotFound, match="cannot be looked up"):
        found(server, f"{'x' * 64}.example")
    assert server.questions == []


def test_addresses_come_from_the_name_servers_of_the_setting(name_server: Start) -> None:
    """IPv4 and IPv6. Names that they do not know are looked up by this machine, addresses not at all."""
    server = name_server({"dc1.example A": ["127.0.0.2", "127.0.0.3"], "dc1.example AAAA": ["::1"]})
    addresses = addresses_of("dc1.example", 389, (server.address,), timeout=5)
    assert set(addresses) == {"127.0.0.2", "127.0.0.3", "::1"}
    assert "127.0.0.1" in addresses_of("localhost", 389, (server.address,), timeout=5)
    before = list(server.questions)
    assert addresses_of("127.0.0.9", 389, (server.address,), timeout=5) == ["127.0.0.9"]
    assert server.questions == before


def test_name_servers_are_addresses() -> None:
    """With or without a port."""
    assert parse_name_servers("192.0.2.53  [2001:db8::53]:5353 2001:db8::54") == (
        ServerAddress("192.0.2.53", 53),
        ServerAddress("2001:db8::53", 5353),
        ServerAddress("2001:db8::54", 53),
    )
    assert parse_name_servers("") == ()
    with pytest.raises(QueryError, match="not an IP address"):
        parse_name_servers("ns1.example.com")
