"""The port of the metrics: TLS, a password, certificates of clients, and what is wrong with the settings."""

from __future__ import annotations

import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from contactsync.errors import ContactsyncError, SecretError
from contactsync.metrics.server import MetricsServer
from contactsync.settings.schema import Metrics
from contactsync.testing.certificates import Authority, CertificateFiles
from contactsync.testing.ports import LOOPBACK, ReservedPort
from tests.support.processes import DaemonProcess
from tests.support.resources import database_of, short_directory
from tests.support.waiting import PATIENCE, wait_until

PASSWORD = "a plain: pässword"


class Scraped:
    """A daemon whose port of the metrics has a certificate and a password, with the files of both."""

    def __init__(self, database: str, place: Path, port: int) -> None:
        self.authority = Authority()
        self.address = (LOOPBACK, port)
        self.password_file = place / "password"
        self.password_file.write_text(f"{PASSWORD}\n", encoding="utf-8")
        self.files = self.authority.issue_to_server(place / "tls")
        settings = {
            "listen": f"{LOOPBACK}:{port}",
            "tls_certificate": self.files.certificate,
            "tls_key": self.files.key,
            "user": "prometheus",
            "password_file": self.password_file,
        }
        self.settings = {name: str(value) for name, value in settings.items()}
        environ = {f"CONTACTSYNC_METRICS__{name.upper()}": value for name, value in self.settings.items()}
        self.process = DaemonProcess(database, place, **environ)

    def get(self, auth: tuple[str, str] | None = None, client: CertificateFiles | None = None) -> httpx.Response:
        """Read the metrics on a new connection."""
        context = ssl.create_default_context(cafile=str(self.files.authority))
        if client:
            context.load_cert_chain(client.certificate, client.key)
        url = f"https://{LOOPBACK}:{self.address[1]}/metrics"
        given = httpx.BasicAuth(auth[0].encode(), auth[1].encode()) if auth else None
        return httpx.get(url, verify=context, auth=given, timeout=PATIENCE)

    def reload(self, event: str) -> str:
        """Let the daemon read its files again, and give the error of the line of the log."""
        before = len(self.process.events(event))
        self.process.send(signal.SIGHUP)
        wait_until(lambda: len(self.process.events(event)) > before, lambda: f"{event}: {self.process.text()}")
        return str(self.process.events(event)[-1].get("error", ""))


@pytest.fixture(scope="module")
def scraped(postgres_server: str, migrated_template: str) -> Iterator[Scraped]:
    """Start one daemon for the tests of this file."""
    with short_directory() as place, database_of(postgres_server, template=migrated_template) as database:
        port = ReservedPort()
        scraped = Scraped(database, place, port.number)
        try:
            scraped.process.start()
            yield scraped
        finally:
            scraped.process.end()
            port.release()


def test_only_the_password_opens(scraped: Scraped) -> None:
    """Another password, another user, another scheme and none are refused; the log has the address, and no password."""
    answer = scraped.get(("prometheus", PASSWORD))
    assert (answer.status_code, "contactsync_build_info" in answer.text) == (200, True)
    for auth in (("prometheus", "guessed"), ("root", PASSWORD), ("prometheus", ""), None):
        answer = scraped.get(auth)
        assert (answer.status_code, "contactsync_" in answer.text) == (401, False), auth
        assert answer.headers["www-authenticate"].startswith("Basic ")
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://{LOOPBACK}:{scraped.address[1]}/metrics")
    refused = wait_until(lambda: scraped.process.events("metrics.refused"), "the lines of the log")
    assert {line["address"] for line in refused} == {LOOPBACK}
    for _ in range(20):
        scraped.get(("prometheus", "guessed"))
    assert len(scraped.process.events("metrics.refused")) <= 11  # ten a minute
    assert "guessed" not in scraped.process.text()
    assert PASSWORD not in scraped.process.text()


