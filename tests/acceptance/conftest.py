"""Fixtures of whole programs: the daemon, the command line, and a user of the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support.definitions import PEOPLE, Person, define
from tests.support.processes import CommandLine, DaemonProcess
from tests.support.resources import database_of, short_directory
from tests.support.tls_api import TlsApi, tls_api
from tests.support.web_door import WebDoor, web_door


@pytest.fixture
def directory(make_slapd: Callable[..., PrivateSlapd]) -> PrivateSlapd:
    """Start a slapd with forty people."""
    return make_slapd(ldif=people_ldif(PEOPLE, seed=7))


@pytest.fixture
def make_daemon(tmp_path: Path) -> Iterator[Callable[..., DaemonProcess]]:
    """Make daemons that are not started yet: `make_daemon(database, CONTACTSYNC_...=...)`."""
    with ExitStack() as stack:

        def make(database: str, **settings: str) -> DaemonProcess:
            directory = tmp_path / f"daemon{len(list(tmp_path.glob('daemon*')))}"
            directory.mkdir()
            daemon = DaemonProcess(database, directory, **settings)
            stack.callback(daemon.end)
            return daemon

        yield make


@pytest.fixture
def cli(database: str, tmp_path: Path) -> Iterator[CommandLine]:
    """Give the command line of an empty database."""
    command_line = CommandLine(database, tmp_path)
    yield command_line
    command_line.end()


@pytest.fixture
def staff(cli: CommandLine, person: Person, directory: PrivateSlapd) -> int:
    """Define the folder Staff, which the command line can fill, and give the definition's id."""
    cli.environ["READER"] = directory.reader_password
    return define(person, directory, schedule="manual")


@pytest.fixture
def person(database: str) -> Iterator[psycopg.Connection[Any]]:
    """Connect as a user of the database."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def api(postgres_server: str, migrated_template: str) -> Iterator[TlsApi]:
    """Serve the API over TLS, for all tests of tokens."""
    with (
        short_directory() as place,
        database_of(postgres_server, template=migrated_template) as database,
        tls_api(database, place) as api,
    ):
        yield api


@pytest.fixture(scope="session")
def door(postgres_server: str, migrated_template: str) -> Iterator[WebDoor]:
    """Serve the web console's socket, for all tests of what people may do there."""
    with (
        short_directory() as place,
        database_of(postgres_server, template=migrated_template) as database,
        web_door(database, place, PERSONAL_FOLDERS="true") as door,
    ):
        yield door
