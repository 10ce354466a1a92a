"""A private OpenLDAP server: the real slapd of Debian's packages, on loopback, in a directory of its own."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from contactsync.errors import ContactsyncError
from contactsync.testing.certificates import CertificateFiles
from contactsync.testing.ports import LOOPBACK
from contactsync.testing.private_server import PrivateServer

DEBIAN_PROGRAMS = Path("/usr/sbin")

_ACCESS_LOG = "cn=accesslog"
_OVERLAY_ACCESSLOG = f"overlay accesslog\nlogdb {_ACCESS_LOG}\nlogops writes\nlogsuccess TRUE"
_MODULES = Path("/usr/lib/ldap")
_SCHEMAS = Path("/etc/ldap/schema")
_APPARMOR_PROFILE = Path("/etc/apparmor.d/usr.sbin.slapd")
_APPARMOR_ENABLED = Path("/sys/module/apparmor/parameters/enabled")


class PrivateSlapd(PrivateServer):
    """One slapd in `directory`, which must be empty before the first `start`.

    `suffix` consists of DC components. `ldif` (text, or the path of a file) is loaded at the first start. `size_limit`
    (entries, 500 by default as in OpenLDAP) applies to everyone except the admin and the reader. Anonymous clients may
    bind and read the root DSE only. An account is locked after `lock_after` refused passwords (0: never). With
    `client_certificates` TLS requires a certificate of the server's authority, and SASL EXTERNAL maps CN=reader to the
    reader. With `session_log` it offers content synchronization (RFC 4533) and remembers that many deletions (0: none),
    or with `access_log` all of them, in a database of their own. `overlays` are further overlays, with their defaults;
    `outer_overlay` gets each request first, and has its settings in further lines.
    With `page_size_limit` the limited user gets all entries, in pages of at most so many (0: as `size_limit` says).

    Its three users have new passwords: `admin_dn` may change everything; `reader_dn` may read everything without
    limits; `limited_dn` gets at most `size_limit` entries from one search, paged or not.
    """

    program = "slapd"
    start_seconds = 60.0

    def __init__(  # noqa: PLR0913 -- each has a default; a test gives the one that it needs
        self,
        directory: Path,
        *,
        suffix: str = "dc=example,dc=test",
        size_limit: int | None = None,
        ldif: Path | str | None = None,
        certificates: CertificateFiles | None = None,
        lock_after: int = 0,
        client_certificates: bool = False,
        session_log: int | None = None,
        access_log: bool = False,
        overlays: Sequence[str] = (),
        outer_overlay: str = "",
        page_size_limit: int = 0,
        programs: Path = DEBIAN_PROGRAMS,
    ) -> None:
        super().__init__(directory, suffix=suffix, certificates=certificates)
        self.admin_dn, self.admin_password = f"cn=admin,{suffix}", secrets.token_urlsafe(16)
        self.reader_dn, self.reader_password = f"cn=reader,{suffix}", secrets.token_urlsafe(16)
        self.limited_dn, self.limited_password = f"cn=limited,{suffix}", secrets.token_urlsafe(16)
        self._size_limit = 500 if size_limit is None else size_limit
        self._ldif = ldif
        self._lock_after = lock_after
        self._client_certificates = client_certificates
        self._session_log = session_log
        self._access_log = access_log
        self._overlays = overlays
        self._outer_overlay = outer_overlay
        self._page_size_limit = page_size_limit
        self._programs = programs

    def _program(self, name: str) -> str:
        path = self._programs / name
        if not path.exists():
            raise ContactsyncError(
                f"The OpenLDAP server is not installed: there is no {path}.",
                hint="`make demo` and `make test` install it; by hand: sudo apt-get install slapd ldap-utils.",
            )
        return str(path)

    def fill(self) -> None:
        """See PrivateServer."""
        loader = self._program("slapadd")
        database = self.directory / "db"
        if database.exists():
            raise ContactsyncError(
                f"{self.directory} already holds the data of another slapd.", hint="Choose an empty directory."
            )
        database.mkdir(mode=0o700, parents=True)
        if self._access_log:
            (self.directory / "log").mkdir(mode=0o700)
        config = self.directory / "slapd.conf"
        config.touch(mode=0o600)  # before it contains the password
        config.write_text(self._config(), encoding="utf-8")
        command = [loader, "-q", "-f", str(config), "-b", self.suffix]
        with self.log("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
            # A loader that stops at a bad entry closes the pipe, and has an exit code.
            with process, suppress(BrokenPipeError):
                self._write_ldif(process.stdin)
        if process.returncode:
            raise self.failure("slapadd refused the LDIF")

    def _write_ldif(self, stream: IO[bytes] | None) -> None:
        if stream is None:
            return
        stream.write(self._base_ldif().encode())
        if isinstance(self._ldif, Path):
            with self._ldif.open("rb") as file:
                shutil.copyfileobj(file, stream, 1 << 20)
        elif self._ldif:
            stream.write(self._ldif.encode())

    def _base_ldif(self) -> str:
        top = self.suffix.partition(",")[0].partition("=")[2]
        accounts = "".join(
            f"dn: {dn}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\n"
            f"cn: {dn[3:].partition(',')[0]}\nuserPassword: {password}\n\n"
            for dn, password in ((self.reader_dn, self.reader_password), (self.limited_dn, self.limited_password))
        )
        return (
            f"dn: {self.suffix}\nobjectClass: dcObject\nobjectClass: organization\ndc: {top}\no: {top}\n\n"
            f"{accounts}dn: {self.people_base}\nobjectClass: organizationalUnit\nou: people\n\n"
            f"{self._password_policy()}"
        )

    def _password_policy(self) -> str:
        """The entry for slapo-ppolicy(5)."""
        if not self._lock_after:
            return ""
        return (
            f"dn: cn=policy,{self.suffix}\nobjectClass: organizationalRole\nobjectClass: pwdPolicy\ncn: policy\n"
            f"pwdAttribute: userPassword\npwdLockout: TRUE\npwdMaxFailure: {self._lock_after}\n\n"
        )

    def _config(self) -> str:
        files = self.certificate_files()
        schemas = "\n".join(f"include {_SCHEMAS}/{name}.schema" for name in ("core", "cosine", "nis", "inetorgperson"))
        # `dbnosync` is faster, and unsafe only in a power cut. `maxsize` (octets) is the size of a sparse file.
        return f"""\
