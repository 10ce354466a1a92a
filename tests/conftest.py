"""Fixtures for all tests: private servers, ended and removed when their test is over, and databases of their own."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings
from psycopg.conninfo import conninfo_to_dict

from contactsync.store.embedded import embedded_server
from contactsync.store.migration import migrate
from contactsync.testing.ports import ReservedPort
from contactsync.testing.slapd import PrivateSlapd
from tests.support.resources import database_of, short_directory

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
    # A child inherits that a signal is ignored, as under nohup, but not that it is handled. Pytest goes on ignoring it.
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options for more faults, and for others."""
    group = parser.getgroup("contactsync")
    group.addoption("--faults", type=int, default=1, metavar="TIMES", help="try TIMES as many faults, and new examples")
    group.addoption("--fault-seed", default="1", metavar="SEED", help="the seed of everything that is random")


def pytest_configure(config: pytest.Config) -> None:
    """Let Hypothesis try the same examples each time, however slow the machine is; new ones with --faults."""
    settings.register_profile(
        "contactsync",
        deadline=None,
        derandomize=config.getoption("--faults") == 1,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("contactsync")


@pytest.fixture
def make_slapd(tmp_path: Path) -> Iterator[Callable[..., PrivateSlapd]]:
    """Start as many private servers as a test asks for: `make_slapd(ldif=..., size_limit=...)`."""
    with ExitStack() as stack:

        def make(**options: Any) -> PrivateSlapd:
            server = PrivateSlapd(tmp_path / f"slapd{len(list(tmp_path.glob('slapd*')))}", **options)
            return stack.enter_context(server)

        yield make


@pytest.fixture
def slapd(make_slapd: Callable[..., PrivateSlapd]) -> PrivateSlapd:
    """Start a fresh server with its three users and an empty `people_base`."""
    return make_slapd()


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Reserve a port of loopback on which nothing listens."""
    port = ReservedPort()
    yield port.number
    port.release()


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Give an empty directory whose path leaves room for the name of a socket."""
    with short_directory() as path:
        yield path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Run one embedded server for the session and give its conninfo; it does not wait for the disk."""
    options = {"fsync": "off", "full_page_writes": "off"}
    with short_directory() as state_dir, embedded_server(state_dir, options=options) as conninfo:
        yield conninfo


@pytest.fixture(scope="session")
def migrated_template(postgres_server: str) -> Iterator[str]:
    """Make the database that each test's own is copied from, and give its name."""
    with database_of(postgres_server) as conninfo:
        migrate(conninfo)
        yield str(conninfo_to_dict(conninfo)["dbname"])


@pytest.fixture
def database(postgres_server: str, migrated_template: str) -> Iterator[str]:
    """Give the conninfo of an empty, migrated database that lives as long as the test."""
    with database_of(postgres_server, template=migrated_template) as conninfo:
        yield conninfo


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """Undo the configuration of the log."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
