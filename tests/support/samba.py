"""A private Active Directory: the domain controller of Debian's Samba, on a loopback address of its own.

Samba's ports are fixed (389, 636, 3268, 3269, and 88 for Kerberos), so each server has its own address, and only root
can run one.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import ldap3

from contactsync.errors import ContactsyncError
from contactsync.testing.certificates import CertificateFiles, make_certificates
from contactsync.testing.ports import ReservedPort
from contactsync.testing.private_server import PrivateServer

REALM, DOMAIN, SUFFIX = "AD.EXAMPLE.TEST", "ADTEST", "DC=ad,DC=example,DC=test"
DISABLED, NORMAL, COMPUTER = 0x202, 0x200, 0x1000
"""userAccountControl ([MS-ADTS], section 2.2.16)."""
SHOW_DELETED = ("1.2.840.113556.1.4.417", True, None)

_numbers = count(1)
_ADDRESSES = [f"127.0.0.{number}" for number in range(80, 100)]


def reason_to_skip() -> str | None:
    """Why such a server cannot run here; None if it can."""
    return None if os.geteuid() == 0 else "Samba's ports are below 1024, so that only root can run it"


class PrivateSamba(PrivateServer):
    """A domain controller in `directory`, on a copy of the domain in `provisioned`.

    `admin_dn` may change everything; `reader_name`, `reader_user` and `reader_dn` are names of a user who may read, as
    all users of a domain may. `strong_auth` is smb.conf's: its default here accepts Kerberos over TLS, as Microsoft's
    server does, Samba's own default ("yes") does not.
    """

    identity = "objectGUID"

    program = "samba"
    start_seconds = 100.0

    def __init__(self, directory: Path, provisioned: Path, *, strong_auth: str = "allow_sasl_over_tls") -> None:
        super().__init__(directory, suffix=SUFFIX)
        self.address, self._reserved = _reserved_address()
        self.port, self.tls_port = 389, 636
        self.people_base = f"OU=People,{SUFFIX}"
        self.admin_dn = f"CN=Administrator,CN=Users,{SUFFIX}"
        self.admin_password = (provisioned / "password").read_text()
        self.reader_name = "reader"
        self.reader_user = f"reader@{REALM.lower()}"
        self.reader_dn = self.limited_dn = f"CN=Reader,CN=Users,{SUFFIX}"
        self.reader_password = self.limited_password = f"{secrets.token_urlsafe(16)}aA1!"
        self._provisioned = provisioned
        self._strong_auth = strong_auth

    @property
    def tls_url(self) -> str:
        """The URL for LDAPS."""
        return f"ldaps://{self.address}"

    @property
    def krb5_conf(self) -> Path:
        """Kerberos' configuration of the realm."""
        return self.directory / "krb5.conf"

    def start(self) -> None:
        """Start it, and the first time add the reader and an empty `people_base`."""
        is_new = not self._filled
        super().start()
        if is_new:
            self._add_reader()

    def restart(self, *, before: Callable[[], object] = lambda: None) -> None:
        """Stop it, do something while it is down, and start it again."""
        self.stop()
        before()
        self.start()

    def fill(self) -> None:
        """Copy the domain."""
        shutil.copytree(self._provisioned, self.directory)

    def command(self) -> list[str]:
        """See PrivateServer."""
        make_certificates(self.directory / "tls", names=(self.address, f"dc1.{REALM.lower()}"))
        (self.directory / "smb.conf").write_text(_smb_conf(self.directory, self.address, self._strong_auth))
        self.krb5_conf.write_text(_krb5_conf(self.address))
        return ["/usr/sbin/samba", "-i", "-M", "single", "-s", f"{self.directory}/smb.conf", "--debug-stdout"]

    def certificate_files(self) -> CertificateFiles:
        """Those for its address."""
        tls = self.directory / "tls"
        return CertificateFiles(tls / "ca.crt", tls / "server.crt", tls / "server.key")

    def unbound_connection(self) -> ldap3.Connection:
        """A connection over TLS: Samba accepts no password without it."""
        tls = ldap3.Tls(validate=ssl.CERT_NONE)  # its own private server, on loopback
        server = ldap3.Server(
            self.address, port=self.tls_port, use_ssl=True, tls=tls, get_info=ldap3.NONE, connect_timeout=5
        )
        return ldap3.Connection(
            server, self.admin_dn, self.admin_password, auto_referrals=False, check_names=False, receive_timeout=30
        )

    @contextmanager
    def changes(self) -> Iterator[ldap3.Connection]:
        """A connection as the administrator, for the length of a block."""
        connection = self.connection()
        try:
            yield connection
        finally:
            connection.unbind()

    def unit(self, name: str, *, under: str | None = None) -> str:
        """Add an organizational unit; give its DN."""
        dn = f"OU={name},{under or SUFFIX}"
        with self.changes() as connection:
            connection.add(dn, "organizationalUnit")
        return dn

    def add(self, name: str, *, under: str | None = None, kind: str = "user", **attributes: Any) -> str:
        """Add `CN=name` of the class `kind`, enabled if it is an account; give its DN."""
        dn = f"CN={name},{under or self.people_base}"
        if kind in {"user", "computer"}:
            account = COMPUTER if kind == "computer" else NORMAL | 0x20  # no password is needed
            attributes = {"sAMAccountName": f"account{next(_numbers)}", "userAccountControl": account} | attributes
        with self.changes() as connection:
            connection.add(dn, kind, attributes)
        return dn

    def move(self, dn: str, *, rdn: str | None = None, under: str | None = None) -> None:
        """Give an entry another name, another parent, or both."""
        with self.changes() as connection:
            connection.modify_dn(dn, rdn or dn.partition(",")[0], new_superior=under)

    def delete(self, dn: str) -> None:
        """Delete an entry, which leaves a tombstone."""
        with self.changes() as connection:
            connection.delete(dn)

    def restore(self, dn: str, **attributes: Any) -> None:
        """Restore the only tombstone of an entry with that name ([MS-ADTS], section 3.1.1.5.3.7)."""
        name = dn.partition(",")[0].partition("=")[2]
        with self.changes() as connection:
            deleted = f"CN=Deleted Objects,{SUFFIX}"
            connection.search(deleted, f"(&(isDeleted=TRUE)(cn={name}*))", controls=[SHOW_DELETED])
            (tombstone,) = (entry["dn"] for entry in connection.response)
            back = {"isDeleted": [(ldap3.MODIFY_DELETE, [])], "distinguishedName": [(ldap3.MODIFY_REPLACE, [dn])]}
            connection.modify(tombstone, back, controls=[SHOW_DELETED])
        self.set(dn, **attributes)

    def learn_from_exchange(self) -> None:
        """Add to the schema Exchange's attributes for people hidden from address lists, and for kinds of mailboxes."""
        schema = f"CN=Schema,CN=Configuration,{SUFFIX}"
        attribute = {
            "lDAPDisplayName": "msExchHideFromAddressLists",
            "attributeID": "1.2.840.113556.1.4.7000.102.73",
            "attributeSyntax": "2.5.5.8",
            "oMSyntax": 1,
            "isSingleValued": "TRUE",
            "isMemberOfPartialAttributeSet": "TRUE",
        }
        now = {"schemaUpdateNow": [(ldap3.MODIFY_ADD, [1])]}
        with self.changes() as connection:
            connection.add(f"CN=ms-Exch-Hide-From-Address-Lists,{schema}", "attributeSchema", attribute)
            connection.modify("", now)
            kind = {
                "lDAPDisplayName": "msExchRecipientTypeDetails",
                "attributeID": "1.2.840.113556.1.4.7000.102.50805",
                "attributeSyntax": "2.5.5.16",
                "oMSyntax": 65,
                "isSingleValued": "TRUE",
            }
            connection.add(f"CN=ms-Exch-Recipient-Type-Details,{schema}", "attributeSchema", kind)
            connection.modify("", now)
            # Of users as well as of contacts.
            both = ["msExchHideFromAddressLists", "msExchRecipientTypeDetails"]
            allowed = {"mayContain": [(ldap3.MODIFY_ADD, both)]}
            connection.modify(f"CN=Organizational-Person,{schema}", allowed)
            connection.modify("", now)

    def set(self, dn: str, **attributes: Sequence[Any] | Any) -> None:
        """Replace attributes; an empty list removes one."""
        changes = {
            name: [(ldap3.MODIFY_REPLACE, value if isinstance(value, list) else [value])]
            for name, value in attributes.items()
        }
        with self.changes() as connection:
            connection.modify(dn, changes)

    def tool(self, *words: str) -> None:
        """Run samba-tool on this domain."""
        _run("samba-tool", *words, f"--configfile={self.directory}/smb.conf")

    def hide(self, base: str, attribute: str) -> None:
        """Make an attribute, given by its schemaIDGUID, unreadable below a base."""
        database = f"{self.directory}/private/sam.ldb"
        self.tool("dsacl", "set", f"-H{database}", f"--objectdn={base}", f"--sddl=(OD;CI;RP;{attribute};;WD)")

    def _add_reader(self) -> None:
        password = f'"{self.reader_password}"'.encode("utf-16-le")
        account = {"sAMAccountName": self.reader_name, "userAccountControl": NORMAL, "unicodePwd": password}
        with self.changes() as connection:
            connection.add(self.people_base, "organizationalUnit")
            connection.add(self.reader_dn, "user", account | {"userPrincipalName": self.reader_user})
        self.know_as(self.address)

    def know_as(self, host: str, *, no_more: bool = False) -> None:
        """Add a name of the server, for which Kerberos then gives tickets; with `no_more` remove it."""
        change = ldap3.MODIFY_DELETE if no_more else ldap3.MODIFY_ADD
        with self.changes() as connection:
            controller = f"CN=DC1,OU=Domain Controllers,{SUFFIX}"
            connection.modify(controller, {"servicePrincipalName": [(change, [f"ldap/{host}"])]})


