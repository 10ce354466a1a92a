"""A peer that answers LDAP requests by a script: as a server would, or as none should."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from contactsync.ldap.protocol import ber
from contactsync.ldap.protocol.requests import PAGED_RESULTS, paging_control

SUCCESS = bytes.fromhex("0a0100 0400 0400")
CLOSE = b""
"""Stands for the end of the connection in what a peer sends."""

Answer = Callable[[int], Iterator[bytes]]
"""The octets that answer the message of that id, in pieces; CLOSE ends the connection."""


def result(code: int, said: str = "") -> bytes:
    """The contents of an LDAPResult."""
    return ber.encode_integer(code, ber.ENUMERATED) + ber.encode(0x04) + ber.encode(0x04, said.encode())


def message(message_id: int, *parts: bytes) -> bytes:
    """One LDAPMessage."""
    return ber.encode(ber.SEQUENCE, ber.encode_integer(message_id), *parts)


def entry(message_id: int, *values: str) -> bytes:
    """An entry that lists the paging control, as a root DSE does, or anything else."""
    control = ber.encode(0x31, *(ber.encode(0x04, value.encode()) for value in values))
    attribute = ber.encode(0x30, ber.encode(0x04, b"supportedControl"), control)
    return message(message_id, ber.encode(0x64, ber.encode(0x04), ber.encode(0x30, attribute)))


def done(message_id: int, contents: bytes = SUCCESS, cookie: bytes | None = b"") -> bytes:
    """The end of a page; None leaves the paging control out."""
    controls = b"" if cookie is None else paging_control(0, cookie)
    return message(message_id, ber.encode(0x65, contents), controls)


def bind_answer(message_id: int) -> Iterator[bytes]:
    """Let everyone in."""
    yield message(message_id, ber.encode(0x61, SUCCESS))


def root_dse_answer(message_id: int) -> Iterator[bytes]:
    """Offer paging."""
    yield entry(message_id, PAGED_RESULTS)
    yield done(message_id, cookie=None)


_RECEIVE_SECONDS = 0.02
_SEND_SECONDS = 20.0
"""A reader on a busy machine takes its time; one that has given up closes the connection."""


class Peer:
    """A TCP server on loopback that answers the requests of one connection by a script, then says nothing more.

    `received` holds all octets that came. Without a script for it, a request is not answered.
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
            connection, _ = self._listener.accept()
            with connection:
                connection.settimeout(_RECEIVE_SECONDS)
                for number, answer in enumerate(self._answers, start=1):
                    self._wait_for(connection, number)
                    for octets in answer(number):
                        if octets == CLOSE or self._over.is_set():
                            return
                        connection.settimeout(_SEND_SECONDS)
                        connection.sendall(octets)
                        connection.settimeout(_RECEIVE_SECONDS)
                while not self._over.is_set():
                    self._receive(connection)

    def _wait_for(self, connection: socket.socket, number: int) -> None:
        """Our requests number their messages from 1, and each goes out in one piece."""
        ident = ber.encode_integer(number)
        while ident not in self.received and not self._over.is_set():
            self._receive(connection)

    def _receive(self, connection: socket.socket) -> None:
        with suppress(TimeoutError):
            octets = connection.recv(65536)
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