modulepath {_MODULES}
moduleload back_mdb.so
{"" if self._session_log is None else "moduleload syncprov.so"}
{"moduleload accesslog.so" if self._access_log else ""}
{"moduleload ppolicy.so" if self._lock_after else ""}
{"".join(f"moduleload {name}.so{chr(10)}" for name in self._overlays)}
{f"moduleload {self._outer_overlay.split()[0]}.so" if self._outer_overlay else ""}
{schemas}
pidfile "{self.directory}/slapd.pid"
loglevel none
threads 4
TLSCACertificateFile "{files.authority}"
TLSCertificateFile "{files.certificate}"
TLSCertificateKeyFile "{files.key}"
TLSVerifyClient {"demand" if self._client_certificates else "never"}
authz-regexp "^cn=([^,]+)$" "cn=$1,{self.suffix}"
access to dn.base="" by * read
access to dn.base="cn=subschema" by users read
{self._log_database()}
database mdb
suffix "{self.suffix}"
rootdn "{self.admin_dn}"
rootpw {self.admin_password}
directory "{self.directory}/db"
maxsize {4 << 30}
dbnosync
sizelimit {self._size_limit}
limits dn.exact="{self.reader_dn}" size.soft=unlimited size.hard=unlimited size.prtotal=unlimited time=unlimited
limits dn.exact="{self.limited_dn}" size.soft={self._size_limit} size.hard={self._size_limit} {self._page_limit()}
index objectClass,entryUUID,entryCSN,uid,mail eq
access to attrs=userPassword by anonymous auth by * none
access to * by users read by * none
{f'overlay ppolicy{chr(10)}ppolicy_default "cn=policy,{self.suffix}"' if self._lock_after else ""}
{"".join(f"overlay {name}{chr(10)}" for name in self._overlays)}
{self._overlay_syncprov()}
{f"overlay {self._outer_overlay}" if self._outer_overlay else ""}
"""

    def _page_limit(self) -> str:
        return f"size.pr={self._page_size_limit} size.prtotal=unlimited" if self._page_size_limit else ""

    def _overlay_syncprov(self) -> str:
        if self._session_log is None:
            return ""
        log = f"syncprov-sessionlog {self._session_log}" if self._session_log else ""
        if self._access_log:
            # Before the overlay that writes the log, so that the log has a change before it is reported.
            log = f"syncprov-sessionlog-source {_ACCESS_LOG}"
        overlay = f"overlay syncprov\nsyncprov-checkpoint 100 10\n{log}"
        return f"{overlay}\n{_OVERLAY_ACCESSLOG}" if self._access_log else overlay

    def _log_database(self) -> str:
        if not self._access_log:
            return ""
        # syncprov searches it as the synchronizing user; without access it lists all entries that are present.
        return (
            f'database mdb\nsuffix "{_ACCESS_LOG}"\nrootdn "{self.admin_dn}"\ndirectory "{self.directory}/log"\n'
            "dbnosync\nindex objectClass,reqStart,reqDN,reqEntryUUID,entryCSN eq\n"
            f'limits dn.exact="{self.reader_dn}" size=unlimited\naccess to * by dn.exact="{self.reader_dn}" read\n'
        )

    def command(self) -> list[str]:
        """See PrivateServer."""
        # `-d` keeps slapd in the foreground; with `none` its log has starts, stops and failures only.
        listeners = f"ldap://{LOOPBACK}:{self.port} ldaps://{LOOPBACK}:{self.tls_port}"
        return [self._program("slapd"), "-d", "none", "-f", f"{self.directory}/slapd.conf", "-h", listeners]

    def failure(self, what: str) -> ContactsyncError:
        """See PrivateServer."""
        error = super().failure(what)
        if _APPARMOR_PROFILE.exists() and _APPARMOR_ENABLED.exists() and _APPARMOR_ENABLED.read_text().startswith("Y"):
            error.hint += (
                " AppArmor may be confining slapd to the system's own directories;"
                f" to lift that: sudo apparmor_parser -R {_APPARMOR_PROFILE}."
            )
        return error
