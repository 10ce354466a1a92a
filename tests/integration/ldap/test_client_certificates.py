"""Authentication by a client certificate: SASL EXTERNAL (RFC 4513, section 5.2.3)."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
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
from contactsync.ldap.connection.options import ConnectOptions, TlsOptions
from contactsync.model import Auth, Outcome
from contactsync.testing.certificates import Authority, CertificateFiles, make_certificates
from contactsync.testing.slapd import PrivateSlapd
from tests.support.folder import BRISK, SyncedFolder, captured_log, people
from tests.support.proxy import Proxy
from tests.support.sessions import options_at, options_of, tried

PERSON = (
    "dn: uid=anna,ou=people,dc=example,dc=test\nobjectClass: inetOrgPerson\nuid: anna\ncn: Anna\nsn: Berger\n"
    "mail: anna@example.test\n\n"
)


@pytest.fixture(scope="module")
def authority() -> Authority:
    """Make the authority of the server and the clients."""
    return Authority()


@pytest.fixture(scope="module")
def server(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateSlapd]:
    """Run a server that requires client certificates over TLS."""
    path = tmp_path_factory.mktemp("external")
    files = authority.issue_to_server(path / "tls")
    with PrivateSlapd(path / "slapd", certificates=files, client_certificates=True, ldif=PERSON) as slapd:
        yield slapd


@pytest.fixture
def reader(authority: Authority, tmp_path: Path) -> CertificateFiles:
    """Issue the reader's certificate."""
    return authority.issue_to_client(tmp_path / "client", "reader")


@pytest.fixture
def proxy(server: PrivateSlapd) -> Iterator[Proxy]:
    """Put a proxy before the server's LDAPS port."""
    with closing(Proxy(server.tls_port)) as proxy:
        yield proxy


def external_at(port: int, authority: Path, client: CertificateFiles, *, ldaps: bool = False) -> ConnectOptions:
    """Connect to a port as the user of a certificate."""
    trust = TlsOptions(ca_file=str(authority), client_cert=str(client.certificate), client_key=str(client.key))
    return options_at(port, ldaps=ldaps, auth=Auth.EXTERNAL, trust=trust)


def external(server: PrivateSlapd, client: CertificateFiles, **columns: Any) -> dict[str, Any]:
    """The columns of a definition with a client certificate."""
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
def test_the_certificate_identifies_the_user(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, reader: CertificateFiles, *, ldaps: bool
) -> None:
    """By LDAPS and by StartTLS, which is the default."""
    folder = make_folder(server)
    port = server.tls_port if ldaps else server.port
    folder.edit(**external(server, reader, query=f"ldap{'s' * ldaps}://localhost:{port}/{server.suffix}"))
    assert folder.run().outcome is Outcome.CHANGED
    assert folder.contacts() == people(server)
    assert len(folder.contacts()) == 1


@pytest.mark.parametrize("ldaps", [False, True])
def test_a_missing_certificate_is_reported(server: PrivateSlapd, reader: CertificateFiles, *, ldaps: bool) -> None:
    """The server requires one beside the password too; the hint names the option."""
    simple = options_of(server, ldaps=ldaps)
    with pytest.raises(DirectoryError) as caught:
        tried(simple)
    assert "--client-cert" in caught.value.hint
    assert tried(replace(simple, trust=external_at(0, server.ca_file, reader).trust)).user == server.reader_dn


def test_a_certificate_of_another_authority_is_refused(server: PrivateSlapd, tmp_path: Path) -> None:
    """The hint names the option."""
    stranger = Authority().issue_to_client(tmp_path / "stranger", "reader")
    with pytest.raises(DirectoryError) as caught:
        tried(external_at(server.port, server.ca_file, stranger))
    assert "--client-cert" in caught.value.hint


def test_an_alert_of_the_server_is_reported(authority: Authority, reader: CertificateFiles, tmp_path: Path) -> None:
    """Servers with OpenSSL send one, with TLS 1.3 after the handshake. It is not retried."""
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
            port = listener.getsockname()[1]
            anonymous = options_at(port, ldaps=True, trust=TlsOptions(ca_file=str(reader.authority)))
            with pytest.raises(AccessRefused, match="client certificate, or requires one") as caught:
                tried(external_at(port, reader.authority, shown, ldaps=True) if shown else anonymous)
            thread.join()
        assert "--client-cert" in caught.value.hint


