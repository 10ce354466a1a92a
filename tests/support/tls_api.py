"""A daemon whose API is served over TLS too, with three folders, and clients with tokens."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import httpx

from contactsync.testing.certificates import Authority, CertificateFiles
from contactsync.testing.people import people_ldif
from contactsync.testing.ports import LOOPBACK, ReservedPort
from contactsync.testing.slapd import PrivateSlapd
from tests.support.daemon_client import DaemonClient, running_daemon
from tests.support.definitions import PEOPLE
from tests.support.waiting import PATIENCE, wait_until

OTHERS = "Board"
"""The name of the folder of which clients with a scope must learn nothing."""


class TlsApi:
    """The daemon, its files, and the ids of its definitions: `staff`, `private` of the owner anna, and `board`."""

    def __init__(self, local: DaemonClient, port: int, files: CertificateFiles, place: Path) -> None:
        self.local = local
        self.port = port
        self.files = files
        self.place = place
        self.url = f"https://{LOOPBACK}:{port}"
        self.staff = local.staff
        self.private = local.define("Private")
        local.person.execute("UPDATE contactsync.folders SET owner = 'anna' WHERE name = 'Private'")
        self.board = local.define(OTHERS)
        for definition_id in (self.private, self.board):
            local.run(definition_id)
        self.held = self._held()
        self._clients: list[httpx.Client] = []
        self._shared: dict[Any, httpx.Client] = {}
        self._tokens = 0

    def token(self, *may: str, **fields: Any) -> str:
        """A new token; without a scope it is for everything."""
        self._tokens += 1
        scope = fields if {"folders", "owners"} & fields.keys() else {"everything": True, **fields}
        body = {"name": f"token-{self._tokens}", "may": may or ("read", "sync", "edit", "decide"), **scope}
        response = self.local.http.post("/v1/tokens", json=body)
        assert response.status_code == 201, response.text
        return str(response.json()["token"])

    def client(self, token: str | None = None) -> httpx.Client:
        """A new client over TLS, with a token."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        client = httpx.Client(base_url=self.url, headers=headers, verify=self.trust, timeout=PATIENCE)
        self._clients.append(client)
        return client

    def may(self, *rights: str, folders: tuple[str, ...] = (), owners: tuple[str, ...] = ()) -> httpx.Client:
        """A client with a token for this; the same one each time. Without rights it has all."""
        key = (frozenset(rights), folders, owners)
        if key not in self._shared:
            scope = {"folders": folders, "owners": owners} if folders or owners else {}
            self._shared[key] = self.client(self.token(*rights, **scope))
        return self._shared[key]

    @cached_property
    def trust(self) -> ssl.SSLContext:
        """Trust in the daemon's certificate."""
        return ssl.create_default_context(cafile=str(self.files.authority))

    def raw(self) -> socket.socket:
        """A TCP connection without TLS."""
        return socket.create_connection((LOOPBACK, self.port), timeout=PATIENCE)

    @cache  # noqa: B019 -- there is one for the whole session
    def ids(self, definition_id: int) -> dict[str, int]:
        """The ids in paths for a definition."""
        overview = self.local.get(f"/v1/definitions/{definition_id}")
        (contact, *_) = self.local.get(f"/v1/folders/{overview['folder_id']}/contacts", limit=1)["contacts"]
        (run, *_) = self.local.get("/v1/runs", definition_id=definition_id, limit=1)["runs"]
        request = self.local.post(f"/v1/definitions/{definition_id}/sync", 202)
        ids = {"folder_id": overview["folder_id"], "definition_id": definition_id, "request_id": request["request_id"]}
        return ids | {"contact_id": contact["contact_id"], "run_id": run["run_id"]}

    def close(self) -> None:
        """Close all clients."""
        for client in self._clients:
            client.close()

    def _held(self) -> int:
        """A run of the board that waits for a decision."""
        edit = "UPDATE contactsync.sync_definitions SET filter = '(sn=Nobody)' WHERE definition_id = %s"
        self.local.person.execute(edit, [self.board])
        run = self.local.run(self.board)
        assert run["outcome"] == "held"
        return int(run["run_id"])


@contextmanager
def tls_api(database: str, place: Path, **settings: str) -> Iterator[TlsApi]:
    """Start a directory, and a daemon with the API at a free port."""
    port = ReservedPort()
    files = Authority().issue_to_server(place / "tls")
    api = {
        "LISTEN": f"{LOOPBACK}:{port.number}",
        "TLS_CERTIFICATE": str(files.certificate),
        "TLS_KEY": str(files.key),
        **settings,
    }
    with (
        PrivateSlapd(place / "slapd", ldif=people_ldif(PEOPLE, seed=7)) as directory,
        running_daemon(
            database,
            directory,
            place,
            SSL_CERT_FILE=str(directory.ca_file),
            **{f"CONTACTSYNC_API__{name}": value for name, value in api.items()},
        ) as local,
    ):
        wait_until(lambda: local.daemon.events("api.listening"), local.daemon.text)
        served = TlsApi(local, port.number, files, place)
        try:
            yield served
        finally:
            served.close()
