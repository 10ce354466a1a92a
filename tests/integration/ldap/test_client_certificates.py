"""Who asks is shown by a certificate: SASL EXTERNAL (RFC 4513, section 5.2.3) against a server that demands one."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from contactsync.checks.check import check
from contactsync.checks.context import CheckLimits
from contactsync.checks.result import Status, StepResult
from contactsync.errors import AccessRefused, CredentialsRefused, DefinitionError, DirectoryError
from contactsync.ldap.connection.cache import SessionCache
from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.connection.options import ConnectOptions, TlsOptions
from contactsync.ldap.connection.session import Session, connect
from contactsync.ldap.query.query import ServerAddress
from contactsync.model import Auth, Outcome, Tls
from contactsync.testing.certificates import Authority, CertificateFiles, make_certificates
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import BRISK, SyncedFolder, captured_log, people
from tests.support.proxy import Proxy

PERSON = (
    "dn: uid=anna,ou=people,dc=example,dc=test\nobjectClass: inetOrgPerson\nuid: anna\ncn: Anna\nsn: Berger\n"
    "mail: anna@example.test\n\n"
)


@pytest.fixture(scope="module")
def authority() -> Authority:
    """Make the authority that server and clients have in common."""
    return Authority()


@pytest.fixture(scope="module")
def server(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateSlapd]:
    """Run a server that lets nobody in over TLS without a certificate."""
    path = tmp_path_factory.mktemp("external")
    files = authority.issue_to_server(path / "tls")
    with PrivateSlapd(path / "slapd", certificates=files, client_certificates=True, ldif=PERSON) as slapd:
        yield slapd


@pytest.fixture
def reader(authority: Authority, tmp_path: Path) -> CertificateFiles:
    """Issue a certificate that the server takes for the reader's."""
    return authority.issue_to_client(tmp_path / "client", "reader")


@pytest.fixture
def proxy(server: PrivateSlapd) -> Iterator[Proxy]:
    """Stand before the server's LDAPS, and count."""
    proxy = Proxy(server.tls_port)
    yield proxy
    proxy.close()


@pytest.fixture
def cache() -> Iterator[SessionCache]:
    """Give a cache as the daemon has it."""
    cache = SessionCache(per_server=2, most=8)
    yield cache
    cache.close()


def options(server: PrivateSlapd, client: CertificateFiles | None, *, ldaps: bool = False) -> ConnectOptions:
    """Connect as whom the certificate names."""
    trust = TlsOptions(ca_file=str(server.ca_file))
    if client:
        trust = replace(trust, client_cert=str(client.certificate), client_key=str(client.key))
    address = ServerAddress("localhost", server.tls_port if ldaps else server.port, ldaps=ldaps)
    return replace(options_at(address), trust=trust)


def options_at(address: ServerAddress) -> ConnectOptions:
    """Connect to there, as whom a certificate names."""
    return ConnectOptions(
        servers=(address,),
        user=None,
        password=None,
        auth=Auth.EXTERNAL,
        tls=Tls.AUTO,
        connect_timeout=5,
        receive_timeout=10,
    )


def tried(wanted: ConnectOptions) -> Session:
    """Connect and close."""
    with connect(wanted, Deadline(30)) as session:
        return session


def external(server: PrivateSlapd, client: CertificateFiles, **columns: Any) -> dict[str, Any]:
    """The columns of a definition that asks by a certificate."""
    return {
        "query": f"ldaps://localhost:{server.tls_port}/{server.suffix}",
        "bind_user": None,
        "password_sealed": None,
        "auth": "external",
        "tls_client_cert": str(client.certificate),
        "tls_client_key": str(client.key),
        **columns,
    }


@pytest.mark.parametrize("ldaps", [False, True])
def test_the_certificate_says_who_asks(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, reader: CertificateFiles, *, ldaps: bool
) -> None:
    """By LDAPS and by StartTLS, which is used by itself: nobody else may read what is behind a certificate."""
    folder = make_folder(server)
    port = server.tls_port if ldaps else server.port
    folder.edit(**external(server, reader, query=f"ldap{'s' * ldaps}://localhost:{port}/{server.suffix}"))
    assert folder.run().outcome is Outcome.CHANGED
    assert folder.contacts() == people(server)
    assert len(folder.contacts()) == 1


