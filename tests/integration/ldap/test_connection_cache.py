"""Connections that several runs use one after the other, counted by a proxy."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contactsync.ldap.connection import cache as sessions
from contactsync.ldap.connection.cache import SessionCache
from contactsync.model import Outcome, RunReport, Trigger
from contactsync.sync.runner import Runner
from contactsync.testing.certificates import make_certificates
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import SyncedFolder, people
from tests.support.observers import Watcher
from tests.support.proxy import Proxy
from tests.support.waiting import PATIENCE, wait_until

PER_SERVER = 2

MakeFolder = Callable[..., SyncedFolder]


@pytest.fixture
def make_folder(make_folder: MakeFolder, directory: PrivateSlapd, proxy: Proxy) -> MakeFolder:
    """Make folders that read the directory through the proxy: `make_folder(filter=...)`."""

    def make(**definition: Any) -> SyncedFolder:
        query = f"ldap://127.0.0.1:{proxy.port}/{directory.suffix}"
        return make_folder(directory, query=query, **definition)

    return make


def run(folder: SyncedFolder, cache: SessionCache) -> RunReport:
    """Make a run that succeeds at the first attempt."""
    report = folder.run(runner=runner(folder, cache))
    assert (report.error, report.attempts) == (None, 1)
    return report


def runner(folder: SyncedFolder, cache: SessionCache, **options: Any) -> Runner:
    """A runner with this cache."""
    return folder.runner(sessions=cache, **options)


def wait_until_closed(proxy: Proxy, *, but: int = 0) -> None:
    """Wait until only `but` connections are open."""
    wait_until(lambda: proxy.open <= but, lambda: f"{proxy.open} connections are open")


def test_folders_of_one_server_and_user_share_a_connection(
    make_folder: MakeFolder, proxy: Proxy, cache: SessionCache, directory: PrivateSlapd
) -> None:
    """Each reads its own entries."""
    whole, part = make_folder(), make_folder(filter="(employeeType=Nobody)", allow_empty=True)
    for outcome in (Outcome.CHANGED, Outcome.UNCHANGED):
        assert run(whole, cache).outcome is outcome
        assert run(part, cache).outcome is Outcome.UNCHANGED
    assert (whole.contacts(), part.contacts()) == (people(directory), set())
    assert proxy.accepted == 1


def test_simultaneous_runs_have_a_connection_each(
    make_folder: MakeFolder, proxy: Proxy, cache: SessionCache, directory: PrivateSlapd
) -> None:
    """No more remain open than the limit of one server."""
    folders = [make_folder() for _ in range(3)]
    inside = threading.Barrier(3)

    def work(folder: SyncedFolder) -> None:
        def match(stage: str, _counts: object) -> None:
            if stage == "fingerprints":
                inside.wait(PATIENCE)

        runner(folder, cache).run(folder.definition_id, Trigger.MANUAL, Watcher(match))

    threads = [threading.Thread(target=work, args=[folder]) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [folder.contacts() for folder in folders] == [people(directory)] * 3
    assert proxy.accepted == 3
    wait_until_closed(proxy, but=PER_SERVER)


def test_users_do_not_share_a_connection(make_folder: MakeFolder, proxy: Proxy) -> None:
    """With a limit of one connection, each of two users closes the other's."""
    cache = SessionCache(per_server=1, most=8)
    reader, limited = make_folder(), make_folder()
    limited.edit(bind_user=limited.slapd.limited_dn)
    limited.set_password(limited.slapd.limited_password)
    for number in range(1, 5):
        run((reader, limited)[number % 2], cache)
        wait_until_closed(proxy, but=1)
        assert proxy.accepted == number
    cache.close()
    wait_until_closed(proxy)


