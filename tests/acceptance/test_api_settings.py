"""The section [api] of the settings: what is wrong with it is said, and the rest of the daemon works."""

from __future__ import annotations

import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from contactsync.serving.address import bind
from contactsync.testing.certificates import Authority, CertificateFiles
from contactsync.testing.ports import LOOPBACK, ReservedPort
from tests.support.processes import DaemonProcess
from tests.support.resources import database_of, short_directory
from tests.support.waiting import wait_until


class Daemon:
    """A daemon with a file of settings that is edited and read again."""

    def __init__(self, database: str, place: Path) -> None:
        self.database = database
        self.file = place / "settings.toml"
        self.process = DaemonProcess(database, place, CONTACTSYNC_SETTINGS=str(self.file))
        self.local = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(place / "state" / "control.sock")), base_url="http://daemon"
        )

    def write(self, **settings: Any) -> None:
        """Write the section."""
        values = {name: value if isinstance(value, int) else f"'{value}'" for name, value in settings.items()}
        lines = [f"{name} = {value}" for name, value in values.items()]
        self.file.write_text("\n".join(["[api]", *lines, ""]), encoding="utf-8")

    def reload(self, event: str = "api.listening", **settings: Any) -> dict[str, Any]:
        """Write the section, let the daemon read it, and give the line of the log."""
        self.write(**settings)
        before = len(self.process.events(event))
        self.process.send(signal.SIGHUP)
        wait_until(lambda: len(self.process.events(event)) > before, lambda: f"{event}: {self.process.text()}")
        assert self.local.get("/v1/health/ready").status_code == 200
        return self.process.events(event)[-1]


@pytest.fixture(scope="module")
def daemon(postgres_server: str, migrated_template: str) -> Iterator[Daemon]:
    """Start a daemon whose first settings are wrong: there is no certificate."""
    with (
        short_directory() as place,
        database_of(postgres_server, template=migrated_template) as database,
    ):
        daemon = Daemon(database, place)
        daemon.write(listen=f"{LOOPBACK}:1")
        try:
            daemon.process.start()
            yield daemon
        finally:
            daemon.local.close()
            daemon.process.end()


@pytest.fixture
def files(tmp_path: Path) -> CertificateFiles:
    """Give a certificate and its key."""
    return Authority().issue_to_server(tmp_path / "good")


@pytest.fixture
def port() -> Iterator[int]:
    """Reserve a port."""
    port = ReservedPort()
    yield port.number
    port.release()


def client(port: int, authority: Path) -> httpx.Client:
    """A client that trusts an authority, without a token."""
    context = ssl.create_default_context(cafile=str(authority))
    return httpx.Client(base_url=f"https://{LOOPBACK}:{port}", verify=context)


def test_a_daemon_with_wrong_files_starts_and_says_why(
    daemon: Daemon, files: CertificateFiles, tmp_path: Path, port: int
) -> None:
    """One sentence for each mistake; the control socket is served all the time."""
    (first,) = daemon.process.events("api.not_listening", listen=f"{LOOPBACK}:1")
    assert "the API is never served without TLS" in first["error"]
    assert (first["error_code"], first["level"]) == ("settings", "error")
    assert daemon.local.get("/v1/status").status_code == 200
    expired = Authority().issue_to_server(tmp_path / "expired", expires=-timedelta(days=1))
    other = Authority().issue_to_server(tmp_path / "other")
    garbage, exposed, sealed = tmp_path / "garbage.pem", tmp_path / "exposed.key", tmp_path / "sealed.key"
    garbage.write_text("nothing", encoding="utf-8")
    garbage.chmod(0o640)
    exposed.write_bytes(files.key.read_bytes())
    exposed.chmod(0o644)
    subprocess.run(
        ["openssl", "pkey", "-in", files.key, "-aes128", "-passout", "pass:secret", "-out", sealed], check=True
    )
    good: dict[str, Any] = {"listen": f"{LOOPBACK}:{port}", "tls_certificate": files.certificate, "tls_key": files.key}
    for wrong, words in (
        (
            {"tls_certificate": tmp_path / "absent.crt"},
            "absent.crt, which is [api] tls_certificate, cannot be read: No such",
        ),
        ({"tls_certificate": garbage}, "garbage.pem holds no certificate in PEM form"),
        ({"tls_certificate": expired.certificate}, "expired on 20"),
        ({"tls_key": other.key}, "does not belong to the certificate"),
        ({"tls_key": garbage}, "holds no private key in PEM form"),
        ({"tls_key": exposed}, "is open to every user"),
        ({"tls_key": sealed}, "is encrypted"),
        ({"tls_client_ca": garbage}, "garbage.pem holds no certificates in PEM form"),
        ({"listen": f"{LOOPBACK}:99999"}, "cannot listen at 127.0.0.1:99999"),
        ({"listen": "192.0.2.1:443"}, "cannot listen at 192.0.2.1:443: Cannot assign requested address"),
    ):
        line = daemon.reload("api.not_listening", **{**good, **wrong})
        assert words in line["error"], line
        assert "secret" not in line["error"]
    with socket.create_server((LOOPBACK, 0)) as taken:
        line = daemon.reload("api.not_listening", **{**good, "listen": f"{LOOPBACK}:{taken.getsockname()[1]}"})
    assert "Address already in use" in line["error"]