def test_silent_clients_keep_nobody_waiting(scraped: Scraped) -> None:
    """Connections without a handshake, and ones that end in the middle of it, disturb no scraper."""
    silent = [socket.create_connection(scraped.address) for _ in range(40)]
    for connection in silent[:10]:
        connection.sendall(b"\x16\x03\x01")
    for connection in silent[:5]:
        connection.close()
    context = ssl.create_default_context(cafile=str(scraped.files.authority))
    with (
        socket.create_connection(scraped.address, timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=LOOPBACK),
    ):
        pass
    assert scraped.get(("prometheus", PASSWORD)).status_code == 200
    for connection in silent:
        connection.close()


def test_files_are_read_again(scraped: Scraped) -> None:
    """A new password and a new certificate are used; a file that cannot be used changes nothing."""
    scraped.password_file.write_text("newer\n", encoding="utf-8")
    scraped.reload("settings.reloaded")
    assert (scraped.get(("prometheus", "newer")).status_code, scraped.get(("prometheus", PASSWORD)).status_code) == (
        200,
        401,
    )
    scraped.password_file.write_text("two\nlines\n", encoding="utf-8")
    assert "[metrics] password_file, must have one line" in scraped.reload("metrics.not_reloaded")
    assert scraped.get(("prometheus", "newer")).status_code == 200
    scraped.password_file.write_text(f"{PASSWORD}\n", encoding="utf-8")
    before = ssl.get_server_certificate(scraped.address)
    scraped.authority.issue_to_server(scraped.files.certificate.parent)
    scraped.reload("settings.reloaded")
    assert ssl.get_server_certificate(scraped.address) != before
    assert scraped.get(("prometheus", PASSWORD)).status_code == 200


def test_only_a_certificate_of_the_authority_opens(
    database: str, scraped: Scraped, tmp_path: Path, closed_port: int
) -> None:
    """With tls_client_ca, a client without a certificate or with that of another authority gets nothing."""
    other = Scraped(database, tmp_path, closed_port)
    other.process.environ["CONTACTSYNC_METRICS__TLS_CLIENT_CA"] = str(other.files.authority)
    other.process.start()
    auth = ("prometheus", PASSWORD)
    for client in (None, scraped.authority.issue_to_client(tmp_path / "stranger", "stranger")):
        with pytest.raises(httpx.HTTPError):
            other.get(auth, client)
    assert other.get(auth, other.authority.issue_to_client(tmp_path / "scraper", "scraper")).status_code == 200
    other.process.end()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"password_file": ""}, "[metrics] user and password_file are needed together, and one of them is not set."),
        ({"tls_key": ""}, "[metrics] tls_certificate and tls_key are needed together, and one of them is not set."),
        (
            {"tls_key": "", "tls_certificate": "", "tls_client_ca": "/ca"},
            "[metrics] tls_client_ca needs tls_certificate",
        ),
        ({"tls_client_ca": "/absent"}, "/absent, which is [metrics] tls_client_ca, cannot be read: No such file"),
        ({"password_file": "/absent"}, "The file /absent, which is [metrics] password_file, cannot be read. Write the"),
        (
            {"listen": f"{LOOPBACK}:99999"},
            "The server of the metrics cannot listen at 127.0.0.1:99999: the largest port",
        ),
    ],
)
def test_wrong_settings_are_one_sentence(
    scraped: Scraped, closed_port: int, wrong: dict[str, str], sentence: str
) -> None:
    """Nothing is served without the protection that the settings ask for."""
    settings = Metrics.model_validate(scraped.settings | {"listen": f"{LOOPBACK}:{closed_port}"} | wrong)
    with pytest.raises(ContactsyncError) as raised, MetricsServer(CollectorRegistry()).serving(settings):
        pass
    assert sentence in str(raised.value)


def test_a_daemon_does_not_start_without_its_protection(database: str, tmp_path: Path, closed_port: int) -> None:
    """It says why in one line."""
    other = Scraped(database, tmp_path, closed_port)
    other.password_file.unlink()
    other.process.launch()
    assert other.process.wait() == SecretError.exit_code
    assert "password, which is [metrics] password_file, cannot be read." in other.process.text()
    assert "Traceback" not in other.process.text()
