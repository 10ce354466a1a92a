"""Connections to real servers: TLS, certificates, users, and several servers in turn."""

from __future__ import annotations

import socket
import ssl
import subprocess
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import ldap3
import pytest

from contactsync.errors import (
    BaseNotFound,
    CertificateRefused,
    ContactsyncError,
    CredentialsRefused,
    DeadlineExceeded,
    DefinitionError,
    ProtocolViolation,
    RunCancelled,
    ServerNotFound,
    ServerNotSynchronized,
    ServerUnavailable,
)
from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.connection.options import ConnectOptions, TlsOptions
from contactsync.ldap.connection.session import connect
from contactsync.ldap.query.query import ServerAddress
from contactsync.model import Tls
from contactsync.testing.certificates import CertificateFiles, make_certificates
from contactsync.testing.slapd import PrivateSlapd
from tests.support.peers import answers, bind_answer, peer
from tests.support.sessions import options_at, options_of, session_with, tried

WRONG_PASSWORD = "correct horse battery staple"


def protected(wanted: ConnectOptions) -> bool:
    """Whether the session uses TLS."""
    with session_with(wanted) as session:
        return isinstance(session.wire.socket, ssl.SSLSocket)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateSlapd]:
    """Run one server for the tests that do not change it."""
    with PrivateSlapd(tmp_path_factory.mktemp("connect") / "slapd") as slapd:
        yield slapd


@pytest.mark.parametrize(
    ("tls", "ldaps", "with_user", "url", "safe"),
    [
        (Tls.AUTO, True, True, "ldaps", True),
        (Tls.AUTO, False, True, "ldap", True),
        (Tls.AUTO, False, False, "ldap", False),
        (Tls.LDAPS, True, True, "ldaps", True),
        (Tls.STARTTLS, False, False, "ldap", True),
        (Tls.NONE, False, True, "ldap", False),
    ],
)
def test_the_setting_decides_about_tls(
    server: PrivateSlapd, tls: Tls, *, ldaps: bool, with_user: bool, url: str, safe: bool
) -> None:
    """AUTO protects every password: by LDAPS if the query asks for it, else by StartTLS."""
    wanted = options_of(server, tls=tls, ldaps=ldaps)
    if not with_user:
        wanted = replace(wanted, user=None, password=None)

    assert protected(wanted) is safe
    assert tried(wanted).server == f"{url}://localhost:{server.tls_port if ldaps else server.port}"


@pytest.mark.parametrize("ldaps", [False, True])
def test_a_bind_does_not_wait_for_an_acknowledgement(server: PrivateSlapd, *, ldaps: bool) -> None:
    """Nagle's algorithm would hold small requests back for 40 ms."""
    with session_with(options_of(server, ldaps=ldaps)) as session:
        assert session.wire.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_the_ldaps_setting_protects_a_bare_host_and_port(server: PrivateSlapd) -> None:
    """Without ldaps:// in the query."""
    bare = replace(options_of(server), servers=(ServerAddress("localhost", server.tls_port),), tls=Tls.LDAPS)

    assert protected(bare)


@pytest.mark.parametrize("tls", [Tls.NONE, Tls.STARTTLS])
def test_a_setting_that_contradicts_the_query_is_refused(server: PrivateSlapd, tls: Tls) -> None:
    """ldaps:// is not ignored."""
    with pytest.raises(DefinitionError, match=tls.value):
        tried(options_of(server, tls=tls, ldaps=True))


def test_the_root_dse_has_the_base_and_the_controls(server: PrivateSlapd) -> None:
    """OpenLDAP lists one naming context and the paging control."""
    root_dse = tried(options_of(server)).root_dse

    assert root_dse.default_base() == server.suffix
    assert root_dse.supports_paging
    assert not root_dse.is_active_directory


def test_several_naming_contexts_need_a_choice(server: PrivateSlapd) -> None:
    """Unless one of them is the default; the error lists them."""
    root_dse = tried(options_of(server)).root_dse

    with pytest.raises(BaseNotFound, match='"o=a" and "o=b"'):
        replace(root_dse, naming_contexts=("o=a", "o=b")).default_base()
    with pytest.raises(BaseNotFound, match="no search base"):
        replace(root_dse, naming_contexts=()).default_base()
    assert replace(root_dse, naming_contexts=("o=a", "o=b"), default_naming_context="o=b").default_base() == "o=b"


def test_an_ip_address_in_the_certificate_is_accepted(server: PrivateSlapd) -> None:
    """The certificate is checked against the query's name or address."""
    assert protected(options_of(server, ldaps=True, host="127.0.0.1"))
    assert protected(options_of(server, tls=Tls.STARTTLS, host="127.0.0.1"))