def test_a_server_without_client_certificates_refuses(directory: PrivateSlapd, reader: CertificateFiles) -> None:
    """It is not retried."""
    with pytest.raises((CredentialsRefused, AccessRefused)) as caught:
        tried(external_at(directory.port, directory.ca_file, reader))
    assert str(reader.certificate) in caught.value.message
    assert "StartTLS" in caught.value.hint
    assert not caught.value.retryable


def test_one_file_may_have_certificate_and_key(server: PrivateSlapd, reader: CertificateFiles, tmp_path: Path) -> None:
    """Without `client_key`."""
    both = tmp_path / "both.pem"
    both.touch(mode=0o600)
    both.write_bytes(reader.certificate.read_bytes() + reader.key.read_bytes())
    trust = TlsOptions(ca_file=str(server.ca_file), client_cert=str(both))
    assert tried(options_at(server.port, auth=Auth.EXTERNAL, trust=trust)).server == f"ldap://localhost:{server.port}"


def encrypted(files: CertificateFiles) -> None:
    """Encrypt the key."""
    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    lock = serialization.BestAvailableEncryption(b"secret")
    form = serialization.PrivateFormat.PKCS8
    files.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, lock))


def other_key(files: CertificateFiles) -> None:
    """Replace the key by another one."""
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
def test_files_that_cannot_be_used_are_reported(
    server: PrivateSlapd, reader: CertificateFiles, spoil: Callable[[CertificateFiles], Any], word: str
) -> None:
    """The definition is not valid. OpenSSL does not prompt for a password."""
    spoil(reader)
    with pytest.raises(DefinitionError, match=word) as caught:
        tried(external_at(server.port, server.ca_file, reader))
    assert "client" in caught.value.hint


def test_a_new_certificate_is_used_at_once(
    make_folder: Callable[..., SyncedFolder],
    authority: Authority,
    server: PrivateSlapd,
    reader: CertificateFiles,
    proxy: Proxy,
    cache: SessionCache,
) -> None:
    """The connection of the old certificate, which has the same name, is not used again."""
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
    """The warnings in the log: event, and whose certificate or which file."""
    records = [record for record in map(json.loads, folder.log) if record["level"] == "warning"]
    return [(record["event"], record.get("whose") or record.get("path")) for record in records]


def test_runs_warn_of_expiring_certificates_and_a_readable_key(
    make_folder: Callable[..., SyncedFolder],
    authority: Authority,
    make_slapd: Callable[..., PrivateSlapd],
    tmp_path: Path,
) -> None:
    """The certificates of both sides, in their last thirty days."""
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


def test_runs_do_not_warn_without_a_reason(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, reader: CertificateFiles
) -> None:
    """A certificate of a year, and a key that owner and group may read."""
    reader.key.chmod(0o640)
    folder = make_folder(server)
    folder.edit(**external(server, reader))
    assert not folder.run().error
    assert warnings(folder) == []


def checked(folder: SyncedFolder) -> dict[str, StepResult]:
    """The steps of a check by their names."""
    limits = CheckLimits(step_seconds=10)
    return {step.name: step for step in check(folder.definition, lambda: None, BRISK, limits=limits)}


def test_a_check_shows_the_client_certificate(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, reader: CertificateFiles
) -> None:
    """With a warning if other users can read its key."""
    folder = make_folder(server)
    folder.edit(**external(server, reader))
    tls = checked(folder)["tls"]
    assert tls.status is Status.OK
    assert any("client certificate: CN=reader" in line for line in tls.details)
    reader.key.chmod(0o644)
    steps = checked(folder)
    assert steps["tls"].status is Status.WARNING
    assert f"chmod o= {reader.key}" in steps["tls"].hint
    assert steps["bind"].status is Status.OK
    assert steps["bind"].data["authorisation_id"] == server.reader_dn


def test_a_definition_that_contradicts_itself_is_invalid(
    make_folder: Callable[..., SyncedFolder], server: PrivateSlapd, reader: CertificateFiles
) -> None:
    """No server is contacted."""
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


def test_each_run_warns_of_an_unchecked_certificate(
    make_folder: Callable[..., SyncedFolder], directory: PrivateSlapd
) -> None:
    """Once, and not if it is checked or without TLS."""
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
