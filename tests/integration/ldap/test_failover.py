"""Several servers for one directory: which is used, which are skipped, and what is reported."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from contactsync.ldap.connection import failover
from contactsync.ldap.connection.cache import SessionCache
from contactsync.model import Counts, Outcome
from contactsync.testing.certificates import make_certificates
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import SyncedFolder, people
from tests.support.name_server import NameServer
from tests.support.proxy import Fault, Harm, Proxy

MakeFolder = Callable[..., SyncedFolder]
CONTROLLERS = "_ldap._tcp.dc._msdcs.example.test SRV"


@pytest.fixture
def first(closed_port: int) -> Iterator[Proxy]:
    """Put a proxy before a server that is down; a test may point it to the directory."""
    with closing(Proxy(closed_port)) as proxy:
        yield proxy


@pytest.fixture
def second(directory: PrivateSlapd) -> Iterator[Proxy]:
    """Put a proxy before the directory."""
    with closing(Proxy(directory.port)) as proxy:
        yield proxy


@pytest.fixture
def folder(make_folder: MakeFolder, directory: PrivateSlapd, first: Proxy, second: Proxy) -> SyncedFolder:
    """Make a folder whose query names both servers."""
    return make_folder(directory, query=query_of(directory, first, second))


def query_of(directory: PrivateSlapd, *proxies: Proxy) -> str:
    """A query with servers in this order."""
    return " ".join(f"ldap://127.0.0.1:{proxy.port}/{directory.suffix}" for proxy in proxies)


def url_of(proxy: Proxy) -> str:
    """The URL of a server."""
    return f"ldap://127.0.0.1:{proxy.port}"


def logged(folder: SyncedFolder, event: str) -> list[dict[str, Any]]:
    """The records of an event in the log."""
    return [record for record in map(json.loads, folder.log) if record["event"] == event]


def test_the_row_and_the_log_name_the_servers(folder: SyncedFolder, first: Proxy, second: Proxy) -> None:
    """The one that was used and those that were skipped; a server that is down costs no attempt."""
    report = folder.run()
    assert (report.outcome, report.attempts, report.server) == (Outcome.CHANGED, 1, url_of(second))
    folder.expect_row(report)
    dead = f"127.0.0.1:{first.port}"
    assert folder.row(report.run_id)["skipped_servers"] == [dead]
    (skipped,) = logged(folder, "server.skipped")
    assert (skipped["server"], skipped["error_code"]) == (dead, "directory.unavailable")
    (finished,) = logged(folder, "run.finished")
    assert (finished["server"], finished["skipped_servers"]) == (url_of(second), [dead])


def test_a_dead_server_is_tried_last_for_a_while(
    folder: SyncedFolder, directory: PrivateSlapd, first: Proxy, second: Proxy
) -> None:
    """It is used when the others are down as well."""
    runner = folder.runner()
    folder.run(runner=runner)
    assert first.accepted == 1
    assert folder.run(runner=runner).server == url_of(second)
    assert first.accepted == 1

    first.target, second.target = directory.port, first.target
    report = folder.run(runner=runner)
    assert (report.server, report.skipped_servers, report.attempts) == (url_of(first), (), 1)


def test_a_dead_server_is_tried_first_again_after_a_while(
    folder: SyncedFolder, directory: PrivateSlapd, first: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be preferred."""
    monkeypatch.setattr(failover, "REMEMBER_SECONDS", 0)
    runner = folder.runner()
    folder.run(runner=runner)
    first.target = directory.port
    assert folder.run(runner=runner).server == url_of(first)


def test_other_folders_skip_a_dead_server(
    make_folder: MakeFolder,
    folder: SyncedFolder,
    directory: PrivateSlapd,
    first: Proxy,
    second: Proxy,
    cache: SessionCache,
) -> None:
    """The runs of a daemon share this knowledge, also between users."""
    other = make_folder(directory, query=query_of(directory, first, second), bind_user=directory.limited_dn)
    other.set_password(directory.limited_password)
    reports = [each.run(sessions=cache) for each in (folder, other)]
    assert [(report.server, report.attempts) for report in reports] == [(url_of(second), 1)] * 2
    assert [report.skipped_servers for report in reports] == [(f"127.0.0.1:{first.port}",)] * 2
    assert first.accepted == 1


def test_a_server_that_breaks_the_connection_is_replaced(
    folder: SyncedFolder, directory: PrivateSlapd, first: Proxy, second: Proxy
) -> None:
    """By the second attempt of the same run."""
    first.target = directory.port

    def fail(stage: str, _counts: Counts) -> None:
        if stage == "search" and not first.struck:
            first.arm(Fault(Harm.CUT, to_server=True))

    report = folder.run(fail)
    assert (report.outcome, report.attempts, report.server) == (Outcome.CHANGED, 2, url_of(second))
    assert folder.contacts() == people(directory)


def test_servers_of_a_domain_are_checked_by_their_own_names(
    make_folder: MakeFolder, make_slapd: Callable[..., PrivateSlapd], directory: PrivateSlapd, tmp_path: Path
) -> None:
    """The certificate of the first server is issued for the domain, so that server is skipped."""
    other = make_slapd(certificates=make_certificates(tmp_path / "tls", names=["example.test"]))
    authorities = tmp_path / "both.pem"
    authorities.write_text(other.ca_file.read_text() + directory.ca_file.read_text())
    folder = make_folder(directory, query=f"LDAP://{directory.suffix}", tls_ca_file=str(authorities))
    zone = {
        CONTROLLERS: [f"10 0 {directory.port} {directory.name_in_domain}.", f"0 0 {other.port} dc1.example.test."],
        "dc1.example.test A": ["127.0.0.1"],
        f"{directory.name_in_domain} A": ["127.0.0.1"],
    }
    with NameServer(zone) as server:
        report = folder.run(name_servers=(server.address,))
    assert (report.error, report.server) == (None, f"ldap://{directory.name_in_domain}:{directory.port}")
    assert report.skipped_servers == (f"dc1.example.test:{other.port}",)
    (skipped,) = logged(folder, "server.skipped")
    assert skipped["error_code"] == "directory.certificate"
    assert folder.contacts() == people(directory)


def test_a_connection_is_shared_in_any_order_of_the_servers(
    make_folder: MakeFolder, directory: PrivateSlapd, second: Proxy, cache: SessionCache
) -> None:
    """Twenty runs draw the order twenty times, and need one connection."""
    folder = make_folder(directory, query=f"LDAP://{directory.suffix}", tls="none", page_size=1000)
    zone = {CONTROLLERS: [f"0 1 {second.port} b.example.test.", f"0 1 {second.port} a.example.test."]}
    zone |= {f"{host} A": ["127.0.0.1"] for host in ("b.example.test", "a.example.test")}
    with NameServer(zone) as server:
        runner = folder.runner(sessions=cache, name_servers=(server.address,))
        for _ in range(20):
            assert not folder.run(runner=runner).error
    assert second.accepted == 1


def test_an_unknown_domain_is_not_retried(make_folder: MakeFolder, directory: PrivateSlapd) -> None:
    """The error names the record."""
    folder = make_folder(directory, query=f"LDAP://{directory.suffix}")
    with NameServer({}) as server:
        report = folder.run(name_servers=(server.address,))
    folder.expect_failure(report, "directory.dns", "_ldap._tcp.example.test")
    assert report.attempts == 1