@pytest.mark.parametrize("ldaps", [False, True])
def test_without_a_certificate_nobody_gets_in(server: PrivateSlapd, reader: CertificateFiles, *, ldaps: bool) -> None:
    """The server demands one of everybody, with a password or not; the hint says where to set it."""
    simple = replace(options(server, None, ldaps=ldaps), auth=Auth.SIMPLE, user=server.reader_dn)
    simple = replace(simple, password=server.reader_password)
    with pytest.raises(DirectoryError) as caught:
        tried(simple)
    assert "--client-cert" in caught.value.hint
    assert tried(replace(simple, trust=options(server, reader).trust)).user == server.reader_dn


def test_a_certificate_of_a_stranger_is_refused(server: PrivateSlapd, tmp_path: Path) -> None:
    """Its authority is not the server's."""
    stranger = Authority().issue_to_client(tmp_path / "stranger", "reader")
    with pytest.raises(DirectoryError) as caught:
        tried(options(server, stranger))
    assert "--client-cert" in caught.value.hint


def test_a_server_that_says_why_is_understood(authority: Authority, reader: CertificateFiles, tmp_path: Path) -> None:
    """Those with OpenSSL send an alert, with TLS 1.3 after the handshake; nobody needs to try that again."""
    files = authority.issue_to_server(tmp_path / "tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    context.load_verify_locations(files.authority)
    context.verify_mode = ssl.CERT_REQUIRED

    def serve(listener: socket.socket) -> None:
        client, _ = listener.accept()
        with context.wrap_socket(client, server_side=True, do_handshake_on_connect=False) as tls:
            with suppress(ssl.SSLError):
                tls.do_handshake()
            while os.read(tls.fileno(), 4096):  # until the client has gone, or it might miss the alert
                pass

    stranger = Authority().issue_to_client(tmp_path / "stranger", "reader")
    for version, shown in ((ssl.TLSVersion.TLSv1_2, stranger), (ssl.TLSVersion.TLSv1_3, stranger), (None, None)):
        context.maximum_version = version or ssl.TLSVersion.MAXIMUM_SUPPORTED
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=serve, args=[listener])
            thread.start()
            trust = TlsOptions(ca_file=str(reader.authority))
            if shown:
                trust = replace(trust, client_cert=str(shown.certificate), client_key=str(shown.key))
            address = ServerAddress("localhost", listener.getsockname()[1], ldaps=True)
            with pytest.raises(AccessRefused, match="client certificate, or requires one") as caught:
                tried(replace(options_at(address), trust=trust, auth=Auth.EXTERNAL if shown else Auth.SIMPLE))
            thread.join()
        assert "--client-cert" in caught.value.hint


def test_a_server_that_takes_no_certificates_says_so(directory: PrivateSlapd, reader: CertificateFiles) -> None:
    """Nothing was shown to it, so it knows nobody; the schedule must not go on."""
    with pytest.raises((CredentialsRefused, AccessRefused)) as caught:
        tried(options(directory, reader))
    assert str(reader.certificate) in caught.value.message
    assert "StartTLS" in caught.value.hint
    assert not caught.value.retryable


def test_one_file_may_hold_both(server: PrivateSlapd, reader: CertificateFiles, tmp_path: Path) -> None:
    """The certificate and its key."""
    both = tmp_path / "both.pem"
    both.touch(mode=0o600)
    both.write_bytes(reader.certificate.read_bytes() + reader.key.read_bytes())
    trust = TlsOptions(ca_file=str(server.ca_file), client_cert=str(both))
    assert tried(replace(options(server, reader), trust=trust)).server == f"ldap://localhost:{server.port}"


def encrypted(files: CertificateFiles) -> None:
    """Put a password on the key."""
    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    lock = serialization.BestAvailableEncryption(b"secret")
    form = serialization.PrivateFormat.PKCS8
    files.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, lock))


def other_key(files: CertificateFiles) -> None:
    """Put somebody else's key in its place."""
    shutil.copy(make_certificates(files.key.parent / "other").key, files.key)


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda files: files.key.unlink(), "There is no file"),
        (lambda files: files.certificate.write_text("x"), "cannot be used"),
        (other_key, "cannot be used"),
        (encrypted, "encrypted"),
    ],
    ids=["no key", "no certificate", "another key", "encrypted"],
)
def test_files_that_cannot_be_used_are_told(
    server: PrivateSlapd, reader: CertificateFiles, spoil: Callable[[CertificateFiles], Any], word: str
) -> None:
    """It is the definition that is wrong; nobody is asked for a password in a terminal."""
    spoil(reader)
    with pytest.raises(DefinitionError, match=word) as caught:
        tried(options(server, reader))
    assert "client" in caught.value.hint


