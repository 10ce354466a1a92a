"""Kerberos with the key distribution centre of a real domain controller and a keytab."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from contactsync.checks.check import check
from contactsync.checks.result import Status
from contactsync.ldap.connection.options import TlsOptions
from contactsync.model import Auth, Outcome
from contactsync.testing.certificates import make_certificates
from tests.support.folder import BRISK, SyncedFolder
from tests.support.kerberos_peer import BOUND, kerberos_peer
from tests.support.samba import DISABLED, REALM, PrivateSamba
from tests.support.sessions import options_at, tried

DEBIAN_PYTHON = Path("/usr/lib/python3/dist-packages")
"""Debian's python-gssapi, which has no wheel; a Python of the same version can use it."""
_numbers = count(1)
Folders = Callable[..., SyncedFolder]


@pytest.fixture(scope="module", autouse=True)
def gssapi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Make python-gssapi importable; without it these tests are skipped."""
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
    """Export the reader's keys to a file."""
    path = samba.directory / "reader.keytab"
    samba.tool("domain", "exportkeytab", str(path), f"--principal={samba.reader_name}")
    return path


@pytest.fixture
def environment(samba: PrivateSamba, keytab: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Set the environment of the service, without a ticket."""
    monkeypatch.setenv("KRB5_CONFIG", str(samba.krb5_conf))
    monkeypatch.setenv("KRB5_CLIENT_KTNAME", str(keytab))
    monkeypatch.setenv("KRB5CCNAME", f"MEMORY:{next(_numbers)}")
    return monkeypatch


@pytest.fixture
def folder(samba: PrivateSamba, make_folder: Folders, environment: pytest.MonkeyPatch) -> SyncedFolder:
    """Make a folder of one person, read by Kerberos over LDAPS."""
    del environment
    unit = samba.unit(f"Kerberos {next(_numbers)}")
    samba.add("Anna", under=unit)
    folder = make_folder(samba, query=f"{samba.tls_url}/{unit}")
    folder.edit(auth="kerberos", bind_user=None, password_sealed=None)
    return folder


def expect_success(folder: SyncedFolder) -> None:
    """Run, and find the person."""
    report = folder.run()
    assert (report.outcome, report.counts.entries) == (Outcome.CHANGED, 1), report.error


@pytest.mark.parametrize("scheme", ["ldaps", "ldap"])
def test_a_keytab_is_accepted(folder: SyncedFolder, scheme: str) -> None:
    """Over LDAPS, and by StartTLS, without kinit."""
    folder.edit(query=folder.definition.query.replace("ldaps", scheme))
    expect_success(folder)


def test_one_of_several_principals_can_be_chosen(samba: PrivateSamba, folder: SyncedFolder) -> None:
    """By the definition's user."""
    folder.edit(bind_user=f"{samba.reader_name}@{REALM}")
    expect_success(folder)
    folder.edit(bind_user=f"somebody@{REALM}")
    folder.expect_failure(folder.run(), "directory.access", f"somebody@{REALM}", "Kerberos")


def test_a_check_uses_kerberos_too(folder: SyncedFolder) -> None:
    """It needs no password."""
    found = {step.name: step for step in check(folder.definition, lambda: None, BRISK)}
    assert found["bind"].status is Status.OK, found["bind"].text
    assert "anonymous" not in found["bind"].text
    assert "finds 1 entry" in found["filter"].text


def test_a_missing_keytab_is_reported(folder: SyncedFolder, environment: pytest.MonkeyPatch) -> None:
    """The definition is not locked, because nothing was refused."""
    environment.setenv("KRB5_CLIENT_KTNAME", "/nonexistent/keytab")
    folder.expect_failure(folder.run(), "directory.access", "Kerberos", "KRB5_CLIENT_KTNAME")


def test_a_server_needs_its_name_in_the_domain(samba: PrivateSamba, folder: SyncedFolder) -> None:
    """A ticket is for the host name in the query."""
    samba.know_as(samba.address, no_more=True)
    try:
        report = folder.run()
    finally:
        samba.know_as(samba.address)
    folder.expect_failure(report, "directory.access", "Kerberos", "Use the full host name")


def test_a_disabled_account_is_refused_and_not_retried(samba: PrivateSamba, folder: SyncedFolder) -> None:
    """Its key is still in the keytab."""
    samba.set(samba.reader_dn, userAccountControl=DISABLED)
    try:
        report = folder.run()
    finally:
        samba.set(samba.reader_dn, userAccountControl=DISABLED & ~2)
    folder.expect_failure(report, "directory.credentials", "disabled")
    assert report.credentials_refused


def test_a_missing_key_distribution_centre_is_retried(
    samba: PrivateSamba, folder: SyncedFolder, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the same run."""
    lost = tmp_path / "krb5.conf"
    lost.write_text(samba.krb5_conf.read_text().replace(f"kdc = {samba.address}", "kdc = 127.0.0.1:1"))
    environment.setenv("KRB5_CONFIG", str(lost))
    report = folder.run()
    folder.expect_failure(report, "directory.unavailable", "Kerberos")
    assert report.attempts == 2


def test_a_plain_connection_is_refused(folder: SyncedFolder) -> None:
    """The error names the setting."""
    folder.edit(query=folder.definition.query.replace("ldaps", "ldap"), tls="none")
    folder.expect_failure(folder.run(), "directory.access", "`starttls`", "`ldaps`")


def test_the_default_of_samba_refuses_kerberos_over_tls(
    exchange: PrivateSamba, make_folder: Folders, environment: pytest.MonkeyPatch
) -> None:
    """The error names Samba's setting."""
    keytab = exchange.directory / "reader.keytab"
    exchange.tool("domain", "exportkeytab", str(keytab), f"--principal={exchange.reader_name}")
    environment.setenv("KRB5_CONFIG", str(exchange.krb5_conf))
    environment.setenv("KRB5_CLIENT_KTNAME", str(keytab))
    folder = make_folder(exchange, query=exchange.tls_url)
    folder.edit(auth="kerberos", bind_user=None, password_sealed=None)
    folder.expect_failure(folder.run(), "directory.access", "allow_sasl_over_tls")


def test_a_password_beside_kerberos_is_refused(folder: SyncedFolder) -> None:
    """It is not sent."""
    folder.edit(bind_user=f"reader@{REALM}")
    folder.set_password("not needed here")
    folder.expect_failure(folder.run(), "definition", "uses a ticket")


def test_a_ticket_is_bound_to_the_tls_connection(
    samba: PrivateSamba, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A server that requires channel binding accepts it; no security layer of SASL is chosen."""
    del environment
    keys = tmp_path / "server.keytab"
    samba.tool("domain", "exportkeytab", str(keys), "--principal=DC1$")
    samba.know_as("127.0.0.1")
    files = make_certificates(tmp_path / "tls", names=("127.0.0.1",))
    with kerberos_peer(files, keys) as server:
        trust = TlsOptions(ca_file=str(files.authority))
        tried(options_at(server.port, host="127.0.0.1", ldaps=True, auth=Auth.KERBEROS, trust=trust))
    assert server.flags is not None
    assert server.flags & BOUND
    assert server.layer == bytes((1, 0, 0, 0))
