"""Sessions with the servers of the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.connection.limits import ReadLimits
from contactsync.ldap.connection.options import ConnectOptions, TlsOptions
from contactsync.ldap.connection.session import Session, connect
from contactsync.ldap.query.query import ServerAddress
from contactsync.ldap.search import SearchRequest, read_entries
from contactsync.model import Tls
from contactsync.testing.slapd import PrivateSlapd


def options_at(port: int, *, host: str = "localhost", ldaps: bool = False, **options: Any) -> ConnectOptions:
    """Connect to a port, anonymously unless `options` name a user."""
    usual = {"user": None, "password": None, "tls": Tls.AUTO, "connect_timeout": 5, "receive_timeout": 10}
    return ConnectOptions(servers=(ServerAddress(host, port, ldaps=ldaps),), **(usual | options))


def options_of(server: PrivateSlapd, *, host: str = "localhost", ldaps: bool = False, **options: Any) -> ConnectOptions:
    """Connect to a server as its reader, and trust its authority."""
    trust = TlsOptions(ca_file=str(server.ca_file))
    reader = {"user": server.reader_dn, "password": server.reader_password, "trust": trust}
    return options_at(server.tls_port if ldaps else server.port, host=host, ldaps=ldaps, **(reader | options))


def session_with(options: ConnectOptions) -> AbstractContextManager[Session]:
    """A session for a block."""
    return connect(options, Deadline(30))


def tried(options: ConnectOptions) -> Session:
    """Connect and close; the session shows the result."""
    with session_with(options) as session:
        return session


def batches_of(session: Session, request: SearchRequest, limit: int = 16 << 20) -> Iterator[list[bytes]]:
    """The entries of a search, copied, batch by batch; `limit` is in octets of a message."""
    for batch in read_entries(session, request, ReadLimits(Deadline(30), 10, limit)):
        yield [bytes(entry) for entry in batch.entries]


def entries_of(session: Session, request: SearchRequest) -> list[bytes]:
    """The entries of a search, copied."""
    return [entry for batch in batches_of(session, request) for entry in batch]
