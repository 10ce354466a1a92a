"""Sessions: a connection to the first server that works, with TLS, bound, and its root DSE."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from contactsync.errors import (
    CertificateRefused,
    DefinitionError,
    DirectoryError,
    ProtocolViolation,
    ServerBusy,
    ServerNotFound,
    ServerNotSynchronized,
    ServerTimeout,
    ServerUnavailable,
)
from contactsync.ldap.connection.bind import bind
from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.connection.failover import Outages
from contactsync.ldap.connection.options import ConnectOptions, check_credentials, check_protection
from contactsync.ldap.connection.target import Target, open_protected, targets_of
from contactsync.ldap.connection.tls import client_expiry, expiry_of
from contactsync.ldap.connection.transport import Wire
from contactsync.ldap.query.query import ServerAddress
from contactsync.ldap.rootdse import RootDse, read_root_dse
from contactsync.model import Auth

_log = structlog.get_logger()

_TRY_NEXT_SERVER = (
    CertificateRefused,
    ProtocolViolation,
    ServerBusy,
    ServerNotFound,
    ServerNotSynchronized,
    ServerTimeout,
    ServerUnavailable,
)
"""Errors of one server. A refused password is not among them: to send it to the next one could lock the account."""


@dataclass(frozen=True)
class Session:
    """A bound connection. `server` is a URL such as `ldaps://dc1.example.com:636`.

    `certificate_expires_at` is None without TLS and for a certificate that is not checked. `skipped_servers` precede
    this one in the list; they failed now or in the last minutes.
    """

    server: str
    root_dse: RootDse
    wire: Wire
    user: str | None
    starttls: bool
    certificate_expires_at: datetime | None = None
    certificate_unchecked: bool = False
    client_certificate_expires_at: datetime | None = None
    skipped_servers: tuple[str, ...] = ()
    auth: Auth = Auth.SIMPLE

    @property
    def anonymous(self) -> bool:
        """Whether the bind was anonymous."""
        return self.auth is Auth.SIMPLE and not self.user


@contextmanager
def connect(options: ConnectOptions, deadline: Deadline, outages: Outages | None = None) -> Iterator[Session]:
    """A session with the first server that works, closed after the block.

    Servers in `outages` are tried last; servers that fail are added to it, also when they fail in the block. Raises
    DirectoryError, which names each server if there are several; credentials that one server refuses are not sent to
    the next. Raises DefinitionError for options that contradict each other.
    """
    if not options.servers:
        raise DefinitionError("There is no server to connect to.", hint="Name one in the query.")
    check_credentials(options)
    check_protection(options.servers, auth=options.auth, user=options.user, tls=options.tls, trust=options.trust)
    outages = outages or Outages()
    server, session = _first_session(options, deadline, outages)
    try:
        yield session
    except _TRY_NEXT_SERVER:
        outages.add(server)
        raise
    finally:
        session.wire.close()


def _first_session(options: ConnectOptions, deadline: Deadline, outages: Outages) -> tuple[ServerAddress, Session]:
    failures: list[tuple[str, DirectoryError]] = []
    for server in outages.in_order(options.servers):
        try:
            session = _any_address(server, options, deadline)
        except _TRY_NEXT_SERVER as error:
            outages.add(server)
            failures.append((server.netloc, error))
            if len(options.servers) > 1:
                _log.warning("server.skipped", server=server.netloc, error_code=error.code, error=error.message)
        else:
            outages.discard(server)
            before = options.servers[: options.servers.index(server)]
            return server, replace(session, skipped_servers=tuple(each.netloc for each in before))
    raise _no_server(failures)


def _no_server(failures: list[tuple[str, DirectoryError]]) -> DirectoryError:
    """One error for all servers, retryable if one of theirs is."""
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


def _session(target: Target, options: ConnectOptions, deadline: Deadline) -> Session:
    wire = open_protected(target, options, deadline)
    with ExitStack() as on_failure:
        on_failure.callback(wire.close)
        with nullcontext() if options.anonymous else options.logon():
            bind(wire, options)
        root_dse = read_root_dse(wire)
        on_failure.pop_all()
    return Session(
        target.url,
        root_dse,
        wire,
        options.user,
        target.starttls,
        certificate_expires_at=expiry_of(wire.socket),
        certificate_unchecked=target.protected and not options.trust.verify,
        auth=options.auth,
        client_certificate_expires_at=client_expiry(options.trust) if target.protected else None,
    )