def test_a_new_certificate_is_used_without_closing_connections(
    daemon: Daemon, files: CertificateFiles, tmp_path: Path, port: int
) -> None:
    """A wrong one later changes nothing, and an empty address closes the port."""
    good: dict[str, Any] = {"listen": f"{LOOPBACK}:{port}", "tls_certificate": files.certificate, "tls_key": files.key}
    assert daemon.reload(**good)["certificate_expires_at"]
    with client(port, files.authority) as old:
        connection = old.get("/v1/status").extensions["network_stream"].get_extra_info("socket")
        newer = Authority().issue_to_server(tmp_path / "newer")
        good |= {"tls_certificate": newer.certificate, "tls_key": newer.key}
        daemon.reload(**good)
        again = old.get("/v1/status")
        assert again.status_code == 401
        assert again.extensions["network_stream"].get_extra_info("socket") is connection
    with client(port, files.authority) as distrusting, pytest.raises(httpx.ConnectError, match="certificate verify"):
        distrusting.get("/v1/status")
    daemon.reload("api.not_listening", **{**good, "tls_key": tmp_path / "absent"})
    with client(port, newer.authority) as trusting:
        assert trusting.get("/v1/status").status_code == 401
    daemon.reload("api.closed")
    with client(port, newer.authority) as closed, pytest.raises(httpx.ConnectError):
        closed.get("/v1/status")


def test_clients_need_a_certificate_if_an_authority_is_set(
    daemon: Daemon, files: CertificateFiles, tmp_path: Path, port: int
) -> None:
    """In addition to the token."""
    authority = Authority()
    own = authority.issue_to_client(tmp_path / "client", "helpdesk")
    daemon.reload(
        listen=f"{LOOPBACK}:{port}",
        tls_certificate=files.certificate,
        tls_key=files.key,
        tls_client_ca=own.authority,
    )
    with client(port, files.authority) as stranger, pytest.raises(httpx.HTTPError):
        stranger.get("/v1/status")
    context = ssl.create_default_context(cafile=str(files.authority))
    context.load_cert_chain(own.certificate, own.key)
    with httpx.Client(base_url=f"https://{LOOPBACK}:{port}", verify=context) as known:
        assert known.get("/v1/status").status_code == 401


def test_a_token_has_a_limit_of_requests(daemon: Daemon, files: CertificateFiles, port: int) -> None:
    """It is read again too; another token is not concerned."""
    daemon.reload(
        listen=f"{LOOPBACK}:{port}", tls_certificate=files.certificate, tls_key=files.key, requests_per_minute=60
    )
    tokens = [
        daemon.local.post("/v1/tokens", json={"name": name, "may": ["read"], "everything": True}).json()["token"]
        for name in ("busy", "calm")
    ]
    with client(port, files.authority) as http:
        answers = [http.get("/v1/health/live", headers={"Authorization": f"Bearer {tokens[0]}"}) for _ in range(25)]
        assert [answer.status_code for answer in answers[:10]] == [200] * 10
        assert answers[-1].status_code == 429
        assert answers[-1].json()["code"] == "token.rate"
        assert int(answers[-1].headers["retry-after"]) == 1
        assert http.get("/v1/health/live", headers={"Authorization": f"Bearer {tokens[1]}"}).status_code == 200


def test_a_stranger_learns_nothing_about_the_database(daemon: Daemon, files: CertificateFiles, port: int) -> None:
    """If the tokens cannot be read, the log says why; a good token is accepted again afterwards."""
    daemon.reload(listen=f"{LOOPBACK}:{port}", tls_certificate=files.certificate, tls_key=files.key)
    token = daemon.local.post("/v1/tokens", json={"name": "db", "may": ["read"], "everything": True}).json()["token"]
    with client(port, files.authority) as http, psycopg.connect(daemon.database, autocommit=True) as owner:
        http.headers["Authorization"] = f"Bearer {token}"
        assert http.get("/v1/folders").status_code == 200
        owner.execute("ALTER TABLE contactsync.tokens RENAME TO hidden")
        answer = wait_until(lambda: (each := http.get("/v1/folders")).status_code == 503 and each, "the refusal")
        assert (answer.json()["code"], "hidden" in answer.text, "relation" in answer.text) == (
            "not_ready",
            False,
            False,
        )
        assert len(daemon.process.events("api.tokens_unreadable")) == 1
        owner.execute("ALTER TABLE contactsync.hidden RENAME TO tokens")
        wait_until(lambda: http.get("/v1/folders").status_code == 200, "the token to be accepted")


def test_an_answer_is_not_held_back_until_the_last_one_was_confirmed() -> None:
    """Nagle's algorithm would delay each answer in two parts by the 40 ms of a delayed acknowledgement."""
    with bind(f"{LOOPBACK}:0", "api") as listening, socket.create_connection(listening.getsockname()):
        listening.setblocking(True)  # noqa: FBT003  (it takes no keyword)
        connection, _ = listening.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
