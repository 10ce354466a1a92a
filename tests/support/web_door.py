"""A daemon with the socket of the web console, and requests there for different people."""

from __future__ import annotations

import base64
import getpass
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from contactsync.testing.people import people_ldif
from contactsync.testing.slapd import PrivateSlapd
from tests.support.daemon_client import DaemonClient, running_daemon
from tests.support.definitions import PEOPLE
from tests.support.waiting import PATIENCE

ADDRESS = "192.0.2.7"


def actor_header(user: str, *, groups: tuple[str, ...] = (), admin: bool = False, **others: Any) -> dict[str, str]:
    """The header that names a person."""
    document = {"user": user, "groups": groups, "admin": admin, "how": "directory", "address": ADDRESS} | others
    return {"Contactsync-Actor": base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")}


class WebDoor:
    """The daemon with its control socket as `local`, its socket for the web console, and its file of settings."""

    def __init__(self, local: DaemonClient, path: Path, settings: Path) -> None:
        self.local = local
        self.path = path
        self.settings = settings
        self.http = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(path)), base_url="http://daemon", timeout=PATIENCE
        )

    def ask(self, user: str, method: str, path: str, *, groups: tuple[str, ...] = (), **options: Any) -> httpx.Response:
        """A request for a person; "root" is an administrator."""
        headers = actor_header(user, groups=groups, admin=user == "root")
        return self.http.request(method, path, headers=headers, **options)

    def give(self, definition_id: int, *rights: dict[str, Any]) -> httpx.Response:
        """Set the rights in a definition's folder, as an administrator."""
        return self.ask("root", "PUT", f"/v1/folders/{self.folder(definition_id)}/rights", json={"rights": rights})

    def folder(self, definition_id: int) -> int:
        """The id of a definition's folder."""
        return int(self.local.get(f"/v1/definitions/{definition_id}")["folder_id"])

    def get(self, user: str, path: str, **query: Any) -> Any:
        """The document of a GET for a person that must succeed."""
        response = self.ask(user, "GET", path, params=query)
        assert response.status_code == 200, response.text
        return response.json()


@contextmanager
def web_door(database: str, place: Path, *, ldif: Path | str | None = None, **settings: str) -> Iterator[WebDoor]:
    """Start a directory and a daemon that believes this process who its requests are for."""
    file = place / "settings.toml"
    file.touch()
    web = {"ENABLED": "true", "USER": getpass.getuser(), "GROUP": "", **settings}
    with (
        PrivateSlapd(place / "slapd", ldif=ldif or people_ldif(PEOPLE, seed=7)) as directory,
        running_daemon(
            database,
            directory,
            place,
            SSL_CERT_FILE=str(directory.ca_file),
            CONTACTSYNC_SETTINGS=str(file),
            CONTACTSYNC_DIRECTORY__RETRY_BASE_SECONDS="0.01",
            CONTACTSYNC_WEB__DIRECTORIES=f"{directory.url} ldaps://dc.example.net",
            **{f"CONTACTSYNC_WEB__{name}": value for name, value in web.items()},
        ) as local,
    ):
        door = WebDoor(local, place / "state" / "web.sock", file)
        try:
            yield door
        finally:
            door.http.close()
