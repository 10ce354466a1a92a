"""Opens a connection to the first server that can be used, protects it, binds and asks what the server can do."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

import ldap3
import structlog
from ldap3.core.exceptions import LDAPException

from contactsync.errors import (
    AccessRefused,
    CertificateRefused,
    DefinitionError,
    DirectoryError,
    ProtocolViolation,
    ServerBusy,
    ServerNotFound,
    ServerTimeout,
    ServerUnavailable,
)
from contactsync.ldap.deadline import Deadline
from contactsync.ldap.logon import check_logon, log_on
from contactsync.ldap.options import ConnectOptions, check_protection
from contactsync.ldap.query import ServerAddress
from contactsync.ldap.request import start_tls_op
from contactsync.ldap.result import SUCCESS
from contactsync.ldap.rootdse import RootDse, read_root_dse
from contactsync.ldap.tls import CheckedTls, expiry_of, handshake_error
from contactsync.ldap.wire import EXTENDED_RESPONSE, Wire
from contactsync.model import Tls

_log = structlog.get_logger()

_NEXT_SERVER_MAY_DO = (
    CertificateRefused,
    ProtocolViolation,
    ServerBusy,
    ServerNotFound,
    ServerTimeout,
    ServerUnavailable,
)
"""What says nothing about the other servers. A refused password is not offered to them: accounts get locked."""


@dataclass(frozen=True)
class Session:
    """A bound connection. `server` is for people and for ldapsearch: `ldaps://dc1.example.com:636`.

    `certificate_expires_at` is None without TLS and where the certificate is not checked.
    """

    server: str
    root_dse: RootDse
    connection: ldap3.Connection
    wire: Wire
    user: str | None
    starttls: bool
    certificate_expires_at: datetime | None = None


Connect = Callable[[ConnectOptions, Deadline], AbstractContextManager[Session]]
"""How a run gets its session: `connect`, or something that may have one already."""


@dataclass(frozen=True)
class Target:
    """One address of one server, and how the connection to it is to be protected."""

    host: str
    address: str
    port: int
    ldaps: bool
    starttls: bool

    @property
    def url(self) -> str:
        """How people know it; the address is left out."""
        return f"{'ldaps' if self.ldaps else 'ldap'}://{ServerAddress(self.host, self.port).netloc}"


@contextmanager
def connect(options: ConnectOptions, deadline: Deadline) -> Iterator[Session]:
    """A session with the first server that can be used; its socket is closed afterwards in every case.

    Raises DirectoryError: the one of a single server, or one that says of each server why it could not be used. A
    refused user or password ends the search for a server. DefinitionError when the options contradict each other.
    """
    if not options.servers:
        raise DefinitionError("There is no server to connect to.", hint="Name one in the query.")
    check_logon(options)
    check_protection(options.servers, auth=options.auth, user=options.user, tls=options.tls, trust=options.trust)
    session = _first_session(options, deadline)
    try:
        yield session
    finally:
        close(session.connection)


def _first_session(options: ConnectOptions, deadline: Deadline) -> Session:
    failures: list[tuple[str, DirectoryError]] = []
    for server in options.servers:
        try:
            return _any_address(server, options, deadline)
        except _NEXT_SERVER_MAY_DO as error:
            failures.append((server.netloc, error))
            if len(options.servers) > 1:
                _log.warning("server.skipped", server=server.netloc, error_code=error.code, error=error.message)
    raise _no_server(failures)


def _no_server(failures: list[tuple[str, DirectoryError]]) -> DirectoryError:
    """One error for all; worth another attempt if one of them is."""
    foremost = next((error for _, error in failures if error.retryable), failures[0][1])
    if len(failures) == 1:
        return foremost
    said = "; ".join(f"{server}: {error.message.rstrip('.')}" for server, error in failures)
    return type(foremost)(f"None of {len(failures)} servers can be used. {said}.", hint=foremost.hint)


def _any_address(server: ServerAddress, options: ConnectOptions, deadline: Deadline) -> Session:
    failure: DirectoryError = ServerNotFound(f"The name {server.host} has no address.")
    for target in targets_of(server, options):
        try:
            return _session(target, options, deadline)
        except (ServerUnavailable, ServerTimeout) as error:
            failure = error
    raise failure


def targets_of(server: ServerAddress, options: ConnectOptions) -> list[Target]:
    """Every address of a server with how it is to be protected; raises ServerNotFound, ServerUnavailable."""
    ldaps = server.ldaps or options.tls is Tls.LDAPS
    logs_on = options.tls is Tls.AUTO and not options.anonymous
    starttls = not ldaps and (options.tls is Tls.STARTTLS or logs_on)
    port = server.port or ServerAddress(server.host, ldaps=ldaps).port_or_default
    return [Target(server.host, address, port, ldaps, starttls) for address in _addresses(server.host, port)]


def _addresses(host: str, port: int) -> list[str]:
    """The IP addresses of a host in the order of the system's resolver (RFC 6724).

    Resolved here because ldap3 leaves the socket open of every address but the last that it tries.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise ServerUnavailable(f"DNS does not answer for {host}: {error.strerror}.") from None
        raise ServerNotFound(f"DNS does not know the server {host}.", hint="Check the server in the query.") from None
    except UnicodeError:
        raise ServerNotFound(f"{host!r} is no host name.", hint="Check the server in the query.") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _session(target: Target, options: ConnectOptions, deadline: Deadline) -> Session:
    connection, wire = open_protected(target, options, deadline)
    with ExitStack() as on_failure:
        on_failure.callback(close, connection)
        log_on(wire, options)
        root_dse = read_root_dse(wire)
        on_failure.pop_all()
    expires_at = expiry_of(connection.socket)
    return Session(target.url, root_dse, connection, wire, options.user, target.starttls, expires_at)


