"""A private directory server on loopback: started, stopped, and asked whether it answers."""

from __future__ import annotations

import socket
import subprocess
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, ClassVar, Self

import ldap3
from ldap3.core.exceptions import LDAPException

from contactsync.errors import ContactsyncError
from contactsync.ldap.dn import domain_of
from contactsync.testing.certificates import LOCAL_NAMES, CertificateFiles, make_certificates
from contactsync.testing.ports import LOOPBACK, ReservedPort

_STOP_SECONDS = 10.0
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
        """The plain address, which offers StartTLS."""
        return f"ldap://{self.address}:{self.port}"

    @property
    def tls_url(self) -> str:
        """The LDAPS address, by the name that the certificate is made out to."""
        return f"ldaps://localhost:{self.tls_port}"

    @property
    def ca_file(self) -> Path:
        """The authority's certificate, for clients to trust."""
        return self.certificate_files().authority

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

        Raises ContactsyncError when it is not installed, refuses the LDIF or does not come up.
        """
        if self._process and self._process.poll() is None:
            return
        if not self._filled:
            self.fill()
            self._filled = True
        if not self._launch():
            raise self.failure(f"{self.program} did not start")

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
        """Write the configuration and load the people; raises ContactsyncError."""

    @abstractmethod
    def command(self) -> list[str]:
        """What starts the server as a child process that stays in the foreground, at the ports of now."""

    @property
    def name_in_domain(self) -> str:
        """A host name in the domain of the suffix, which its own certificates are made out to as well."""
        return f"here.{domain_of(self.suffix)}"

    def certificate_files(self) -> CertificateFiles:
        """The given ones, or new ones."""
        if self._certificates is None:
            names = (*LOCAL_NAMES, self.name_in_domain)
            self._certificates = make_certificates(self.directory / "tls", names=names)
        return self._certificates

    def log(self, mode: str) -> IO[bytes]:
        """The file that the server's output goes to."""
        return (self.directory / f"{self.program}.log").open(mode)

    def failure(self, what: str) -> ContactsyncError:
        """An error with the last words of the log."""
        log = self.directory / f"{self.program}.log"
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        said = " | ".join(lines[-_REASON_LINES:]) or "it gave no reason"
        return ContactsyncError(f"{what}: {said.rstrip('.')}.", hint=f"The whole output is in {log}.")

    def unbound_connection(self) -> ldap3.Connection:
        """A connection that is to be bound as the admin."""
        server = ldap3.Server(self.address, port=self.port, get_info=ldap3.NONE, connect_timeout=5)
        return ldap3.Connection(
            server, self.admin_dn, self.admin_password, auto_referrals=False, check_names=False, receive_timeout=30
        )

    def _launch(self) -> bool:
        # A process group of its own, because Ctrl-C at the terminal is for the program that owns this server.
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
        # The knock comes first because ldap3 leaves a socket open for every refused connection.
        try:
            socket.create_connection((self.address, self.port), timeout=1).close()
        except OSError:
            return False
        connection = self.unbound_connection()
        try:
            # Only our own server takes the password; something else on the port would not.
            return bool(connection.bind())
        except LDAPException:
            return False
        finally:
            connection.unbind()
