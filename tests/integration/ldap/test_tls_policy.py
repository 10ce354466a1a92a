"""What a definition may say about TLS besides whom it trusts: a version, authorities as text; and what strips it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from contactsync.errors import DirectoryError, ProtocolViolation
from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.connection.options import ConnectOptions, TlsOptions
from contactsync.ldap.connection.session import connect
from contactsync.ldap.query.query import ServerAddress
from contactsync.model import Outcome, Tls
from contactsync.testing.certificates import make_certificates
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import SyncedFolder
from tests.support.proxy import Proxy

PASSWORD = "correct horse battery staple"
START_TLS, NO_SUCH_OPERATION = b"1.3.6.1.4.1.1466.20037", b"1.3.6.1.4.1.1466.20099"


def options(port: int, trust: TlsOptions, *, ldaps: bool = False) -> ConnectOptions:
    """Connect to a port of loopback as somebody with a password."""
    return ConnectOptions(
        servers=(ServerAddress("localhost", port, ldaps=ldaps),),
        user="cn=reader,dc=example,dc=test",
        password=PASSWORD,
        tls=Tls.AUTO,
        trust=trust,
        connect_timeout=5,
        receive_timeout=5,
    )


def version_with(directory: PrivateSlapd, minimum: str | None) -> str | None:
    """The version of TLS that a connection to the directory has."""
    trust = TlsOptions(ca_file=str(directory.ca_file), minimum=minimum)
    wanted = replace(options(directory.tls_port, trust, ldaps=True), password=directory.reader_password)
    with connect(wanted, Deadline(30)) as session:
        assert isinstance(session.wire.socket, ssl.SSLSocket)
        return session.wire.socket.version()


@pytest.fixture
def old_server(tmp_path: Path) -> Iterator[Callable[[], tuple[int, Path]]]:
    """Run a server that knows TLS up to 1.2 and is gone after a connection; give its port and authority."""
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


def test_a_minimum_version_is_kept(directory: PrivateSlapd, old_server: Callable[[], tuple[int, Path]]) -> None:
    """A server that is too old is refused at the handshake, and gets as far as the bind otherwise."""
    assert version_with(directory, "1.3") == version_with(directory, None) == "TLSv1.3"
    for minimum, refused in (("1.3", True), ("1.2", False)):
        port, authority = old_server()
        trust = TlsOptions(ca_file=str(authority), minimum=minimum)
        with pytest.raises(DirectoryError) as caught, connect(options(port, trust, ldaps=True), Deadline(30)):
            pytest.fail("connected")
        assert isinstance(caught.value, ProtocolViolation) is refused
        assert ("could not agree on TLS" in caught.value.message) is refused


def test_authorities_may_stand_in_the_definition(
    make_folder: Callable[..., SyncedFolder], directory: PrivateSlapd, tmp_path: Path
) -> None:
    """For those who cannot put a file where the daemon runs; other authorities do not vouch for the server."""
    folder = make_folder(directory, tls_ca_file=None, tls_ca_pem=directory.ca_file.read_text())
    assert folder.run().outcome is Outcome.CHANGED
    folder.edit(tls_ca_pem=make_certificates(tmp_path).authority.read_text())
    folder.expect_failure(folder.run(), "directory.certificate")
    folder.edit(tls_ca_pem="-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n")
    folder.expect_failure(folder.run(), "definition", "tls_ca_pem", "--ca-pem")
    assert folder.status()["state"] == "invalid"


@pytest.fixture
def proxy(directory: PrivateSlapd) -> Iterator[Proxy]:
    """Stand between the run and the directory."""
    proxy = Proxy(directory.port)
    yield proxy
    proxy.close()


@pytest.mark.parametrize("tls", ["auto", "starttls"])
def test_whoever_strips_starttls_gets_no_password(
    make_folder: Callable[..., SyncedFolder], directory: PrivateSlapd, proxy: Proxy, tls: str
) -> None:
    """The directory itself says that it knows no such operation, and would take the password in plain text."""
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


def test_somebody_elses_server_behind_starttls_gets_no_password(
    make_folder: Callable[..., SyncedFolder], directory: PrivateSlapd, tmp_path: Path
) -> None:
    """Its certificate does not hold, and it is told so before the bind; a definition may say otherwise."""
    other = make_certificates(tmp_path).authority
    folder = make_folder(directory, tls="starttls", tls_ca_file=str(other))
    folder.expect_failure(folder.run(), "directory.certificate", "not trusted")
    folder.edit(tls_verify=False)
    assert folder.run().outcome is Outcome.CHANGED
