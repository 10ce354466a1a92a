"""The TLS settings of a definition: minimum version, authorities as text; and attacks on StartTLS."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from contactsync.errors import DirectoryError, ProtocolViolation
from contactsync.ldap.connection.options import TlsOptions
from contactsync.model import Outcome
from contactsync.testing.certificates import make_certificates
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import SyncedFolder
from tests.support.proxy import Proxy
from tests.support.sessions import options_at, options_of, session_with, tried

START_TLS, NO_SUCH_OPERATION = b"1.3.6.1.4.1.1466.20037", b"1.3.6.1.4.1.1466.20099"


def version_with(directory: PrivateSlapd, minimum: str | None) -> str | None:
    """The TLS version of a connection to the directory."""
    trust = TlsOptions(ca_file=str(directory.ca_file), minimum=minimum)
    with session_with(options_of(directory, ldaps=True, trust=trust)) as session:
        assert isinstance(session.wire.socket, ssl.SSLSocket)
        return session.wire.socket.version()


@pytest.fixture
def old_server(tmp_path: Path) -> Iterator[Callable[[], tuple[int, Path]]]:
    """Run a server with TLS 1.2 at most, for one connection; give its port and authority."""
    threads = []

    def start() -> tuple[int, Path]:
        files = make_certificates(tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        listener = socket.create_server(("127.0.0.1", 0))

        wrap = partial(context.wrap_socket, server_side=True)

        def serve() -> None:
            with listener, listener.accept()[0] as client, suppress(OSError), wrap(client) as tls:
                tls.recv(1)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return listener.getsockname()[1], files.authority

    yield start
    for thread in threads:
        thread.join()


def test_a_minimum_version_is_required(directory: PrivateSlapd, old_server: Callable[[], tuple[int, Path]]) -> None:
    """At the handshake."""
    assert version_with(directory, "1.3") == version_with(directory, None) == "TLSv1.3"
    for minimum, refused in (("1.3", True), ("1.2", False)):
        port, authority = old_server()
        trust = TlsOptions(ca_file=str(authority), minimum=minimum)
        with pytest.raises(DirectoryError) as caught:
            tried(options_at(port, ldaps=True, trust=trust))
        assert isinstance(caught.value, ProtocolViolation) is refused
        assert ("could not agree on TLS" in caught.value.message) is refused


def test_the_definition_may_have_authorities_as_text(
    make_folder: Callable[..., SyncedFolder], directory: PrivateSlapd, tmp_path: Path
) -> None:
    """Only their certificates are trusted, and text without certificates is refused."""
    folder = make_folder(directory, tls_ca_file=None, tls_ca_pem=directory.ca_file.read_text())
    assert folder.run().outcome is Outcome.CHANGED
    folder.edit(tls_ca_pem=make_certificates(tmp_path).authority.read_text())
    folder.expect_failure(folder.run(), "directory.certificate")
    folder.edit(tls_ca_pem="-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n")
    folder.expect_failure(folder.run(), "definition", "tls_ca_pem", "--ca-pem")
    folder.edit(tls_ca_pem="not ASCII: ä")
    folder.expect_failure(folder.run(), "definition", "tls_ca_pem", "--ca-pem")
    assert folder.status()["state"] == "invalid"


@pytest.mark.parametrize("tls", ["auto", "starttls"])
def test_stripping_starttls_reveals_no_password(
    make_folder: Callable[..., SyncedFolder], directory: PrivateSlapd, proxy: Proxy, tls: str
) -> None:
    """The directory answers that it does not know the operation."""
    sent = bytearray()

    def strip(octets: bytes) -> bytes:
        sent.extend(octets)
        return octets.replace(START_TLS, NO_SUCH_OPERATION)

    folder = make_folder(directory, query=f"ldap://localhost:{proxy.port}/{directory.suffix}", tls=tls)
    proxy.tamper = strip
    report = folder.run()
    assert (report.outcome, report.error_code, report.attempts) == (Outcome.FAILED, "directory.access", 1)
    assert "refused StartTLS" in (report.error or "")
    assert START_TLS in sent
    assert directory.reader_dn.encode() not in sent
    folder.edit(tls="none")
    assert folder.run().outcome is Outcome.CHANGED
    assert directory.reader_dn.encode() in sent


def test_another_server_behind_starttls_gets_no_password(
    make_folder: Callable[..., SyncedFolder], directory: PrivateSlapd, tmp_path: Path
) -> None:
    """Its certificate is refused before the bind, unless the definition turns the check off."""
    other = make_certificates(tmp_path).authority
    folder = make_folder(directory, tls="starttls", tls_ca_file=str(other))
    folder.expect_failure(folder.run(), "directory.certificate", "not trusted")
    folder.edit(tls_verify=False)
    assert folder.run().outcome is Outcome.CHANGED
