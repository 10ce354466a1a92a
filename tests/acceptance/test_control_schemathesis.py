"""The control socket and its OpenAPI document: valid requests work, invalid ones are answered with a problem."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy
from requests.adapters import HTTPAdapter
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support.daemon_client import DaemonClient, running_daemon
from tests.support.resources import database_of, short_directory

ENDLESS = "/v1/events"
REACHING = {"/v1/browse", "/v1/preview", "/v1/sample"}
"""Paths whose requests name a directory, which may not exist: 502 is right then."""
EXAMPLES = 15


class UnixPool(HTTPConnectionPool):
    """Connections of requests to a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("daemon")
        self.path = path

    def _new_conn(self) -> Any:
        path = self.path

        class UnixConnection(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                connection.connect(str(path))
                return connection

        return UnixConnection("daemon")


class UnixAdapter(HTTPAdapter):
    """One pool for all requests."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.pool = UnixPool(path)

    def get_connection_with_tls_context(self, *_arguments: Any, **_options: Any) -> Any:
        """The pool."""
        return self.pool

    def close(self) -> None:
        """Close the pool as well."""
        self.pool.close()
        super().close()


@pytest.fixture(scope="module")
def client(postgres_server: str, migrated_template: str) -> Iterator[DaemonClient]:
    """Run a daemon with a database of its own."""
    with (
        short_directory() as place,
        database_of(postgres_server, template=migrated_template) as database,
        PrivateSlapd(place / "slapd", ldif=people_ldif(40, seed=7)) as directory,
        running_daemon(database, directory, place) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def session(client: DaemonClient) -> Iterator[requests.Session]:
    """Open a session of requests to the socket."""
    with requests.Session() as session:
        session.mount("http://", UnixAdapter(client.path))
        yield session


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_operation_keeps_to_the_document(
    client: DaemonClient, session: requests.Session, mode: GenerationMode
) -> None:
    """No request, valid or not, gets a 5xx, or a status, header or body that the document does not describe."""
    document = schemathesis.openapi.from_dict(client.get("/v1/openapi.json")).exclude(path=ENDLESS)
    results = list(document.get_all_operations())
    assert len(results) >= 20
    for result in results:
        assert isinstance(result, Ok)
        operation = result.ok()
        if mode is GenerationMode.NEGATIVE and not list(operation.iter_parameters()):
            continue  # nothing in it can be invalid
        _try(operation.as_strategy(generation_mode=mode), session, reaches_directories=operation.path in REACHING)
    assert not client.daemon.events("control.crashed")


def _try(
    cases: SearchStrategy[schemathesis.Case[Any]], session: requests.Session, *, reaches_directories: bool
) -> None:
    @given(case=cases)
    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    def keeps(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(
            base_url="http://daemon",
            session=session,
            # A valid name or id need not exist, and a run need not be one that can be approved.
            excluded_checks=[positive_data_acceptance, *([not_a_server_error] if reaches_directories else [])],
        )

    keeps()
