"""Opens the socket to one address of a server, and starts TLS before any other request."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from dataclasses import dataclass

from contactsync.errors import AccessRefused, ServerTimeout, ServerUnavailable
from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.connection.dns import addresses_of
from contactsync.ldap.connection.limits import ReadLimits
from contactsync.ldap.connection.options import ConnectOptions
from contactsync.ldap.connection.tls import tls_context
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


def open_protected(target: Target, options: ConnectOptions, deadline: Deadline) -> Wire:
    """A connection on which nothing but StartTLS was sent; the caller closes it.

    Raises DirectoryError, and DefinitionError for certificate files that cannot be used.
    """
    context = tls_context(options.trust) if target.protected else None
    connected = open_socket(target, min(options.connect_timeout, deadline.remaining()))
    wire = Wire(connected, target.url, ReadLimits(deadline, options.receive_timeout))
    with ExitStack() as on_failure:
        on_failure.callback(wire.close)
        if target.starttls:
            _start_tls(wire)
        if context:
            wire.secure(context, target.host, seconds=min(options.connect_timeout, deadline.remaining()))
        on_failure.pop_all()
    return wire


def open_socket(target: Target, seconds: float) -> socket.socket:
    """A TCP connection on which nothing was sent. Raises ServerTimeout, ServerUnavailable."""
    try:
        connected = socket.create_connection((target.address, target.port), seconds)
    except TimeoutError:
        raise ServerTimeout(f"{target.url} did not accept a connection within {seconds:g} seconds.") from None
    except ConnectionRefusedError:
        hint = f"Check that the directory runs, and that it listens on port {target.port}."
        raise ServerUnavailable(f"{target.url} refused the connection.", hint=hint) from None
    except OSError as error:
        raise ServerUnavailable(f"{target.url} cannot be reached: {error.strerror or error}.") from None
    # The end of a TLS handshake and the bind are two small writes: Nagle's algorithm would hold the second one back
    # until the server's delayed acknowledgement of the first, for 40 ms.
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected


def _start_tls(wire: Wire) -> None:
    result = wire.ask(start_tls_op(), EXTENDED_RESPONSE)
    if result.code != SUCCESS:
        raise AccessRefused(
            f"{wire.server} refused StartTLS: {result}.",
            hint="Set `tls` to 'ldaps' if the directory has a TLS port; 'none' would send the password in plain text.",
        )
