"""The private slapd of the demo and the tests."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import ldap3
import pytest

from contactsync.errors import ContactsyncError
from contactsync.testing.certificates import make_certificates
from contactsync.testing.people import department_dn, make_people, people_ldif
from contactsync.testing.ports import ReservedPort
from contactsync.testing.slapd import PrivateSlapd


@contextmanager
def bind(server: PrivateSlapd, user: str | None = None, password: str | None = None) -> Iterator[ldap3.Connection]:
    """Bind without TLS, anonymously unless a user is given."""
    target = ldap3.Server("127.0.0.1", port=server.port, get_info=ldap3.NONE)
    connection = ldap3.Connection(target, user, password, auto_bind=True, receive_timeout=10)
    try:
        yield connection
    finally:
        connection.unbind()


def names_found(connection: ldap3.Connection, base: str, page: int | None = None) -> tuple[int, int]:
    """The result code of a search for all people, and their number."""
    connection.search(base, "(objectClass=inetOrgPerson)", attributes=["cn"], paged_size=page)
    return connection.result["result"], len(connection.response)


def test_an_anonymous_user_sees_only_the_root_dse(slapd: PrivateSlapd) -> None:
    """Nothing below the naming context."""
    with bind(slapd) as connection:
        connection.search("", "(objectClass=*)", ldap3.BASE, attributes=["namingContexts"])
        assert connection.response[0]["raw_attributes"]["namingContexts"] == [slapd.suffix.encode()]
        assert not connection.search(slapd.suffix, "(objectClass=*)", attributes=["*"])


def test_limits_apply_to_ordinary_users_but_not_to_the_reader(make_slapd: Callable[..., PrivateSlapd]) -> None:
    """A paged search ends at the size limit, with the result code 4."""
    server = make_slapd(ldif=people_ldif(60), size_limit=50)
    with bind(server, server.limited_dn, server.limited_password) as connection:
        assert names_found(connection, server.people_base, page=60) == (4, 50)
    with bind(server, server.reader_dn, server.reader_password) as connection:
        assert names_found(connection, server.people_base) == (0, 60)


def test_password_hashes_are_hidden(slapd: PrivateSlapd) -> None:
    """From the reader too."""
    with bind(slapd, slapd.reader_dn, slapd.reader_password) as connection:
        connection.search(slapd.limited_dn, "(objectClass=*)", ldap3.BASE, attributes=["*"])
        assert "cn" in connection.response[0]["raw_attributes"]
        assert "userPassword" not in connection.response[0]["raw_attributes"]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_data_and_ports_survive_a_restart(slapd: PrivateSlapd, end: str) -> None:
    """After a stop or a crash."""
    ports = slapd.url, slapd.tls_url
    admin = slapd.connection()
    admin.add(f"ou=kept,{slapd.suffix}", "organizationalUnit")
    admin.unbind()
    getattr(slapd, end)()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", slapd.port))
    slapd.start()
    assert (slapd.url, slapd.tls_url) == ports
    with bind(slapd, slapd.reader_dn, slapd.reader_password) as connection:
        assert connection.search(f"ou=kept,{slapd.suffix}", "(objectClass=*)", ldap3.BASE)


@pytest.mark.filterwarnings("ignore:ssl.match_hostname:DeprecationWarning")  # ldap3's own way to compare names
@pytest.mark.parametrize("start_tls", [False, True])
def test_the_authority_of_the_server_verifies_tls(slapd: PrivateSlapd, *, start_tls: bool) -> None:
    """For LDAPS and StartTLS."""
    tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=str(slapd.ca_file))
    port = slapd.port if start_tls else slapd.tls_port
    server = ldap3.Server("localhost", port=port, use_ssl=not start_tls, tls=tls, get_info=ldap3.NONE)
    mode = ldap3.AUTO_BIND_TLS_BEFORE_BIND if start_tls else ldap3.AUTO_BIND_NO_TLS
    connection = ldap3.Connection(server, slapd.reader_dn, slapd.reader_password, auto_bind=mode)
    assert connection.extend.standard.who_am_i() == f"dn:{slapd.reader_dn}"
    connection.unbind()


@pytest.mark.parametrize(
    ("names", "expires"),
    [(["elsewhere.example"], timedelta(days=1)), (["localhost"], timedelta(days=-1))],
    ids=["other name", "expired"],
)
def test_invalid_certificates_can_be_served(
    make_slapd: Callable[..., PrivateSlapd], tmp_path: Path, names: list[str], expires: timedelta
) -> None:
    """A client that checks them refuses the connection."""
    files = make_certificates(tmp_path / "bad", names=names, expires=expires)
    server = make_slapd(certificates=files)
    context = ssl.create_default_context(cafile=files.authority)
    with (
        socket.create_connection(("127.0.0.1", server.tls_port)) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(plain, server_hostname="localhost")


def test_the_process_list_shows_no_password(slapd: PrivateSlapd) -> None:
    """Its addresses are on loopback only."""
    words = Path(f"/proc/{slapd.pid}/cmdline").read_text(encoding="utf-8").split("\0")
    assert not [word for word in words if slapd.admin_password in word or slapd.reader_password in word]
    listeners = words[words.index("-h") + 1].split()
    assert [listener.rpartition(":")[0].partition("://")[2] for listener in listeners] == ["127.0.0.1"] * 2


def test_only_the_owner_can_read_files_with_passwords(slapd: PrivateSlapd) -> None:
    """The configuration and the private key."""
    for name in ("slapd.conf", "tls/server.key"):
        assert (slapd.directory / name).stat().st_mode & 0o077 == 0


def test_a_missing_program_names_the_package(tmp_path: Path) -> None:
    """Debian's package of OpenLDAP."""
    with pytest.raises(ContactsyncError, match="apt-get install slapd"):
        PrivateSlapd(tmp_path / "slapd", programs=tmp_path).start()


def test_invalid_ldif_is_reported(tmp_path: Path) -> None:
    """The error has the loader's own text."""
    with pytest.raises(ContactsyncError, match="no objectClass"):
        PrivateSlapd(tmp_path / "slapd", ldif="dn: ou=x,dc=example,dc=test\nou: x\n\n").start()


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_its_ports_are_reserved(slapd: PrivateSlapd, state: str) -> None:
    """No other program gets them, even while the server is stopped."""
    if state == "stopped":
        slapd.stop()
    for port in (slapd.port, slapd.tls_port):
        with pytest.raises(OSError, match="Address already in use"):
            ReservedPort(port)


def test_a_data_directory_in_use_is_refused(slapd: PrivateSlapd) -> None:
    """By a second server."""
    with pytest.raises(ContactsyncError, match="already holds the data"):
        PrivateSlapd(slapd.directory).start()


def test_people_load_and_can_be_added_to(make_slapd: Callable[..., PrivateSlapd], tmp_path: Path) -> None:
    """From a file, and one by one."""
    file = tmp_path / "people.ldif"
    file.write_text(people_ldif(1000), encoding="utf-8")
    server = make_slapd(ldif=file)
    admin = server.connection()
    for person in make_people(60, start=1000):
        admin.add(person.dn, attributes=person.attributes)
    assert names_found(admin, server.people_base) == (0, 1060)
    assert names_found(admin, department_dn("営業部"))[1] > 0
    admin.unbind()
