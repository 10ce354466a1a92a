"""Opens the socket to one address of a server, and starts TLS before any other request."""

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
    """One address of one server, and the kind of TLS."""

    host: str
    address: str
    port: int
    ldaps: bool
    starttls: bool

    @property
    def protected(self) -> bool:
        """Whether TLS is used."""
        return self.ldaps or self.starttls

    @property
    def url(self) -> str:
        """The URL with the host name."""
        return f"{'ldaps' if self.ldaps else 'ldap'}://{ServerAddress(self.host, self.port).netloc}"


def targets_of(server: ServerAddress, options: ConnectOptions) -> list[Target]:
    """A target for each address of a server; raises ServerNotFound, ServerUnavailable."""
    ldaps = server.ldaps or options.tls is Tls.LDAPS
    starttls = not ldaps and (options.tls is Tls.STARTTLS or (options.tls is Tls.AUTO and not options.anonymous))
    port = server.port or ServerAddress(server.host, ldaps=ldaps).port_or_default
    addresses = addresses_of(server.host, port, options.name_servers, timeout=options.connect_timeout)
    return [Target(server.host, address, port, ldaps, starttls) for address in addresses]


def open_protected(target: Target, options: ConnectOptions, deadline: Deadline) -> tuple[ldap3.Connection, Wire]:
    """A connection on which nothing but StartTLS was sent; the caller closes it.

    Raises DirectoryError, and DefinitionError for certificate files that cannot be used.
    """
    tls = CheckedTls(target.host, options.trust) if target.protected else None
    connection = _open(target, tls, min(options.connect_timeout, deadline.remaining()))
    with ExitStack() as on_failure:
        on_failure.callback(close, connection)
        wire = Wire(connection.socket, target.url, ReadLimits(deadline, options.receive_timeout))
        if tls and target.starttls:
            _start_tls(wire, connection, tls, min(options.connect_timeout, deadline.remaining()))
        on_failure.pop_all()
    return connection, wire


def _open(target: Target, tls: CheckedTls | None, seconds: float) -> ldap3.Connection:
    """An open connection, over TLS for LDAPS; connecting and the handshake may take `seconds` each."""
    # No receive timeout: ldap3 would set a socket option for it, and `Wire` sets the timeout of every wait.
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
    if tls and tls.failure:
        return handshake_error(tls.failure, url, seconds=seconds)
    # ldap3's errors of a socket inherit from the socket's own error as well.
    if isinstance(error, TimeoutError):
        return ServerTimeout(f"{url} did not accept a connection within {seconds:g} seconds.")
    if isinstance(error, ConnectionRefusedError):
        return ServerUnavailable(f"{url} refused the connection.", hint="Check that the directory runs, and its port.")
    return ServerUnavailable(f"{url} cannot be reached: {error}.")


def _start_tls(wire: Wire, connection: ldap3.Connection, tls: CheckedTls, seconds: float) -> None:
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
    """Unbind if that is still possible, and close the socket."""
    with suppress(LDAPException, OSError):
        connection.unbind()
    # ldap3 does not close a socket that failed to connect.
    if connection.socket is not None:
        connection.socket.close()
