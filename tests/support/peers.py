"""A peer that answers LDAP requests by a script, as a server or as an attacker."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from contactsync.ldap.protocol import ber
from contactsync.ldap.protocol.requests import PAGED_RESULTS, paging_control
from tests.support.messages import Encoder

SUCCESS = bytes.fromhex("0a0100 0400 0400")
CLOSE = b""
"""What a peer sends to close the connection."""

Attributes = Mapping[str, Sequence[str]]
Answer = Callable[[int], Iterator[bytes]]
"""The octets that answer the message of that id, in pieces; CLOSE ends the connection."""


def result(code: int, said: str = "") -> bytes:
    """The components of an LDAPResult."""
    return ber.encode_integer(code, ber.ENUMERATED) + ber.encode(0x04) + ber.encode(0x04, said.encode())


def message(message_id: int, *parts: bytes) -> bytes:
    """One LDAPMessage."""
    return ber.encode(ber.SEQUENCE, ber.encode_integer(message_id), *parts)


def entry(message_id: int, *values: str) -> bytes:
    """An entry without a name that has the attribute supportedControl."""
    return entry_of(message_id, {"supportedControl": values}, dn="")


def entry_of(message_id: int, attributes: Attributes, dn: str) -> bytes:
    """An entry."""
    encoded = [(name.encode(), [value.encode() for value in values]) for name, values in attributes.items()]
    return message(message_id, Encoder().entry_op(dn.encode(), encoded))


def done(message_id: int, contents: bytes = SUCCESS, cookie: bytes | None = b"") -> bytes:
    """The end of a page; without the paging control if the cookie is None."""
    controls = b"" if cookie is None else paging_control(0, cookie)
    return message(message_id, ber.encode(0x65, contents), controls)


def answers(*entries: Attributes, contents: bytes = SUCCESS, dn: str = "cn=Anna,dc=example,dc=test") -> Answer:
    """These entries, all of this name, and the end of the search."""
    return lambda number: iter([*(entry_of(number, each, dn) for each in entries), done(number, contents, cookie=None)])


def bind_answer(message_id: int) -> Iterator[bytes]:
    """Accept every bind."""
    yield message(message_id, ber.encode(0x61, SUCCESS))


def root_dse_answer(message_id: int) -> Iterator[bytes]:
    """List the paging control."""
    yield entry(message_id, PAGED_RESULTS)
    yield done(message_id, cookie=None)


_UNBIND = ber.encode(0x42)
_RECEIVE_SECONDS = 0.02
_SEND_SECONDS = 20.0
"""A reader may be slow on a busy machine; one that gives up closes the connection."""


class Peer:
    """A TCP server on loopback that answers the requests of one connection by a script, and then no more.

    Connections that close without a request do not count. `received` has all octets that came.
    """

    def __init__(self, *answers: Answer) -> None:
        self.received = b""
        self._answers = answers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """End the thread and the sockets."""
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while not self.received and not self._over.is_set():
                connection, _ = self._listener.accept()
                with connection, suppress(ConnectionAbortedError):
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(_RECEIVE_SECONDS)
        for number, answer in enumerate(self._answers, start=1):
            self._wait_for(connection, number)
            for octets in answer(number):
                if octets == CLOSE:
                    # A close with unread octets would be a reset, which also discards what was sent before.
                    connection.shutdown(socket.SHUT_WR)
                    break
                if self._over.is_set():
                    return
                connection.settimeout(_SEND_SECONDS)
                connection.sendall(octets)
                connection.settimeout(_RECEIVE_SECONDS)
        while not self._over.is_set():
            self._receive(connection)

    def _wait_for(self, connection: socket.socket, number: int) -> None:
        """Our messages are numbered from 1, and each is sent in one piece."""
        ident = ber.encode_integer(number)
        while ident not in self.received and not self._over.is_set():
            self._receive(connection)

    def _receive(self, connection: socket.socket) -> None:
        with suppress(TimeoutError):
            octets = connection.recv(65536)
            if not self.received and (not octets or octets.endswith(_UNBIND)):
                raise ConnectionAbortedError
            self.received += octets
            if not octets:
                self._over.wait()


@contextmanager
def peer(*answers: Answer) -> Iterator[Peer]:
    """A peer for the length of a block."""
    server = Peer(*answers)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def silent_server() -> Iterator[int]:
    """Accept connections and never answer; give the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepted: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    accepted.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in accepted:
                connection.close()