@pytest.mark.parametrize("ldaps", [True, False])
@pytest.mark.parametrize(
    ("names", "expires", "host", "reason"),
    [
        (["ldap.example.test"], timedelta(days=30), "localhost", "issued for another name"),
        (["localhost"], timedelta(days=30), "127.0.0.1", "issued for another name"),
        (["localhost"], timedelta(days=-1), "localhost", "has expired"),
    ],
)
def test_an_invalid_certificate_is_refused_with_the_reason(
    make_slapd: Callable[..., PrivateSlapd],
    tmp_path: Path,
    *,
    ldaps: bool,
    names: list[str],
    expires: timedelta,
    host: str,
    reason: str,
) -> None:
    """By LDAPS and by StartTLS, unless the check is off."""
    server = make_slapd(certificates=make_certificates(tmp_path / "tls", names=names, expires=expires))
    wanted = options_of(server, ldaps=ldaps, host=host)

    with pytest.raises(CertificateRefused, match=reason) as caught:
        tried(wanted)

    assert "tls_verify" in caught.value.hint
    assert not caught.value.retryable
    assert protected(replace(wanted, trust=TlsOptions(verify=False)))


def test_an_unknown_issuer_is_refused_with_a_hint(server: PrivateSlapd, tmp_path: Path) -> None:
    """Neither this machine's authorities nor another one issued the certificate."""
    for ca_file in (None, str(make_certificates(tmp_path).authority)):
        with pytest.raises(CertificateRefused, match="issuer that is not trusted") as caught:
            tried(replace(options_of(server, ldaps=True), trust=TlsOptions(ca_file=ca_file)))
        assert "tls_ca_file" in caught.value.hint


def test_a_self_signed_certificate_is_refused(make_slapd: Callable[..., PrivateSlapd], tmp_path: Path) -> None:
    """Unless its own certificate is the trusted authority."""
    files = make_certificates(tmp_path / "tls")
    server = make_slapd(certificates=files)

    with pytest.raises(CertificateRefused, match="certificate of"):
        tried(replace(options_of(server, ldaps=True), trust=TlsOptions()))
    assert protected(options_of(server, ldaps=True))


@pytest.mark.parametrize(("content", "message"), [(None, "There is no file"), ("not a certificate", "no certificates")])
def test_a_ca_file_that_cannot_be_used_is_named(
    server: PrivateSlapd, tmp_path: Path, content: str | None, message: str
) -> None:
    """The definition is not valid."""
    ca_file = tmp_path / "ca.pem"
    if content:
        ca_file.write_text(content)

    with pytest.raises(DefinitionError, match=message) as caught:
        tried(replace(options_of(server, ldaps=True), trust=TlsOptions(ca_file=str(ca_file))))
    assert "tls_ca_file" in caught.value.hint


def test_a_wrong_password_is_refused_and_not_shown(server: PrivateSlapd) -> None:
    """Not even in a traceback with the variables of every frame. It is not retried."""
    with pytest.raises(CredentialsRefused, match=rf"{server.reader_dn}.*invalidCredentials \(49\)") as caught:
        tried(replace(options_of(server), password=WRONG_PASSWORD))

    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "options = ConnectOptions(" in shown
    assert WRONG_PASSWORD not in shown
    assert not caught.value.retryable


@pytest.mark.parametrize(
    "password",
    [
        "Fläche-20m²",
        "10µm",
        "l´ete",
        "drei…Punkte",
        "½ Liter",
        "Marke™",
        "№5",
        "a\u00a0b",
        "a\u00adb",
        "cafe\u0301",
        "日本",
        " a ",
    ],
)
def test_a_password_is_sent_as_it_was_typed(server: PrivateSlapd, password: str) -> None:
    """Characters that SASLprep would replace or remove are sent unchanged."""
    admin = server.connection()
    admin.modify(server.limited_dn, {"userPassword": [(ldap3.MODIFY_REPLACE, [password.encode()])]})
    admin.unbind()
    wanted = replace(options_of(server), user=server.limited_dn, password=password)
    assert tried(wanted).root_dse.naming_contexts


def test_a_weak_certificate_is_refused_with_a_hint(make_slapd: Callable[..., PrivateSlapd], tmp_path: Path) -> None:
    """The hint does not name authorities."""
    key, certificate = tmp_path / "weak.key", tmp_path / "weak.crt"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-subj", "/CN=localhost", "-days", "9"]
    made += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True)
    server = make_slapd(certificates=CertificateFiles(certificate, certificate, key))
    with pytest.raises(CertificateRefused, match="too weak") as caught:
        tried(options_of(server, ldaps=True))
    assert "2,048 bits" in caught.value.hint


@pytest.mark.parametrize("user", ["EXAMPLE\\reader", "reader@example.test"])
def test_a_user_in_a_form_that_the_server_does_not_accept_is_refused(server: PrivateSlapd, user: str) -> None:
    """OpenLDAP accepts only a DN."""
    with pytest.raises(CredentialsRefused) as caught:
        tried(replace(options_of(server), user=user))
    assert "a DN for all servers" in caught.value.hint


@pytest.mark.parametrize("password", [None, ""])
def test_a_user_without_a_password_is_refused_before_anything_is_sent(password: str | None, closed_port: int) -> None:
    """A server would treat it as an anonymous bind and answer with success (RFC 4513, section 5.1.2)."""
    with pytest.raises(DefinitionError, match="has no password"):
        tried(options_at(closed_port, user="cn=reader,dc=example,dc=test", password=password, tls=Tls.NONE))