def test_another_tls_policy_needs_another_connection(
    make_folder: MakeFolder, proxy: Proxy, cache: SessionCache, tmp_path: Path
) -> None:
    """Of the file of authorities the contents count."""
    folder = make_folder()
    authorities = tmp_path / "authorities.pem"
    authorities.write_bytes(folder.slapd.ca_file.read_bytes())
    run(folder, cache)
    policies: list[dict[str, Any]] = [{"tls_verify": False}, {"tls": "none"}, {"tls_ca_file": str(authorities)}]
    for number, policy in enumerate(policies, 2):
        folder.edit(**{"tls_verify": True, "tls": "auto", **policy})
        run(folder, cache)
        run(folder, cache)
        assert proxy.accepted == number
    authorities.write_bytes(make_certificates(tmp_path / "others").authority.read_bytes())
    folder.expect_failure(folder.run(runner=runner(folder, cache)), "directory.certificate")


def test_a_new_password_is_tried(make_folder: MakeFolder, proxy: Proxy, cache: SessionCache) -> None:
    """A connection of the old password is not used."""
    folder, other = make_folder(), make_folder()
    run(folder, cache)
    run(other, cache)
    folder.set_password("not the reader's")
    folder.expect_failure(folder.run(runner=runner(folder, cache)), "directory.credentials")
    folder.set_password(folder.slapd.reader_password)
    run(folder, cache)
    run(other, cache)
    assert proxy.accepted == 2


def test_a_new_user_is_tried(make_folder: MakeFolder, cache: SessionCache) -> None:
    """Also with the same password."""
    folder = make_folder()
    run(folder, cache)
    folder.edit(bind_user=f"cn=nobody,{folder.slapd.suffix}")
    folder.expect_failure(folder.run(runner=runner(folder, cache)), "directory.credentials")


def test_a_restart_of_the_server_costs_no_attempt(
    make_folder: MakeFolder, proxy: Proxy, directory: PrivateSlapd, cache: SessionCache
) -> None:
    """A connection that ended while it was idle is replaced."""
    folder = make_folder()
    run(folder, cache)
    directory.stop()
    wait_until_closed(proxy)
    directory.start()
    run(folder, cache)
    assert proxy.accepted == 2
    assert not [line for line in folder.log if "run.attempt_failed" in line]


def test_a_connection_that_a_firewall_dropped_costs_no_attempt(
    make_folder: MakeFolder, proxy: Proxy, cache: SessionCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that was idle for long is tested first."""
    monkeypatch.setattr(sessions, "_TRUSTED_SECONDS", 0)
    folder = make_folder()
    run(folder, cache)
    run(folder, cache)
    assert proxy.accepted == 1
    proxy.silence()
    report = folder.run(runner=runner(folder, cache, connect_timeout=2))
    assert (report.error, report.attempts, proxy.accepted) == (None, 1, 2)


def test_a_failed_search_closes_its_connection(make_folder: MakeFolder, proxy: Proxy, cache: SessionCache) -> None:
    """Responses may still be outstanding."""
    folder = make_folder(base="ou=nowhere,dc=example,dc=test")
    folder.expect_failure(folder.run(runner=runner(folder, cache)), "directory.base")
    wait_until_closed(proxy)


def test_an_idle_connection_is_closed(
    make_folder: MakeFolder, proxy: Proxy, cache: SessionCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its time."""
    run(make_folder(), cache)
    cache.close_idle()
    assert proxy.open == 1
    monkeypatch.setattr(sessions, "KEEP_SECONDS", 0)
    cache.close_idle()
    wait_until_closed(proxy)


def test_an_old_connection_is_closed(
    make_folder: MakeFolder, proxy: Proxy, cache: SessionCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is used, so that the directory checks the password now and then."""
    folder = make_folder()
    run(folder, cache)
    monkeypatch.setattr(sessions, "LONGEST_SECONDS", 0)
    run(folder, cache)
    assert proxy.accepted == 2
    wait_until_closed(proxy)


def test_everything_is_closed_at_the_end(make_folder: MakeFolder, proxy: Proxy, cache: SessionCache) -> None:
    """Idle connections, and those of runs that end later."""
    folder = make_folder()
    run(folder, cache)
    cache.close()
    wait_until_closed(proxy)
    run(folder, cache)
    wait_until_closed(proxy)


def test_the_cache_shows_no_password(make_folder: MakeFolder, cache: SessionCache) -> None:
    """In none of its attributes."""
    folder = make_folder()
    run(folder, cache)
    folder.expect_no_password(repr(vars(cache)))
