"""Servers from DNS SRV records, asked of a real name server on the loopback interface."""

from __future__ import annotations

import random
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Self

import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import pytest

from contactsync.errors import ServerNotFound, ServerTimeout, ServerUnavailable
from contactsync.ldap.address import ServerAddress
from contactsync.ldap.discover import find_servers

DOMAIN = "workgroup.example"
RECORD = f"_ldap._tcp.{DOMAIN}."


class NameServer:
    """Answers SRV questions over UDP with the given records, or with an error, or not at all."""

    def __init__(self, records: list[str], rcode: dns.rcode.Rcode = dns.rcode.NOERROR, *, silent: bool = False) -> None:
        self.records, self.rcode, self.silent = records, rcode, silent
        self.questions: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def resolver(self) -> dns.resolver.Resolver:
        """Make a resolver that asks this server alone."""
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = ["127.0.0.1"]
        resolver.port = self._socket.getsockname()[1]
        return resolver

    def _serve(self) -> None:
        while True:
            octets, client = self._socket.recvfrom(4096)
            if not octets:
                return
            query = dns.message.from_wire(octets)
            self.questions.append(query.question[0].to_text())
            if not self.silent:
                self._socket.sendto(self._answer(query).to_wire(), client)

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        response.set_rcode(self.rcode)
        if self.records:
            response.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "SRV", *self.records))
        return response


@pytest.fixture
def name_server() -> Iterator[Callable[..., NameServer]]:
    """Start name servers and stop them when the test is over."""
    with ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(NameServer(*args, **options))


def test_servers_come_in_the_order_of_their_priority(name_server: Callable[..., NameServer]) -> None:
    """The record of the domain is asked for, and the lowest priority is tried first, whatever its weight."""
    server = name_server(["20 100 389 dc3.workgroup.example.", "0 0 389 DC1.workgroup.example.", "10 5 1389 dc2.x."])
    found = find_servers(DOMAIN, resolver=server.resolver())
    assert found == (
        ServerAddress("dc1.workgroup.example", 389),
        ServerAddress("dc2.x", 1389),
        ServerAddress("dc3.workgroup.example", 389),
    )
    assert server.questions == [f"{RECORD} IN SRV"]


def test_a_port_of_ldaps_means_ldaps(name_server: Callable[..., NameServer]) -> None:
    """Targets at 636 and 3269 are spoken to with TLS from the start, others not."""
    server = name_server(["0 0 636 a.", "1 0 3269 b.", "2 0 389 c."])
    assert [address.ldaps for address in find_servers(DOMAIN, resolver=server.resolver())] == [True, True, False]


def test_equal_priorities_are_drawn_by_weight(name_server: Callable[..., NameServer]) -> None:
    """Among equals the first is drawn in proportion to its weight, and a weight of 0 hardly ever."""
    server = name_server(["0 0 389 zero.", "0 25 389 seldom.", "0 75 389 often."])
    resolver, rng = server.resolver(), random.Random(7)  # noqa: S311  # repeatable
    resolver.cache = dns.resolver.Cache()
    draws = [find_servers(DOMAIN, resolver=resolver, rng=rng) for _ in range(1000)]
    first = Counter(found[0].host for found in draws)
    assert {len(set(found)) for found in draws} == {3}
    assert 0 < first["zero"] < 30
    assert 200 < first["seldom"] < 300
    assert 700 < first["often"] < 800


def test_the_same_seed_draws_the_same_order(name_server: Callable[..., NameServer]) -> None:
    """The order follows from the given source of randomness alone, not from the order of the answer."""
    server = name_server([f"0 10 389 dc{number}." for number in range(8)])
    resolver = server.resolver()
    orders = [find_servers(DOMAIN, resolver=resolver, rng=random.Random(seed)) for seed in (1, 1, 2)]  # noqa: S311
    assert orders[0] == orders[1] != orders[2]
    assert set(orders[0]) == set(orders[2])


def test_an_unknown_domain_names_the_record(name_server: Callable[..., NameServer]) -> None:
    """A domain that does not exist is ServerNotFound, which names the record and says what to do."""
    server = name_server([], dns.rcode.NXDOMAIN)
    with pytest.raises(ServerNotFound, match=r"no record _ldap\._tcp\.workgroup\.example") as caught:
        find_servers(DOMAIN, resolver=server.resolver())
    assert "Name a server in the query" in caught.value.hint
    assert not caught.value.retryable


def test_a_domain_without_the_record_names_the_record(name_server: Callable[..., NameServer]) -> None:
    """A domain that exists and has no such record is ServerNotFound as well."""
    server = name_server([])
    with pytest.raises(ServerNotFound, match=r"no record _ldap\._tcp\.workgroup\.example"):
        find_servers(DOMAIN, resolver=server.resolver())


def test_a_target_of_the_root_means_no_service(name_server: Callable[..., NameServer]) -> None:
    """A single record with the target "." says that there is no service (RFC 2782)."""
    server = name_server(["0 0 0 ."])
    with pytest.raises(ServerNotFound, match="offers no LDAP"):
        find_servers(DOMAIN, resolver=server.resolver())


def test_a_silent_name_server_is_a_timeout(name_server: Callable[..., NameServer]) -> None:
    """No answer within the time is ServerTimeout, which may be tried again."""
    server = name_server([], silent=True)
    with pytest.raises(ServerTimeout, match=r"within 0\.2 s") as caught:
        find_servers(DOMAIN, resolver=server.resolver(), timeout=0.2)
    assert caught.value.retryable
    assert server.questions


def test_a_failing_name_server_may_be_tried_again(name_server: Callable[..., NameServer]) -> None:
    """A name server that answers SERVFAIL is ServerUnavailable, which may be tried again."""
    server = name_server([], dns.rcode.SERVFAIL)
    with pytest.raises(ServerUnavailable, match="could not answer") as caught:
        find_servers(DOMAIN, resolver=server.resolver())
    assert caught.value.retryable


def test_a_domain_that_dns_cannot_hold_is_not_found(name_server: Callable[..., NameServer]) -> None:
    """A label over 63 octets is ServerNotFound without a question being asked."""
    server = name_server([])
    with pytest.raises(ServerNotFound, match="cannot be looked up"):
        find_servers(f"{'x' * 64}.example", resolver=server.resolver())
    assert server.questions == []


def test_a_machine_without_name_servers_says_so(name_server: Callable[..., NameServer]) -> None:
    """A resolver with nobody to ask gives an error that says where to look."""
    resolver = name_server([]).resolver()
    resolver.nameservers = []
    with pytest.raises((ServerNotFound, ServerUnavailable)) as caught:
        find_servers(DOMAIN, resolver=resolver)
    assert "name servers of this machine" in caught.value.hint
