"""The private directory server: real slapd, as the demo and the other tests rely on it."""

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
    """Bind to the plain port, as anonymous unless a user is given."""
    target = ldap3.Server("127.0.0.1", port=server.port, get_info=ldap3.NONE)
    connection = ldap3.Connection(target, user, password, auto_bind=True, receive_timeout=10)
    try:
        yield connection
    finally:
        connection.unbind()


def names_found(connection: ldap3.Connection, base: str, page: int | None = None) -> tuple[int, int]:
    """The result code and the number of people that a search for all of them gives."""
    connection.search(base, "(objectClass=inetOrgPerson)", attributes=["cn"], paged_size=page)
    return connection.result["result"], len(connection.response)


def test_anonymous_sees_only_the_root_dse(slapd: PrivateSlapd) -> None:
    """Without a user the naming context can be read and nothing below it."""
    with bind(slapd) as connection:
        connection.search("", "(objectClass=*)", ldap3.BASE, attributes=["namingContexts"])
        assert connection.response[0]["raw_attributes"]["namingContexts"] == [slapd.suffix.encode()]
        assert not connection.search(slapd.suffix, "(objectClass=*)", attributes=["*"])


def test_limits_hold_for_ordinary_users_but_not_for_the_reader(make_slapd: Callable[..., PrivateSlapd]) -> None:
    """A paged search ends with code 4 at the size limit for one user and gives everything to the other."""
    server = make_slapd(ldif=people_ldif(60), size_limit=50)
    with bind(server, server.limited_dn, server.limited_password) as connection:
        assert names_found(connection, server.people_base, page=60) == (4, 50)
    with bind(server, server.reader_dn, server.reader_password) as connection:
        assert names_found(connection, server.people_base) == (0, 60)


def test_nobody_reads_password_hashes(slapd: PrivateSlapd) -> None:
    """The reader sees the accounts without their passwords."""
    with bind(slapd, slapd.reader_dn, slapd.reader_password) as connection:
        connection.search(slapd.limited_dn, "(objectClass=*)", ldap3.BASE, attributes=["*"])
        assert "cn" in connection.response[0]["raw_attributes"]
        assert "userPassword" not in connection.response[0]["raw_attributes"]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_data_and_ports_survive_a_restart(slapd: PrivateSlapd, end: str) -> None:
    """After an orderly end or a crash the server comes back on the same ports with its data."""
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
def test_tls_holds_against_the_authority_of_the_server(slapd: PrivateSlapd, *, start_tls: bool) -> None:
    """LDAPS and StartTLS present a certificate that the server's own authority vouches for."""
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
def test_bad_certificates_can_be_served(
    make_slapd: Callable[..., PrivateSlapd], tmp_path: Path, names: list[str], expires: timedelta
) -> None:
    """A certificate of another name or out of date is refused by a client that looks."""
    files = make_certificates(tmp_path / "bad", names=names, expires=expires)
    server = make_slapd(certificates=files)
    context = ssl.create_default_context(cafile=files.authority)
    with (
        socket.create_connection(("127.0.0.1", server.tls_port)) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(plain, server_hostname="localhost")


def test_the_process_list_shows_loopback_and_no_password(slapd: PrivateSlapd) -> None:
    """What anyone may read about the process holds no password, and its addresses are on loopback only."""
    words = Path(f"/proc/{slapd.pid}/cmdline").read_text(encoding="utf-8").split("\0")
    assert not [word for word in words if slapd.admin_password in word or slapd.reader_password in word]
    listeners = words[words.index("-h") + 1].split()
    assert [listener.rpartition(":")[0].partition("://")[2] for listener in listeners] == ["127.0.0.1"] * 2


def test_files_with_passwords_are_for_the_owner_only(slapd: PrivateSlapd) -> None:
    """The configuration and the private key cannot be read by others."""
    for name in ("slapd.conf", "tls/server.key"):
        assert (slapd.directory / name).stat().st_mode & 0o077 == 0


def test_a_missing_program_names_the_package(tmp_path: Path) -> None:
    """Without OpenLDAP the error says which Debian package to install."""
    with pytest.raises(ContactsyncError, match="apt-get install slapd"):
        PrivateSlapd(tmp_path / "slapd", programs=tmp_path).start()


def test_ldif_that_does_not_load_says_where(tmp_path: Path) -> None:
    """A bad entry stops the start, with the loader's own words."""
    with pytest.raises(ContactsyncError, match="no objectClass"):
        PrivateSlapd(tmp_path / "slapd", ldif="dn: ou=x,dc=example,dc=test\nou: x\n\n").start()


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_its_ports_are_reserved(slapd: PrivateSlapd, state: str) -> None:
    """No other program gets them, also while the server is down between two starts."""
    if state == "stopped":
        slapd.stop()
    for port in (slapd.port, slapd.tls_port):
        with pytest.raises(OSError, match="Address already in use"):
            ReservedPort(port)


def test_a_directory_in_use_is_left_alone(slapd: PrivateSlapd) -> None:
    """A second server refuses the directory of the first."""
    with pytest.raises(ContactsyncError, match="already holds the data"):
        PrivateSlapd(slapd.directory).start()


def test_people_load_and_can_be_added_to(make_slapd: Callable[..., PrivateSlapd], tmp_path: Path) -> None:
    """Generated people are valid inetOrgPerson entries, loaded from a file or added one by one."""
    file = tmp_path / "people.ldif"
    file.write_text(people_ldif(1000), encoding="utf-8")
    server = make_slapd(ldif=file)
    admin = server.connection()
    for person in make_people(60, start=1000):
        admin.add(person.dn, attributes=person.attributes)
    assert names_found(admin, server.people_base) == (0, 1060)
    assert names_found(admin, department_dn("営業部"))[1] > 0
    admin.unbind()
