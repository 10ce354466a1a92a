"""A private 389 Directory Server: the ns-slapd of Debian's package, on loopback, in a directory of its own.

Debian's `dscreate` takes eleven seconds for one; this writes the configuration from the package's own templates.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_pem_private_key, pkcs12

from contactsync.errors import ContactsyncError
from contactsync.testing.people import people_ldif
from contactsync.testing.ports import LOOPBACK
from contactsync.testing.private_server import PrivateServer
from tests.support.resources import short_directory

LIMIT = 20
ACCOUNT = "dirsrv"
"""The account that the server runs as after its start by root."""

_PROGRAM = Path("/usr/sbin/ns-slapd")
_TEMPLATES = Path("/usr/share/dirsrv/data")
_DEFAULTS = Path("/etc/dirsrv")
_BACKEND = "userRoot"
_FOLDERS = ("config", "config/schema", "run", "log", "lock", "tmp", "db", "ldif", "bak", "inst")
_CHANGELOG_PLUGINS = {
    "Retro Changelog Plugin": "\nnsslapd-attribute: nsuniqueid:targetUniqueId",
    "Content Synchronization": "",
}
_NUMBERS_PLUGIN = {"USN": ""}


def why_not() -> str:
    """Why such a server cannot run here; empty if it can."""
    if not _PROGRAM.exists():
        return "389 Directory Server is not installed: sudo apt-get install 389-ds-base"
    return "389 Directory Server has to be started by root" if os.geteuid() else ""


class NsSlapd(PrivateServer):
    """One ns-slapd in `directory`, which must be empty before the first start and which all accounts can traverse.

    `ldif` is imported before the first start, offline: such entries have no entryUUID.

    `admin_dn` may do everything. An ACI allows `reader_dn` and `limited_dn` to read everything; `limited_dn` gets at
    most LIMIT entries from one search or page. `nobody_dn` may bind, and no ACI mentions it.

    With `changelog` it keeps a Retro Changelog and offers content synchronization (RFC 4533). With `numbers` it gives
    each change one (USN plugin). `settings` are more lines of its configuration's head.
    """

    identity = "nsUniqueId"

    program = "ns-slapd"
    start_seconds = 100.0

    def __init__(
        self,
        directory: Path,
        *,
        suffix: str = "dc=example,dc=test",
        ldif: str = "",
        changelog: bool = False,
        numbers: bool = False,
        settings: str = "",
    ) -> None:
        super().__init__(directory, suffix=suffix)
        self.admin_dn, self.admin_password = "cn=Directory Manager", secrets.token_urlsafe(16)
        self.reader_dn, self.reader_password = f"cn=reader,{suffix}", secrets.token_urlsafe(16)
        self.nobody_dn, self.nobody_password = f"cn=nobody,{suffix}", secrets.token_urlsafe(16)
        self.limited_dn, self.limited_password = f"cn=limited,{suffix}", secrets.token_urlsafe(16)
        self._ldif = ldif
        self._plugins = (_CHANGELOG_PLUGINS if changelog else {}) | (_NUMBERS_PLUGIN if numbers else {})
        self._settings = settings
        self._config = directory / "config"

    def fill(self) -> None:
        """See PrivateServer."""
        if reason := why_not():
            raise ContactsyncError(f"{reason}.")
        for name in _FOLDERS:
            (self.directory / name).mkdir(parents=True)
        shutil.copy(_DEFAULTS / "schema" / "99user.ldif", self._config / "schema")
        for name in ("slapd-collations.conf", "certmap.conf"):
            shutil.copy(_DEFAULTS / "config" / name, self._config)
        self._keep_certificate()
        (self._config / "dse.ldif").write_text(self._configuration(), encoding="utf-8")
        people = self.directory / "ldif" / "people.ldif"
        people.write_text(self._base_ldif() + self._ldif, encoding="utf-8")
        self._give_away()
        self._do(str(_PROGRAM), "ldif2db", "-D", str(self._config), "-n", _BACKEND, "-i", str(people))

    def command(self) -> list[str]:
        """See PrivateServer."""
        pid_file, config = self.directory / "run" / "pid", self._config / "dse.ldif"
        text = config.read_text(encoding="utf-8")
        for name, port in (("nsslapd-port", self.port), ("nsslapd-securePort", self.tls_port)):
            text = re.sub(rf"(?im)^{name}: .*", f"{name}: {port}", text)
        config.write_text(text, encoding="utf-8")
        return [str(_PROGRAM), "-D", str(self._config), "-i", str(pid_file), "-d", "0"]

    def set_limit(self, dn: str, attribute: str, value: int | None) -> None:
        """Give an account a limit of its own, such as nsSizeLimit or nsLookThroughLimit; None takes it away."""
        admin = self.connection()
        admin.modify(dn, {attribute: [("MODIFY_REPLACE", [] if value is None else [value])]})
        admin.unbind()

    def task(self, kind: str, **attributes: str | Path) -> None:
        """Have the running server carry out a task, such as `import`, and wait until it has ended well."""
        name, admin = f"cn=task {secrets.token_hex(4)},cn={kind},cn=tasks,cn=config", self.connection()
        admin.add(name, "extensibleObject", {key: str(value) for key, value in attributes.items()})
        deadline = time.monotonic() + self.start_seconds
        while time.monotonic() < deadline:
            admin.search(name, "(nsTaskExitCode=*)", "BASE", attributes=["nsTaskExitCode"])
            if admin.response:
                break
            time.sleep(0.05)
        done = [entry["raw_attributes"]["nsTaskExitCode"] for entry in admin.response]
        admin.unbind()
        if done != [[b"0"]]:
            raise self.failure(f"The task {kind} ended with {done}")

    def _keep_certificate(self) -> None:
        """Put the server's certificate into a database of NSS, from where this server takes it."""
        files, database = self.certificate_files(), f"sql:{self._config}"
        bundle = self._config / "server.p12"
        key = load_pem_private_key(files.key.read_bytes(), None)
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        lock = BestAvailableEncryption(b"on its way")
        bundle.write_bytes(
            pkcs12.serialize_key_and_certificates(b"Server-Cert", key, certificate, None, lock)  # type: ignore[arg-type]
        )
        self._do("certutil", "-N", "-d", database, "--empty-password")
        self._do("pk12util", "-i", str(bundle), "-d", database, "-W", "on its way", "-K", "")
        self._do("certutil", "-A", "-d", database, "-n", "authority", "-t", "CT,,", "-i", str(files.authority))
        bundle.unlink()

    def _configuration(self) -> str:
        server, backend = ((_TEMPLATES / f"template-{name}.ldif").read_text() for name in ("dse", "suffix-db"))
        text = server.rstrip() + "\n\n" + re.sub(r"^#.*\n", "", backend, flags=re.MULTILINE)
        text = re.sub(r"%(\w+)%", lambda token: self._tokens()[token[1]], text)
        ours = (
            f"nsslapd-listenhost: {LOOPBACK}\nnsslapd-securelistenhost: {LOOPBACK}\n"
            f"nsslapd-defaultnamingcontext: {self.suffix}\nnsslapd-security: on\nnsslapd-securePort: {self.tls_port}\n"
            f"{self._settings}"
        )
        for plugin, more in self._plugins.items():
            text = re.sub(rf"(?ms)^(dn: cn={plugin},.*?^nsslapd-pluginenabled: )off$", rf"\1on{more}", text, count=1)
        return text.replace(f"nsslapd-port: {self.port}\n", f"nsslapd-port: {self.port}\n{ours}")

    def _tokens(self) -> dict[str, str]:
        """What stands between percent signs in the templates."""
        folders = {
            f"{name}_dir": self.directory / name for name in ("lock", "tmp", "ldif", "bak", "run", "inst", "log")
        }
        folders |= {"schema_dir": self._config / "schema", "cert_dir": self._config, "config_dir": self._config}
        folders |= {"db_dir": self.directory / "db", "db_home_dir": self.directory / "db"}
        return {name: str(path) for name, path in folders.items()} | {
            "fqdn": "localhost",
            "ds_port": str(self.port),
            "ds_user": ACCOUNT,
            "rootdn": self.admin_dn,
            "ds_passwd": "{CLEAR}" + self.admin_password,
            "ldapi_enabled": "off",
            "ldapi": "",
            "ldapi_autobind": "off",
            "db_lib": "bdb",
            "ds_suffix": self.suffix,
            "ds_bename": _BACKEND,
        }

    def _base_ldif(self) -> str:
        top = self.suffix.partition(",")[0].partition("=")[2]
        accounts = "".join(
            f"dn: {dn}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\n"
            f"cn: {dn[3:].partition(',')[0]}\nuserPassword: {password}\n{more}\n"
            for dn, password, more in (
                (self.reader_dn, self.reader_password, "nsSizeLimit: -1\nnsLookThroughLimit: -1\n"),
                (self.limited_dn, self.limited_password, f"nsSizeLimit: {LIMIT}\nnsPagedSizeLimit: {LIMIT}\n"),
                (self.nobody_dn, self.nobody_password, ""),
            )
        )
        readers = f'userdn="ldap:///{self.reader_dn}" or userdn="ldap:///{self.limited_dn}"'
        rule = f'(targetattr="*")(version 3.0; acl "readers"; allow (read, search, compare) {readers};)'
        return (
            f"dn: {self.suffix}\nobjectClass: domain\ndc: {top}\naci: {rule}\n\n{accounts}"
            f"dn: {self.people_base}\nobjectClass: organizationalUnit\nou: people\n\n"
        )

    def _give_away(self) -> None:
        """Let the server's own account have its files."""
        shutil.chown(self.directory, ACCOUNT)
        for folder, names, files in os.walk(self.directory):
            for name in (*names, *files):
                shutil.chown(Path(folder) / name, ACCOUNT)

    def _do(self, *command: str) -> None:
        with self.log("ab") as log:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
        if done.returncode:
            raise self.failure(f"{command[0]} failed")


@contextmanager
def running(people: int, **options: Any) -> Iterator[NsSlapd]:
    """A server of so many people; its account has to get at its files, which pytest's paths forbid."""
    with short_directory() as path:
        path.chmod(0o755)
        with NsSlapd(path / "server", ldif=people_ldif(people), **options) as server:
            yield server
