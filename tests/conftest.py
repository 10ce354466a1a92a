"""Fixtures for all tests: private servers, ended and removed when their test is over, and databases of their own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from contactsync.demo.slapd import PrivateSlapd
from contactsync.store.embedded import embedded_server
from contactsync.store.migrate import migrate

_TEMPLATE = "migrated"
_numbers = count(1)


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


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Run one embedded server for the session and give its conninfo; it does not wait for the disk."""
    # Not below pytest's own temporary directory: a socket's path may have 107 bytes at most.
    state_dir = Path(tempfile.mkdtemp(prefix="contactsync-test-"))
    try:
        with embedded_server(state_dir, options={"fsync": "off", "full_page_writes": "off"}) as conninfo:
            yield conninfo
    finally:
        shutil.rmtree(state_dir)


@pytest.fixture(scope="session")
def migrated_template(postgres_server: str) -> str:
    """Make the database that each test's own is copied from, and give its name."""
    _execute(postgres_server, "CREATE DATABASE {}", _TEMPLATE)
    migrate(make_conninfo(postgres_server, dbname=_TEMPLATE))
    return _TEMPLATE


@pytest.fixture
def database(postgres_server: str, migrated_template: str) -> Iterator[str]:
    """Give the conninfo of an empty, migrated database that lives as long as the test."""
    name = f"test_{next(_numbers)}"
    _execute(postgres_server, "CREATE DATABASE {} TEMPLATE {}", name, migrated_template)
    yield make_conninfo(postgres_server, dbname=name)
    _execute(postgres_server, "DROP DATABASE {} WITH (FORCE)", name)


def _execute(conninfo: str, statement: LiteralString, *names: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
