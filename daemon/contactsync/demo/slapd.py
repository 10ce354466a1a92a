"""A private OpenLDAP server: the real slapd of Debian's packages, on loopback, in a directory of its own."""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import ldap3
from ldap3.core.exceptions import LDAPException

from contactsync.demo.certificates import CertificateFiles, make_certificates
from contactsync.errors import ContactsyncError

DEBIAN_PROGRAMS = Path("/usr/sbin")
LOOPBACK = "127.0.0.1"

_START_SECONDS = 10.0
_STOP_SECONDS = 10.0
_PORT_ATTEMPTS = 5
_REASON_LINES = 3
_MODULES = Path("/usr/lib/ldap")
_SCHEMAS = Path("/etc/ldap/schema")
_APPARMOR_PROFILE = Path("/etc/apparmor.d/usr.sbin.slapd")
_APPARMOR_ENABLED = Path("/sys/module/apparmor/parameters/enabled")


class PrivateSlapd:
    """One slapd in `directory`, which it fills on the first `start` and which must be empty until then.

    `suffix` is made of DC components. `ldif` (text, or the path of a file) is loaded below it when the server is
    first started. `size_limit` (entries, 500 unless given: OpenLDAP's own default) holds for everyone but the admin
    and the reader. Ports are chosen free unless given, and stay the same over restarts. `certificates` serve LDAPS
    and StartTLS. Anonymous clients may bind and read the root DSE, no more. An account is locked after
    `lock_after` refused passwords (0: never).

    Three users, each with a password made anew: `admin_dn` may change everything; `reader_dn` may read everything
    without limits; `limited_dn` gets no more than `size_limit` entries out of one search, paged or not.
    """

    def __init__(  # noqa: PLR0913 -- all of it has a default; a test names the one thing that it is about
        self,
        directory: Path,
        *,
        suffix: str = "dc=example,dc=test",
        size_limit: int | None = None,
        ldif: Path | str | None = None,
        port: int | None = None,
        tls_port: int | None = None,
        certificates: CertificateFiles | None = None,
        lock_after: int = 0,
        programs: Path = DEBIAN_PROGRAMS,
    ) -> None:
        self.directory = directory
        self.suffix = suffix
        self.people_base = f"ou=people,{suffix}"
        self.admin_dn, self.admin_password = f"cn=admin,{suffix}", secrets.token_urlsafe(16)
        self.reader_dn, self.reader_password = f"cn=reader,{suffix}", secrets.token_urlsafe(16)
        self.limited_dn, self.limited_password = f"cn=limited,{suffix}", secrets.token_urlsafe(16)
        self.port = port or _free_port()
        self.tls_port = tls_port or _free_port(besides=self.port)
        self._ports_are_ours = not port and not tls_port
        self._size_limit = 500 if size_limit is None else size_limit
        self._ldif = ldif
        self._certificates = certificates
        self._lock_after = lock_after
        self._programs = programs
        self._process: subprocess.Popen[bytes] | None = None
        self._filled = False

    @property
    def url(self) -> str:
        """The plain address, which offers StartTLS."""
        return f"ldap://{LOOPBACK}:{self.port}"

    @property
    def tls_url(self) -> str:
        """The LDAPS address, by the name that the certificate is made out to."""
        return f"ldaps://localhost:{self.tls_port}"

    @property
    def ca_file(self) -> Path:
        """The authority's certificate, for clients to trust."""
        return self._certificate_files().authority

    @property
    def pid(self) -> int | None:
        """The process while it runs."""
        return self._process.pid if self._process else None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server and wait until it answers; the first time after loading the people.

        Raises ContactsyncError when slapd is not installed, refuses the LDIF or does not come up.
        """
        if self._process and self._process.poll() is None:
            return
        if not self._filled:
            self._fill()
        for attempt in range(_PORT_ATTEMPTS):
            if self._launch():
                return
            # Someone took the port between our look and slapd's: choose others, unless the caller chose these
            # or clients know them already.
            if not self._ports_are_ours or attempt == _PORT_ATTEMPTS - 1:
                break
            self.port = _free_port()
            self.tls_port = _free_port(besides=self.port)
        raise self._failure("slapd did not start")

    def stop(self) -> None:
        """End the server in an orderly way; its data is kept for the next `start`."""
        if self._process:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_SECONDS)
            self.kill()

    def kill(self) -> None:
        """End the server at once (SIGKILL), as a crash would; its data is kept."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def connection(self) -> ldap3.Connection:
        """A connection bound as the admin, for changes; the caller unbinds it. Failed operations raise."""
        connection = self._unbound_connection()
        connection.raise_exceptions = True
        connection.bind()
        return connection

    def _unbound_connection(self) -> ldap3.Connection:
        server = ldap3.Server(LOOPBACK, port=self.port, get_info=ldap3.NONE, connect_timeout=5)
        return ldap3.Connection(
            server, self.admin_dn, self.admin_password, auto_referrals=False, check_names=False, receive_timeout=30
        )

    def _certificate_files(self) -> CertificateFiles:
        if self._certificates is None:
            self._certificates = make_certificates(self.directory / "tls")
        return self._certificates

    def _program(self, name: str) -> str:
        path = self._programs / name
        if not path.exists():
            raise ContactsyncError(
                f"The OpenLDAP server is not installed: there is no {path}.",
                hint="`make demo` and `make test` install it; by hand: sudo apt-get install slapd ldap-utils.",
            )
        return str(path)

    def _fill(self) -> None:
        loader = self._program("slapadd")
        database = self.directory / "db"
        if database.exists():
            raise ContactsyncError(
                f"{self.directory} already holds the data of another slapd.", hint="Choose an empty directory."
            )
        database.mkdir(mode=0o700, parents=True)
        config = self.directory / "slapd.conf"
        config.touch(mode=0o600)  # before the password goes in
        config.write_text(self._config(), encoding="utf-8")
        command = [loader, "-q", "-f", str(config), "-b", self.suffix]
        with self._log("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
            # A loader that stops at a bad entry closes the pipe; its exit code tells below.
            with process, suppress(BrokenPipeError):
                self._write_ldif(process.stdin)
        if process.returncode:
            raise self._failure("slapadd refused the LDIF")
        self._filled = True

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
        """The entry that slapo-ppolicy(5) goes by."""
        if not self._lock_after:
            return ""
        return (
            f"dn: cn=policy,{self.suffix}\nobjectClass: organizationalRole\nobjectClass: pwdPolicy\ncn: policy\n"
            f"pwdAttribute: userPassword\npwdLockout: TRUE\npwdMaxFailure: {self._lock_after}\n\n"
        )

    def _config(self) -> str:
        files = self._certificate_files()
        schemas = "\n".join(f"include {_SCHEMAS}/{name}.schema" for name in ("core", "cosine", "nis", "inetorgperson"))
        # `dbnosync` trades safety against a power cut for speed: this data can be made again. `maxsize` (octets) is
        # the size of a sparse file, not of the disk space taken.
        return f"""\
modulepath {_MODULES}
moduleload back_mdb.so
{"moduleload ppolicy.so" if self._lock_after else ""}
{schemas}
pidfile "{self.directory}/slapd.pid"
loglevel none
threads 4
TLSCACertificateFile "{files.authority}"
TLSCertificateFile "{files.certificate}"
TLSCertificateKeyFile "{files.key}"
TLSVerifyClient never
access to dn.base="" by * read
access to dn.base="cn=subschema" by users read
database mdb
suffix "{self.suffix}"
rootdn "{self.admin_dn}"
rootpw {self.admin_password}
directory "{self.directory}/db"
maxsize {4 << 30}
dbnosync
sizelimit {self._size_limit}
limits dn.exact="{self.reader_dn}" size.soft=unlimited size.hard=unlimited size.prtotal=unlimited time=unlimited
index objectClass,entryUUID,uid,mail eq
access to attrs=userPassword by anonymous auth by * none
access to * by users read by * none
{f'overlay ppolicy{chr(10)}ppolicy_default "cn=policy,{self.suffix}"' if self._lock_after else ""}
"""

    def _launch(self) -> bool:
        # `-d` keeps slapd in the foreground, as our child; `none` leaves just starts, stops and failures in its log.
        # A process group of its own, because Ctrl-C at the terminal is for the program that owns this server.
        listeners = f"ldap://{LOOPBACK}:{self.port} ldaps://{LOOPBACK}:{self.tls_port}"
        command = [self._program("slapd"), "-d", "none", "-f", f"{self.directory}/slapd.conf", "-h", listeners]
        with self._log("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0)
        deadline = time.monotonic() + _START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            if self._answers():
                self._ports_are_ours = False
                return True
            time.sleep(0.01)
        self.kill()
        return False

    def _answers(self) -> bool:
        # The knock comes first because ldap3 leaves a socket open for every refused connection.
        try:
            socket.create_connection((LOOPBACK, self.port), timeout=1).close()
        except OSError:
            return False
        connection = self._unbound_connection()
        try:
            # Only our own server takes the password; something else on the port would not.
            return bool(connection.bind())
        except LDAPException:
            return False
        finally:
            connection.unbind()

    def _log(self, mode: str) -> IO[bytes]:
        return (self.directory / "slapd.log").open(mode)

    def _failure(self, what: str) -> ContactsyncError:
        text = (self.directory / "slapd.log").read_text(encoding="utf-8", errors="replace")
        said = " | ".join(text.splitlines()[-_REASON_LINES:]) or "it gave no reason"
        hint = f"The whole output is in {self.directory}/slapd.log."
        if _APPARMOR_PROFILE.exists() and _APPARMOR_ENABLED.exists() and _APPARMOR_ENABLED.read_text().startswith("Y"):
            hint += (
                " AppArmor may be confining slapd to the system's own directories;"
                f" to lift that: sudo apparmor_parser -R {_APPARMOR_PROFILE}."
            )
        return ContactsyncError(f"{what}: {said.rstrip('.')}.", hint=hint)


def _free_port(*, besides: int = 0) -> int:
    """A port that nobody listens on, below those that the kernel gives to outgoing connections.

    One of the kernel's own choice could be taken by any client while the server is being restarted.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
            if port != besides:
                return port
