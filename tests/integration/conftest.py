"""Fixtures of whole runs: a directory for the session, and a folder that was in sync with it once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import ldap3
import pytest

from contactsync.ldap.connection.cache import SessionCache
from contactsync.model import Outcome
from contactsync.store.pool import Pool, open_pool
from contactsync.testing.people import people_ldif
from contactsync.testing.private_server import PrivateServer
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import SyncedFolder, change
from tests.support.proxy import Proxy
from tests.support.resources import database_of
from tests.support.samba import PrivateSamba, provisioned_domain, reason_to_skip


@pytest.fixture(scope="session")
def shared_database(postgres_server: str, migrated_template: str) -> Iterator[str]:
    """Make one database for all folders of the session: to copy one takes longer than most of the tests."""
    with database_of(postgres_server, template=migrated_template) as conninfo:
        yield conninfo


@pytest.fixture(scope="session")
def pool(shared_database: str) -> Iterator[Pool]:
    """Open a pool on it."""
    with open_pool(shared_database, max_size=4, timeout=30) as pool:
        yield pool


@pytest.fixture
def make_folder(shared_database: str, pool: Pool) -> Callable[..., SyncedFolder]:
    """Make folders for directories: `make_folder(slapd, base=...)`."""
    return partial(SyncedFolder, shared_database, pool)


@pytest.fixture(scope="session")
def shared_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateSlapd]:
    """Run one directory of 60 people for the session."""
    with PrivateSlapd(tmp_path_factory.mktemp("shared") / "slapd", ldif=people_ldif(60)) as server:
        yield server


@pytest.fixture
def directory(shared_directory: PrivateSlapd) -> Iterator[PrivateSlapd]:
    """Lend the directory of the session; people may come and go in it, and it may be stopped."""
    shared_directory.start()
    yield shared_directory
    shared_directory.start()


@pytest.fixture
def folder(make_folder: Callable[..., SyncedFolder], directory: PrivateSlapd) -> SyncedFolder:
    """Fill a folder from the directory, in which somebody came, left and changed since."""
    folder = make_folder(directory)
    assert folder.run().outcome is Outcome.CHANGED
    change(directory)
    return folder


@pytest.fixture
def team_folder(make_folder: Callable[..., SyncedFolder], make_slapd: Callable[..., PrivateSlapd]) -> SyncedFolder:
    """Fill a folder from a directory of eight people."""
    folder = make_folder(make_slapd(ldif=people_ldif(8)))
    assert folder.run().counts.inserted == 8
    return folder


@pytest.fixture
def admin(server: PrivateServer) -> Iterator[ldap3.Connection]:
    """Change the directory of a module's `server`, which is started if necessary."""
    server.start()
    connection = server.connection()
    yield connection
    connection.unbind()


@pytest.fixture
def proxy(directory: PrivateSlapd) -> Iterator[Proxy]:
    """Put a proxy between the runs and the directory."""
    with closing(Proxy(directory.port)) as proxy:
        yield proxy


@pytest.fixture
def cache() -> Iterator[SessionCache]:
    """Give a cache of sessions like the daemon's."""
    with closing(SessionCache(per_server=2, most=8)) as cache:
        yield cache


@pytest.fixture(scope="session")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an empty Active Directory domain to be copied, once for all workers, since that takes seconds."""
    if reason := reason_to_skip():
        pytest.skip(reason)
    base = tmp_path_factory.getbasetemp()
    return provisioned_domain(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)


@pytest.fixture(scope="session")
def samba(domain: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateSamba]:
    """Run one domain controller for the session; every test has an organizational unit of its own in it."""
    with PrivateSamba(tmp_path_factory.mktemp("samba") / "domain", domain) as server:
        yield server


@pytest.fixture(scope="session")
def exchange(domain: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateSamba]:
    """Run another, of a forest that had Exchange once, and with Samba's own idea of a strong bind."""
    with PrivateSamba(tmp_path_factory.mktemp("exchange") / "domain", domain, strong_auth="yes") as server:
        server.learn_from_exchange()
        yield server
