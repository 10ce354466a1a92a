"""A private directory server on loopback."""

from __future__ import annotations

import subprocess
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import IO, ClassVar, Self

import ldap3
from ldap3.core.exceptions import LDAPException

from contactsync.errors import ContactsyncError
from contactsync.ldap.dn import domain_of
from contactsync.testing.certificates import LOCAL_NAMES, CertificateFiles, make_certificates
from contactsync.testing.ports import LOOPBACK, ReservedPort

_STOP_SECONDS = 60.0
_REASON_LINES = 3


class PrivateServer(ABC):
    """One server in `directory`, with its data below `suffix`, on two ports that it keeps over restarts.

    `admin_dn` may change everything, `reader_dn` read everything without limits, `limited_dn` with a size limit.
    `certificates` serve LDAPS and StartTLS.
    """

    program: ClassVar[str]
    """Its name in errors, and of its log file."""
    start_seconds: ClassVar[float]

    admin_dn: str
    admin_password: str
    reader_dn: str
    reader_password: str
    limited_dn: str
    limited_password: str

    def __init__(self, directory: Path, *, suffix: str, certificates: CertificateFiles | None = None) -> None:
        self.directory = directory
        self.address = LOOPBACK
        self.suffix = suffix
        self.people_base = f"ou=people,{suffix}"
        self._reserved = [ReservedPort(), ReservedPort()]
        self.port, self.tls_port = (port.number for port in self._reserved)
        self._certificates = certificates
        self._process: subprocess.Popen[bytes] | None = None
        self._filled = False

    @property
    def url(self) -> str:
        """The URL for plain LDAP and StartTLS."""
        return f"ldap://{self.address}:{self.port}"

    @property
    def tls_url(self) -> str:
        """The URL for LDAPS, with the name of the certificate."""
        return f"ldaps://localhost:{self.tls_port}"

    @property
    def ca_file(self) -> Path:
        """The authority's certificate, for clients to trust."""
        return self.certificate_files().authority

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process else None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server and wait until it responds; the first time it loads its LDIF.

        Raises ContactsyncError if it is not installed, refuses the LDIF or does not start.
        """
        if self._process and self._process.poll() is None:
            return
        if not self._filled:
            self.fill()
            self._filled = True
        if not self._launch():
            raise self.failure(f"{self.program} did not start")

    def stop(self) -> None:
        """End the server in order; its data is kept."""
        if self._process:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_SECONDS)
            self.kill()

    def kill(self) -> None:
        """End the server by SIGKILL; its data is kept."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def connection(self) -> ldap3.Connection:
        """A connection bound as the admin, which the caller unbinds. Failed operations raise."""
        connection = self.unbound_connection()
        connection.raise_exceptions = True
        connection.bind()
        return connection

    def write_reader_password(self, file: Path) -> None:
        """Write the reader's password into a file that only its owner can read."""
        file.touch(mode=0o600)  # before it contains the password
        file.write_text(self.reader_password, encoding="utf-8")

    @abstractmethod
    def fill(self) -> None:
        """Write the configuration and load the LDIF; raises ContactsyncError."""

    @abstractmethod
    def command(self) -> list[str]:
        """The command of the server as a process in the foreground."""

    @property
    def name_in_domain(self) -> str:
        """A host name in the domain of the suffix, which its own certificates contain."""
        return f"here.{domain_of(self.suffix)}"

    def certificate_files(self) -> CertificateFiles:
        """The given certificates, or new ones."""
        if self._certificates is None:
            names = (*LOCAL_NAMES, self.name_in_domain)
            self._certificates = make_certificates(self.directory / "tls", names=names)
        return self._certificates

    def log(self, mode: str) -> IO[bytes]:
        """The file of the server's output."""
        return (self.directory / f"{self.program}.log").open(mode)

    def failure(self, what: str) -> ContactsyncError:
        """An error with the last lines of the log."""
        log = self.directory / f"{self.program}.log"
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        said = " | ".join(lines[-_REASON_LINES:]) or "it gave no reason"
        return ContactsyncError(f"{what}: {said.rstrip('.')}.", hint=f"The whole output is in {log}.")

    def unbound_connection(self) -> ldap3.Connection:
        """A connection for the admin, not yet bound."""
        server = ldap3.Server(self.address, port=self.port, get_info=ldap3.NONE, connect_timeout=5)
        return ldap3.Connection(
            server, self.admin_dn, self.admin_password, auto_referrals=False, check_names=False, receive_timeout=30
        )

    def _launch(self) -> bool:
        # In a process group of its own: Ctrl-C in the terminal is for the program that owns this server.
        with self.log("ab") as log:
            self._process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
            )
        deadline = time.monotonic() + self.start_seconds
        while self._process.poll() is None and time.monotonic() < deadline:
            if self._answers():
                return True
            time.sleep(0.01)
        self.kill()
        return False

    def _answers(self) -> bool:
        connection = self.unbound_connection()
        try:
            # Only our own server accepts the password.
            return bool(connection.bind())
        except LDAPException:
            return False
        finally:
            connection.unbind()
            if connection.socket:  # ldap3 leaves it open if the server refuses the connection or TLS
                connection.socket.close()
