"""Opens the socket to one address of a server, and protects it before anything else is said."""

from __future__ import annotations

import socket
import ssl
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import ldap3
from ldap3.core.exceptions import LDAPException

from contactsync.errors import AccessRefused, DirectoryError, ServerTimeout, ServerUnavailable
from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.connection.dns import addresses_of
from contactsync.ldap.connection.limits import ReadLimits
from contactsync.ldap.connection.options import ConnectOptions
from contactsync.ldap.connection.tls import CheckedTls, handshake_error
from contactsync.ldap.connection.transport import Wire
from contactsync.ldap.protocol.messages import EXTENDED_RESPONSE
from contactsync.ldap.protocol.requests import start_tls_op
from contactsync.ldap.protocol.results import SUCCESS
from contactsync.ldap.query.address import ServerAddress
from contactsync.model import Tls


@dataclass(frozen=True)
class Target:
    """One address of one server, and how the connection to it is to be protected."""

    host: str
    address: str
    port: int
    ldaps: bool
    starttls: bool

    @property
    def protected(self) -> bool:
        """Whether TLS is to protect it."""
        return self.ldaps or self.starttls

    @property
    def url(self) -> str:
        """How people know it; the address is left out."""
        return f"{'ldaps' if self.ldaps else 'ldap'}://{ServerAddress(self.host, self.port).netloc}"


def targets_of(server: ServerAddress, options: ConnectOptions) -> list[Target]:
    """Every address of a server with how it is to be protected; raises ServerNotFound, ServerUnavailable."""
    ldaps = server.ldaps or options.tls is Tls.LDAPS
    logs_on = options.tls is Tls.AUTO and not options.anonymous
    starttls = not ldaps and (options.tls is Tls.STARTTLS or logs_on)
    port = server.port or ServerAddress(server.host, ldaps=ldaps).port_or_default
    addresses = addresses_of(server.host, port, options.name_servers, timeout=options.connect_timeout)
    return [Target(server.host, address, port, ldaps, starttls) for address in addresses]


def open_protected(target: Target, options: ConnectOptions, deadline: Deadline) -> tuple[ldap3.Connection, Wire]:
    """A connection that is as safe as the target asks for, nothing sent over it yet but StartTLS; to be closed.

    Raises DirectoryError, and DefinitionError for a file of authorities that cannot be used.
    """
    tls = None
    if target.protected:
        tls = CheckedTls(target.host, options.trust)
    connection = _open(target, tls, min(options.connect_timeout, deadline.remaining()))
    with ExitStack() as on_failure:
        on_failure.callback(close, connection)
        wire = Wire(connection.socket, target.url, ReadLimits(deadline, options.receive_timeout))
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
