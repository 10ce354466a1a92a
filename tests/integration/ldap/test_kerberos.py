"""Kerberos against the key distribution centre of a real domain controller, with a keytab as a service has it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from contactsync.checks.check import check
from contactsync.checks.result import Status
from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.connection.options import ConnectOptions, TlsOptions
from contactsync.ldap.connection.session import connect
from contactsync.ldap.query.query import ServerAddress
from contactsync.model import Auth, Outcome, Tls
from contactsync.testing.certificates import make_certificates
from tests.support.folder import BRISK, SyncedFolder
from tests.support.kerberos_peer import BOUND, kerberos_peer
from tests.support.samba import DISABLED, REALM, PrivateSamba

DEBIAN_PYTHON = Path("/usr/lib/python3/dist-packages")
"""Where Debian keeps python-gssapi, which has no wheel; it can be used by a Python of the same version."""
_numbers = count(1)
Folders = Callable[..., SyncedFolder]


@pytest.fixture(scope="module", autouse=True)
def gssapi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let this Python find python-gssapi; without it these tests are skipped."""
    with pytest.MonkeyPatch.context() as patch:
        if importlib.util.find_spec("gssapi") is None:
            borrowed = tmp_path_factory.mktemp("gssapi")
            for name in ("gssapi", "decorator.py"):
                (borrowed / name).symlink_to(DEBIAN_PYTHON / name)
            patch.syspath_prepend(borrowed)
        try:
            importlib.import_module("gssapi")
        except ImportError as error:
            pytest.skip(f"python-gssapi cannot be used by Python {sys.version_info[0]}.{sys.version_info[1]}: {error}")
        yield


@pytest.fixture(scope="module")
def keytab(samba: PrivateSamba) -> Path:
    """Export the reader's keys into a file."""
    path = samba.directory / "reader.keytab"
    samba.tool("domain", "exportkeytab", str(path), f"--principal={samba.reader_name}")
    return path


