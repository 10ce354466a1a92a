"""The console as a real user of its own, beside the daemon: what the daemon believes, and what that user can read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from contactsync.testing.ports import LOOPBACK, ReservedPort
from tests.support.processes import CONTACTSYNC, DaemonProcess
from tests.support.resources import database_of, short_directory
from tests.support.waiting import PATIENCE, wait_until
from tests.support.web import SAME_SITE
from tests.support.web_door import actor_header

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a program as another user")

CONSOLE, OTHER, GROUP = 64_801, 64_802, "games"
"""Both users are members of the group, so that only the user is another one."""
ASK = """
import http.client, json, socket, sys
class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(sys.argv[1])
connection = Connection("daemon")
connection.request("GET", "/v1/status", headers=json.loads(sys.argv[2]))
answer = connection.getresponse()
print(json.dumps([answer.status, json.loads(answer.read()).get("code")]))
"""
TRY = """
import json, os, socket, sys
def tried(path):
    try:
        if path.endswith(".sock"):
            socket.socket(socket.AF_UNIX).connect(path)
        else:
            os.listdir(path) if os.path.isdir(path) else open(path, "rb").read()
    except OSError as error:
        return type(error).__name__
    return "done"
print(json.dumps({path: tried(path) for path in sys.argv[1:]}))
"""


def as_user(uid: int, *command: str) -> list[str]:
    """A command that a user of the group runs."""
    return ["setpriv", f"--reuid={uid}", "--regid=nogroup", f"--groups={GROUP}", *command]


def answer_of(program: str, *arguments: str, uid: int) -> Any:
    """What a Python program prints that a user runs."""
    command = as_user(uid, sys.executable, "-c", program, *arguments)
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def local_client(place: Path) -> httpx.Client:
    """A client of the control socket."""
    transport = httpx.HTTPTransport(uds=str(place / "control.sock"))
    return httpx.Client(transport=transport, base_url="http://daemon", timeout=PATIENCE)


def answers(client: httpx.Client) -> bool:
    """Whether the console answers."""
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Give a directory that all users can enter, as /run and /etc/contactsync."""
    with short_directory() as path:
        path.chmod(0o755)
        yield path


@pytest.fixture(scope="module")
def database(postgres_server: str, migrated_template: str) -> Iterator[str]:
    """Make one database for all tests of this file."""
    with database_of(postgres_server, template=migrated_template) as conninfo:
        yield conninfo


@pytest.fixture(scope="module")
def daemon(database: str, place: Path) -> Iterator[DaemonProcess]:
    """Start a daemon with its sockets and settings in `place`, and a stored password, so that there is a key."""
    settings = place / "settings.toml"
    settings.touch(mode=0o640)
    settings.write_text(
        f"""[database]
url = {json.dumps(database)}
[control]
socket = "{place}/control.sock"
[web]
enabled = true
socket = "{place}/web.sock"
user = "{CONSOLE}"
group = "{GROUP}"
"""
    )
    (place / "daemon").mkdir()
    daemon = DaemonProcess(database, place / "daemon")
    del daemon.environ["CONTACTSYNC_DATABASE__URL"], daemon.environ["CONTACTSYNC_SETTINGS"]
    try:
        daemon.start(str(CONTACTSYNC), "--settings", str(settings), "daemon")
        with local_client(place) as local:
            who = {"query": "ldaps://dc1.example.com", "user": "a@example.com", "password": "secret"}
            added = local.post("/v1/definitions", json={"folder": "Sealed", "schedule": "manual", **who})
            assert added.status_code == 201
        yield daemon
    finally:
        daemon.end()


def test_the_daemon_believes_the_consoles_user_and_no_other(daemon: DaemonProcess, place: Path) -> None:
    """By the kernel's word: neither another member of the group, nor root, nor the daemon's own user."""
    socket, header = str(place / "web.sock"), json.dumps(actor_header("anna", admin=True))
    assert answer_of(ASK, socket, header, uid=CONSOLE) == [200, None]
    assert answer_of(ASK, socket, header, uid=OTHER) == [403, "web.peer"]
    assert answer_of(ASK, socket, header, uid=0) == [403, "web.peer"]
    assert daemon.events("web.refused", error_code="web.peer")


def test_the_consoles_user_reads_no_secret_of_the_daemon(daemon: DaemonProcess, place: Path) -> None:
    """Neither the key, nor the settings with the database's password, nor the process; nor uses the control socket."""
    files = [f"{daemon.state}/secret.key", f"{place}/settings.toml", f"/proc/{daemon.pid}/environ"]
    secrets = [*files, f"/proc/{daemon.pid}/fd", f"{place}/control.sock"]
    assert answer_of(TRY, *secrets, uid=0) == dict.fromkeys(secrets, "done")
    assert answer_of(TRY, *secrets, uid=CONSOLE) == dict.fromkeys(secrets, "PermissionError")


@pytest.mark.usefixtures("daemon")
def test_the_console_works_as_its_user(place: Path) -> None:
    """With the settings that it may read, a person signs in by a link and sees the folders."""
    port = ReservedPort()
    own = place / "web.toml"
    own.write_text(f'[web]\nsocket = "{place}/web.sock"\nlisten = "{LOOPBACK}:{port.number}"\n')
    console = DaemonProcess("", place)
    for name in ("DATABASE__URL", "SETTINGS", "STATE__DIRECTORY"):
        del console.environ[f"CONTACTSYNC_{name}"]
    console.launch(*as_user(CONSOLE, str(CONTACTSYNC), "--settings", str(own), "web"))
    url = f"http://{LOOPBACK}:{port.number}"
    with local_client(place) as local, httpx.Client(base_url=url, headers=SAME_SITE, timeout=PATIENCE) as person:
        try:
            console.wait_for_event("web.listening")
            wait_until(lambda: answers(person), console.text)
            code = local.post("/v1/console/sign-in-codes").json()["code"]
            assert person.post(f"/sign-in/{code}").status_code == 303
            assert "Sealed" in person.get("/folders").text
        finally:
            console.end()