def provisioned_domain(shared: Path) -> Path:
    """An empty domain to copy, made once by the processes that share this directory."""
    domain = shared / "samba-domain"
    with (shared / "samba-domain.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (domain / "password").exists():
            _provision(domain)
    return domain


def _provision(domain: Path) -> None:
    password = f"{secrets.token_urlsafe(16)}aA1!"
    _run(
        "samba-tool", "domain", "provision", f"--targetdir={domain}", f"--realm={REALM}", f"--domain={DOMAIN}",
        "--server-role=dc", "--dns-backend=NONE", f"--adminpass={password}", "--host-ip=127.0.0.80",
        "--host-name=dc1", "--option=interfaces=127.0.0.80/8", "--option=bind interfaces only=yes",
    )  # fmt: skip
    (domain / "password").write_text(password)


def _run(*command: str) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ContactsyncError(f"{command[0]} {command[1]} {command[2]} failed: {done.stderr[-1000:]}")


def _reserved_address() -> tuple[str, list[ReservedPort]]:
    """An address that no other Samba uses, because its LDAP port is reserved."""
    for address in _ADDRESSES:
        with suppress(OSError):
            return address, [ReservedPort(389, address=address)]
    raise ContactsyncError("All addresses for Samba are in use.", hint=f"They are {_ADDRESSES[0]} to {_ADDRESSES[-1]}.")


def _smb_conf(directory: Path, address: str, strong_auth: str) -> str:
    return f"""\
[global]
netbios name = DC1
realm = {REALM}
workgroup = {DOMAIN}
server role = active directory domain controller
server services = ldap, kdc
interfaces = {address}/8
bind interfaces only = yes
ldap server require strong auth = {strong_auth}
tls certfile = {directory}/tls/server.crt
tls keyfile = {directory}/tls/server.key
tls cafile = {directory}/tls/ca.crt
private dir = {directory}/private
state directory = {directory}/state
cache directory = {directory}/cache
lock directory = {directory}
pid directory = {directory}/run
ncalrpc dir = {directory}/run/ncalrpc
winbindd socket directory = {directory}/run/winbindd
ntp signd socket directory = {directory}/run/ntp
log level = 1
dsdb:schema update allowed = yes
"""


def _krb5_conf(address: str) -> str:
    return f"""\
[libdefaults]
default_realm = {REALM}
dns_lookup_kdc = false
dns_lookup_realm = false
dns_canonicalize_hostname = false
rdns = false
udp_preference_limit = 1
[realms]
{REALM} = {{
  kdc = {address}
}}
[domain_realm]
{address} = {REALM}
"""