def test_the_password_is_not_shown(server: PrivateSlapd) -> None:
    """Neither by the options nor by the session."""
    assert server.reader_password not in repr(options_of(server))
    with session_with(options_of(server)) as session:
        assert server.reader_password not in repr([session, vars(session.wire)])


def test_a_port_that_refuses_is_unavailable(server: PrivateSlapd, closed_port: int) -> None:
    """It may come back."""
    with pytest.raises(ServerUnavailable, match="refused the connection") as caught:
        tried(replace(options_of(server), servers=(ServerAddress("127.0.0.1", closed_port),)))
    assert caught.value.retryable


def test_an_impossible_name_is_not_found(server: PrivateSlapd) -> None:
    """It is not retried."""
    with pytest.raises(ServerNotFound) as caught:
        tried(replace(options_of(server), servers=(ServerAddress("a" * 64 + ".example.test", 389),)))
    assert not caught.value.retryable


def test_ldaps_to_a_port_that_speaks_plain_ldap_is_explained(server: PrivateSlapd) -> None:
    """The error mentions TLS."""
    with pytest.raises((ProtocolViolation, ServerUnavailable), match="TLS"):
        tried(replace(options_of(server), servers=(ServerAddress("localhost", server.port, ldaps=True),)))


def test_plain_ldap_to_a_port_that_expects_tls_is_explained(server: PrivateSlapd) -> None:
    """The server closes the connection or sends an alert."""
    plain = replace(options_of(server, tls=Tls.NONE), servers=(ServerAddress("localhost", server.tls_port),))
    with pytest.raises((ProtocolViolation, ServerUnavailable)):
        tried(plain)


def test_servers_are_tried_in_turn(server: PrivateSlapd, closed_port: int) -> None:
    """The first one that works is used."""
    dead = ServerAddress("127.0.0.1", closed_port)
    unknown = ServerAddress("a" * 64, 389)
    [alive] = options_of(server).servers

    session = tried(replace(options_of(server), servers=(unknown, dead, alive, dead)))

    assert session.server == f"ldap://localhost:{server.port}"


def test_one_error_names_every_server_that_failed(server: PrivateSlapd, closed_port: int) -> None:
    """It is retryable if one of theirs is."""
    dead, unknown = ServerAddress("127.0.0.1", closed_port), ServerAddress("a" * 64, 389)

    with pytest.raises(ServerUnavailable, match="None of 2 servers can be used") as caught:
        tried(replace(options_of(server), servers=(unknown, dead)))
    assert unknown.netloc in caught.value.message
    assert dead.netloc in caught.value.message


def test_a_domain_controller_that_is_still_being_filled_is_not_read(server: PrivateSlapd) -> None:
    """Its people would be missing from the folder. The next server is used, if there is one."""
    root_dse = {
        "supportedCapabilities": ["1.2.840.113556.1.4.800"],
        "schemaNamingContext": ["CN=Schema,CN=Configuration,DC=example,DC=test"],
        "isSynchronized": ["FALSE"],
    }
    [alive] = options_of(server).servers
    for others in ((), (alive,)):
        with peer(bind_answer, answers(root_dse, dn="")) as controller:
            wanted = replace(
                options_of(server, tls=Tls.NONE), servers=(ServerAddress("127.0.0.1", controller.port), *others)
            )
            if others:
                assert tried(wanted).server == f"ldap://localhost:{server.port}"
                continue
            with pytest.raises(ServerNotSynchronized, match="has not finished its replication") as caught:
                tried(wanted)
            assert caught.value.retryable


def test_a_refused_password_is_not_sent_to_the_next_server(server: PrivateSlapd) -> None:
    """The servers share their accounts, which are locked after a few wrong passwords."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        bystander = ServerAddress("127.0.0.1", listener.getsockname()[1])
        wanted = replace(options_of(server), password=WRONG_PASSWORD)
        with pytest.raises(CredentialsRefused):
            tried(replace(wanted, servers=(*wanted.servers, bystander)))
        with pytest.raises(TimeoutError):
            listener.accept()


def test_nothing_is_connected_after_the_deadline(server: PrivateSlapd) -> None:
    """Or when the run was cancelled."""
    cancelled = Deadline(30)
    cancelled.cancel()

    for deadline, error in ((Deadline(0), DeadlineExceeded), (cancelled, RunCancelled)):
        with pytest.raises(error), connect(options_of(server), deadline):
            pytest.fail("connected")


def test_the_socket_is_closed_after_an_error(server: PrivateSlapd) -> None:
    """Whatever the block raises."""
    sockets = []

    def work() -> None:
        with session_with(options_of(server)) as session:
            sockets.append(session.wire.socket)
            raise ContactsyncError("The work failed.")

    with pytest.raises(ContactsyncError, match="The work failed"):
        work()
    assert [opened.fileno() for opened in sockets] == [-1]