@pytest.fixture
def environment(samba: PrivateSamba, keytab: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Give the process what the service has in its environment, and no ticket yet."""
    monkeypatch.setenv("KRB5_CONFIG", str(samba.krb5_conf))
    monkeypatch.setenv("KRB5_CLIENT_KTNAME", str(keytab))
    monkeypatch.setenv("KRB5CCNAME", f"MEMORY:{next(_numbers)}")
    return monkeypatch


@pytest.fixture
def folder(samba: PrivateSamba, make_folder: Folders, environment: pytest.MonkeyPatch) -> SyncedFolder:
    """Make a folder for one person, that is read by Kerberos over LDAPS."""
    del environment
    unit = samba.unit(f"Kerberos {next(_numbers)}")
    samba.add("Anna", under=unit)
    folder = make_folder(samba, query=f"{samba.tls_url}/{unit}")
    folder.edit(auth="kerberos", bind_user=None, password_sealed=None)
    return folder


def bind_as(folder: SyncedFolder) -> None:
    """A run that gets in and finds one person."""
    report = folder.run()
    assert (report.outcome, report.counts.entries) == (Outcome.CHANGED, 1), report.error


@pytest.mark.parametrize("scheme", ["ldaps", "ldap"])
def test_a_keytab_gets_in(folder: SyncedFolder, scheme: str) -> None:
    """Over LDAPS, and by StartTLS, which needs no setting. Nobody ran kinit."""
    folder.edit(query=folder.definition.query.replace("ldaps", scheme))
    bind_as(folder)


def test_one_of_several_principals_can_be_chosen(samba: PrivateSamba, folder: SyncedFolder) -> None:
    """By the user, as its principal is written."""
    folder.edit(bind_user=f"{samba.reader_name}@{REALM}")
    bind_as(folder)
    folder.edit(bind_user=f"somebody@{REALM}")
    folder.expect_failure(folder.run(), "directory.access", f"somebody@{REALM}", "Kerberos")


def test_a_check_goes_the_same_way(folder: SyncedFolder) -> None:
    """No password is asked for."""
    found = {step.name: step for step in check(folder.definition, lambda: None, BRISK)}
    assert found["bind"].status is Status.OK, found["bind"].text
    assert "anonymous" not in found["bind"].text
    assert "finds 1 entry" in found["filter"].text


def test_without_a_keytab_the_setting_is_named(folder: SyncedFolder, environment: pytest.MonkeyPatch) -> None:
    """And the definition is not locked: nothing was refused."""
    environment.setenv("KRB5_CLIENT_KTNAME", "/nonexistent/keytab")
    folder.expect_failure(folder.run(), "directory.access", "Kerberos", "KRB5_CLIENT_KTNAME")


def test_a_server_that_the_domain_does_not_know_by_that_name(samba: PrivateSamba, folder: SyncedFolder) -> None:
    """A ticket is for a name, as a person types it into the query."""
    samba.know_as(samba.address, no_more=True)
    try:
        report = folder.run()
    finally:
        samba.know_as(samba.address)
    folder.expect_failure(report, "directory.access", "Kerberos", "Use the full host name")


def test_a_disabled_account_is_refused_and_not_tried_again(samba: PrivateSamba, folder: SyncedFolder) -> None:
    """Its key still is in the keytab."""
    samba.set(samba.reader_dn, userAccountControl=DISABLED)
    try:
        report = folder.run()
    finally:
        samba.set(samba.reader_dn, userAccountControl=DISABLED & ~2)
    folder.expect_failure(report, "directory.credentials", "disabled")
    assert report.credentials_refused


def test_no_key_distribution_centre_may_pass(
    samba: PrivateSamba, folder: SyncedFolder, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The run tries again."""
    lost = tmp_path / "krb5.conf"
    lost.write_text(samba.krb5_conf.read_text().replace(f"kdc = {samba.address}", "kdc = 127.0.0.1:1"))
    environment.setenv("KRB5_CONFIG", str(lost))
    report = folder.run()
    folder.expect_failure(report, "directory.unavailable", "Kerberos")
    assert report.attempts == 2


def test_over_a_plain_connection_the_server_wants_more(folder: SyncedFolder) -> None:
    """The error names the setting."""
    folder.edit(query=folder.definition.query.replace("ldaps", "ldap"), tls="none")
    folder.expect_failure(folder.run(), "directory.access", "`starttls`", "`ldaps`")


def test_samba_as_it_comes_takes_no_kerberos_over_tls(
    exchange: PrivateSamba, make_folder: Folders, environment: pytest.MonkeyPatch
) -> None:
    """It wants what Microsoft's server forbids there; the error names Samba's setting."""
    keytab = exchange.directory / "reader.keytab"
    exchange.tool("domain", "exportkeytab", str(keytab), f"--principal={exchange.reader_name}")
    environment.setenv("KRB5_CONFIG", str(exchange.krb5_conf))
    environment.setenv("KRB5_CLIENT_KTNAME", str(keytab))
    folder = make_folder(exchange, query=exchange.tls_url)
    folder.edit(auth="kerberos", bind_user=None, password_sealed=None)
    folder.expect_failure(folder.run(), "directory.access", "allow_sasl_over_tls")


def test_a_password_beside_a_ticket_is_a_mistake(folder: SyncedFolder) -> None:
    """It is never sent."""
    folder.edit(bind_user=f"reader@{REALM}")
    folder.set_password("not needed here")
    folder.expect_failure(folder.run(), "definition", "uses a ticket")


def test_a_ticket_is_bound_to_the_connection_and_tls_protects_the_rest(
    samba: PrivateSamba, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A server that insists on channel binding takes it; none of SASL's own layers is chosen."""
    del environment
    keys = tmp_path / "server.keytab"
    samba.tool("domain", "exportkeytab", str(keys), "--principal=DC1$")
    samba.know_as("127.0.0.1")
    files = make_certificates(tmp_path / "tls", names=("127.0.0.1",))
    with kerberos_peer(files, keys) as server:
        options = ConnectOptions(
            servers=(ServerAddress("127.0.0.1", server.port, ldaps=True),),
            user=None,
            password=None,
            auth=Auth.KERBEROS,
            tls=Tls.AUTO,
            trust=TlsOptions(ca_file=str(files.authority)),
            connect_timeout=5,
            receive_timeout=5,
        )
        with connect(options, Deadline(20)):
            pass
    assert server.flags is not None
    assert server.flags & BOUND
    assert server.layer == bytes((1, 0, 0, 0))
