"""The container image of `make image`: what is in it, and containers of it with the least rights."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from contactsync import __version__
from contactsync.credentials.key_file import key_text
from contactsync.store.embedded.layout import SOCKET_NAME
from contactsync.testing.ports import LOOPBACK, ReservedPort
from contactsync.testing.slapd import PrivateSlapd
from tests.support.container import Container, Image
from tests.support.definitions import PEOPLE, count
from tests.support.proxy import Proxy
from tests.support.resources import database_of
from tests.support.waiting import PATIENCE, wait_until

ROOT = Path(__file__).parents[2]
BASE = ROOT / ".setup" / "root" / "image.tar"

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="containers with any user need root"),
    pytest.mark.skipif(not BASE.exists(), reason=f"{BASE} is made by `tools/setup.sh image` on Debian 12"),
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the image."""
    archive = tmp_path_factory.mktemp("image") / "contactsync.oci.tar"
    subprocess.run([ROOT / "tools" / "image.sh", archive], check=True, capture_output=True)
    return archive


@pytest.fixture(scope="module")
def image(archive: Path) -> Image:
    """Unpack the image."""
    return Image(archive, archive.parent)


@pytest.fixture
def empty_database(postgres_server: str) -> Iterator[str]:
    """Give the conninfo of an empty database on loopback, where no user needs a name."""
    with database_of(postgres_server) as conninfo:
        socket = Path(str(conninfo_to_dict(conninfo)["host"])) / SOCKET_NAME
        with closing(Proxy(socket)) as proxy:
            yield make_conninfo(conninfo, host=LOOPBACK, port=proxy.port)


def test_the_image_has_what_a_run_needs_and_no_tools(image: Image, archive: Path) -> None:
    """Neither pip, apt, a compiler nor caches; its bill names every package in it."""
    assert image.config["User"] == "10001:0"
    assert image.labels["org.opencontainers.image.version"] == __version__
    assert image.labels["org.opencontainers.image.created"] == image.created
    for name in ("pip", "pip3", "apt-get", "gcc", "curl"):
        assert not list(image.root.glob(f"usr/bin/{name}")) + list(image.root.glob(f"usr/lib/contactsync/bin/{name}"))
    kept = (image.root / "var/lib/apt/lists").rglob("*")
    assert not [path for path in kept if path.is_file() and path.stat().st_size]
    assert not list((image.root / "dev").iterdir())
    bill = json.loads(archive.with_name("contactsync.oci.cdx.json").read_text(encoding="utf-8"))
    names = {component["name"] for component in bill["components"]}
    installed = (image.root / "usr/lib/contactsync/lib/python3.11/site-packages").glob("*.dist-info")
    packages = {re.sub("[-_.]+", "-", path.name.rpartition("-")[0].rpartition("-")[0]).lower() for path in installed}
    assert packages - names == {"contactsync"}
    assert {"python3.11-minimal", "tini", "libssl3", "ca-certificates"} <= names


def test_a_folder_from_nothing_for_a_user_without_a_name(
    image: Image, empty_database: str, directory: PrivateSlapd, tmp_path: Path
) -> None:
    """Over a read-only root, with the URL and the key as mounted files; the console is a second container."""
    user, console_user = (100_000 + secrets.randbelow(1_000_000_000) for _ in range(2))
    port = ReservedPort()
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "database-url").write_text(empty_database, encoding="utf-8")
    (tmp_path / "secrets" / "secret.key").write_bytes(key_text(secrets.token_bytes(32)))
    for secret in (tmp_path / "secrets").iterdir():
        secret.chmod(0o440)  # for the group 0
    web = {"ENABLED": "true", "USER": str(console_user), "GROUP": "", "LISTEN": f"{LOOPBACK}:{port.number}"}
    settings = {f"CONTACTSYNC_WEB__{name}": value for name, value in web.items()}
    with (
        Container(image, tmp_path, user=user, **settings) as daemon,
        Container(image, tmp_path, "web", user=console_user, **settings) as console,
    ):
        daemon.wait_for_event("daemon.started")
        assert daemon.run("id", "--user").strip() == str(user)
        assert daemon.run("cat", "/proc/1/cmdline").startswith("/usr/bin/tini\0--\0/usr/bin/contactsync\0daemon\0")
        daemon.run("sh", "-c", "! touch /usr/x /etc/x /run/x /x 2>/dev/null && touch /tmp/x")
        add = ("contactsync", "folders", "add", "Staff", "--query", directory.url, "--user", directory.reader_dn)
        daemon.run(*add, "--tls", "none", "--password-stdin", typed=directory.reader_password)
        with psycopg.connect(empty_database, autocommit=True) as person:
            wait_until(lambda: count(person) == PEOPLE, "the contacts")
        assert daemon.run("contactsync", "status", "--live") == daemon.run("contactsync", "status", "--ready") == ""
        assert "1 ok" in daemon.run("contactsync", "status")
        console.wait_for_event("web.listening")
        with httpx.Client(base_url=f"http://{LOOPBACK}:{port.number}", timeout=PATIENCE) as client:
            assert client.get("/health").status_code == 200
        console.run("sh", "-c", "contactsync status --live 2>&1 | grep 'may not use'")  # the daemon's own socket
        # Process 1 reaps what other processes leave.
        daemon.run("sh", "-c", "(sleep 0.1 &)")
        left = ("sh", "-c", "grep -El '^(Name:.sleep|State:.Z)' /proc/[0-9]*/status || true")
        wait_until(lambda: daemon.run(*left) == "", "the orphan to be reaped")
        assert console.stop() == daemon.stop() == 0
    assert not [*(tmp_path / "run").iterdir(), *(tmp_path / "var").iterdir()]


def test_the_embedded_postgresql_of_the_default_user(image: Image, tmp_path: Path) -> None:
    """It is in the volume, survives the container, and ends with it."""
    default = int(image.config["User"].partition(":")[0])
    for _ in range(2):
        with Container(image, tmp_path, user=default) as container:
            container.wait_for_event("daemon.started")
            container.run("contactsync", "status", "--ready")
            assert container.stop() == 0
    assert (tmp_path / "var" / "postgresql" / "data" / "PG_VERSION").exists()
    assert not list((tmp_path / "var").rglob("postmaster.pid"))