def open_protected(target: Target, options: ConnectOptions, deadline: Deadline) -> tuple[ldap3.Connection, Wire]:
    """A connection that is as safe as the target asks for, nothing sent over it yet but StartTLS; to be closed.

    Raises DirectoryError, and DefinitionError for a file of authorities that cannot be used.
    """
    tls = None
    if target.ldaps or target.starttls:
        tls = CheckedTls(target.host, options.trust)
    connection = _open(target, tls, min(options.connect_timeout, deadline.remaining()))
    with ExitStack() as on_failure:
        on_failure.callback(close, connection)
        wire = Wire(connection.socket, target.url, deadline=deadline, receive_timeout=options.receive_timeout)
        if tls and target.starttls:
            _start_tls(wire, connection, tls, min(options.connect_timeout, deadline.remaining()))
        on_failure.pop_all()
    return connection, wire


def _open(target: Target, tls: CheckedTls | None, seconds: float) -> ldap3.Connection:
    """An open connection, over TLS for LDAPS; `seconds` hold for the connection and again for the handshake.

    The receive timeout is not ldap3's business: it would set a socket option, and `Wire` sets the time of every wait.
    """
    server = ldap3.Server(
        target.address,
        port=target.port,
        use_ssl=target.ldaps,
        tls=tls,
        get_info=ldap3.NONE,
        connect_timeout=seconds,
        allowed_referral_hosts=[],
    )
    connection = ldap3.Connection(
        server,
        client_strategy=ldap3.SYNC,
        auto_bind=ldap3.AUTO_BIND_NONE,
        auto_referrals=False,
        raise_exceptions=False,
    )
    try:
        connection.open(read_server_info=False)
    except LDAPException as error:
        close(connection)
        raise _open_error(target.url, tls, error, seconds) from None
    # The end of a TLS handshake and the bind are two small writes: Nagle's algorithm would hold the second one back
    # until the server's delayed acknowledgement of the first, for 40 ms.
    connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _open_error(url: str, tls: CheckedTls | None, error: LDAPException, seconds: float) -> DirectoryError:
    """ldap3 raises a class of its own that inherits from that of the original error as well."""
    if tls and tls.failure:
        return handshake_error(tls.failure, url, seconds=seconds)
    if isinstance(error, TimeoutError):
        return ServerTimeout(f"{url} did not accept a connection within {seconds:g} seconds.")
    if isinstance(error, ConnectionRefusedError):
        return ServerUnavailable(f"{url} refused the connection.", hint="Check that the directory runs, and its port.")
    return ServerUnavailable(f"{url} cannot be reached: {error}.")


def _start_tls(wire: Wire, connection: ldap3.Connection, tls: CheckedTls, seconds: float) -> None:
    """Protect the connection or give it up: it never goes on in plain text."""
    result = wire.ask(start_tls_op(), EXTENDED_RESPONSE)
    if result.code != SUCCESS:
        raise AccessRefused(
            f"{wire.server} refused StartTLS: {result}.",
            hint="Set `tls` to 'ldaps' if the directory has a TLS port; 'none' would send the password in plain text.",
        )

    def handshake() -> ssl.SSLSocket:
        connection.socket.settimeout(seconds)
        try:
            return tls.wrap_socket(connection)
        except (OSError, ValueError) as failure:
            raise handshake_error(failure, wire.server, seconds=seconds) from None

    wire.secure(handshake)


def close(connection: ldap3.Connection) -> None:
    """Say good-bye if that still goes, and close the socket in every case."""
    with suppress(LDAPException, OSError):
        connection.unbind()
    # ldap3 forgets to close a socket that it could not connect.
    if connection.socket is not None:
        connection.socket.close()