def test_a_new_certificate_is_shown_at_once(
    make_folder: Callable[..., SyncedFolder],
    authority: Authority,
    server: PrivateSlapd,
    reader: CertificateFiles,
    proxy: Proxy,
    cache: SessionCache,
) -> None:
    """The old one's connection is open still; it is no proof of the new one, which has the same name."""
    folder = make_folder(server)
    folder.edit(**external(server, reader, query=f"ldaps://localhost:{proxy.port}/{server.suffix}"))
    for _ in range(2):
        assert not folder.run(sessions=cache).error
    assert proxy.accepted == 1
    authority.issue_to_client(reader.key.parent, "reader")
    for _ in range(2):
        assert not folder.run(sessions=cache).error
    assert proxy.accepted == 2


def warnings(folder: SyncedFolder) -> list[tuple[str, Any]]:
    """The events of the log that warn, with whose certificate they are about or which file."""
    records = [record for record in map(json.loads, folder.log) if record["level"] == "warning"]
    return [(record["event"], record.get("whose") or record.get("path")) for record in records]


def test_runs_warn_of_a_certificate_that_expires_and_of_an_open_key(
    make_folder: Callable[..., SyncedFolder],
    authority: Authority,
    make_slapd: Callable[..., PrivateSlapd],
    tmp_path: Path,
) -> None:
    """The server's and our own; not before the last thirty days."""
    soon = timedelta(days=29)
    server = make_slapd(
        certificates=authority.issue_to_server(tmp_path / "tls", expires=soon), client_certificates=True, ldif=PERSON
    )
    client = authority.issue_to_client(tmp_path / "client", "reader", expires=soon)
    client.key.chmod(0o604)
    folder = make_folder(server)
    folder.edit(**external(server, client))
    folder.run()
    assert sorted(warnings(folder)) == [
        ("certificate.expires", "client"),
        ("certificate.expires", "server"),
        ("secret.exposed", str(client.key)),
    ]


def test_runs_warn_of_nothing_else(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, reader: CertificateFiles
) -> None:
    """A year is enough, and a key for its owner and a group is no other's."""
    reader.key.chmod(0o640)
    folder = make_folder(server)
    folder.edit(**external(server, reader))
    assert not folder.run().error
    assert warnings(folder) == []


def checked(server: PrivateSlapd, folder: SyncedFolder) -> dict[str, StepResult]:
    """The steps of a check by their names."""
    del server
    limits = CheckLimits(step_seconds=10)
    return {step.name: step for step in check(folder.definition, lambda: None, BRISK, limits=limits)}


def test_a_check_shows_our_certificate_and_its_open_key(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, reader: CertificateFiles
) -> None:
    """A warning while everything works."""
    folder = make_folder(server)
    folder.edit(**external(server, reader))
    tls = checked(server, folder)["tls"]
    assert tls.status is Status.OK
    assert any("client certificate: CN=reader" in line for line in tls.details)
    reader.key.chmod(0o644)
    steps = checked(server, folder)
    assert steps["tls"].status is Status.WARNING
    assert f"chmod o= {reader.key}" in steps["tls"].hint
    assert steps["bind"].status is Status.OK
    assert steps["bind"].data["authorisation_id"] == server.reader_dn


def test_a_definition_that_contradicts_itself_is_invalid(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, reader: CertificateFiles
) -> None:
    """Before anybody is asked."""
    folder = make_folder(server)
    good = external(server, reader)
    for wrong, word in (
        ({"bind_user": server.reader_dn}, "there is a user as well"),
        ({"tls_client_cert": None, "tls_client_key": None}, "no client certificate"),
        ({"query": server.url, "tls": "none"}, "'none'"),
    ):
        folder.edit(**{"tls": "auto", **good, **wrong})
        report = folder.run()
        folder.expect_failure(report, "definition", word)
        assert folder.status()["state"] == "invalid"


def test_unchecked_certificates_are_told_once_by_each_run(
    make_folder: Callable[..., SyncedFolder], directory: PrivateSlapd
) -> None:
    """Neither by runs that check them, nor by those without TLS."""
    folder = make_folder(directory, tls_verify=False)
    for number in (1, 2):
        folder.run()
        assert warnings(folder) == [("certificate.unchecked", None)] * number
    folder.edit(tls="none")
    folder.run()
    folder.edit(tls="auto", tls_verify=True)
    folder.run()
    assert len(warnings(folder)) == 2
    with captured_log() as lines:
        folder.runner().preview(folder.definition)
    assert not [line for line in lines if '"warning"' in line]
