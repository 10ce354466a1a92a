"""A peer with TLS that accepts Kerberos tickets (RFC 4752) and requires channel binding (RFC 5929)."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from contactsync.ldap.protocol import ber
from contactsync.testing.certificates import CertificateFiles
from tests.support.peers import done, message, result

BOUND = 2048
"""GSS_C_CHANNEL_BOUND_FLAG: the ticket was bound to this connection."""
_IN_PROGRESS, _SUCCESS, _ALL_LAYERS = 14, 0, bytes((7, 0, 0xFF, 0xFF))


class KerberosPeer:
    """Serves one connection. `flags` are those of the accepted context, `layer` is the chosen security layer."""

    def __init__(self, files: CertificateFiles, keytab: Path) -> None:
        self.flags: int | None = None
        self.layer: bytes | None = None
        self._files, self._keytab = files, keytab
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """End the thread and the socket."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        import gssapi  # noqa: PLC0415 -- an extra

        with suppress(OSError, gssapi.exceptions.GSSError):
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(self._files.certificate, self._files.key)
            accepted, _ = self._listener.accept()
            with context.wrap_socket(accepted, server_side=True) as connection:
                connection.settimeout(10)
                self._bind(connection, gssapi)
                number, _ = _request(connection)
                connection.sendall(done(number, cookie=None))
                connection.recv(1)

    def _bind(self, connection: ssl.SSLSocket, gssapi: Any) -> None:
        der = ssl.PEM_cert_to_DER_cert(self._files.certificate.read_text())
        expected = b"tls-server-end-point:" + hashlib.sha256(der).digest()
        context = gssapi.SecurityContext(
            creds=gssapi.Credentials(usage="accept", store={"keytab": str(self._keytab)}),
            channel_bindings=gssapi.raw.ChannelBindings(application_data=expected),
            usage="accept",
        )
        number, token = _request(connection)
        _answer(connection, number, _IN_PROGRESS, context.step(token))
        self.flags = int(context.actual_flags)
        number, _ = _request(connection)
        _answer(connection, number, _IN_PROGRESS, context.wrap(_ALL_LAYERS, encrypt=False).message)
        number, token = _request(connection)
        self.layer = context.unwrap(token).message
        _answer(connection, number, _SUCCESS, b"")


def _request(connection: ssl.SSLSocket) -> tuple[int, bytes]:
    """The id of the next message, and the SASL credentials at its end if it is a bind."""
    octets = b""
    while True:
        octets += connection.recv(65536)
        outer = ber.element_at(octets, 0, 1 << 20)
        if len(octets) >= outer.stop:
            break
    ident, op = ber.elements(octets, outer.start, outer.stop)[:2]
    last = ber.elements(octets, op.start, op.stop)[-1]
    sasl = ber.elements(octets, last.start, last.stop) if last.tag == 0xA3 else []
    return ber.number_in(octets, ident), octets[sasl[-1].start : sasl[-1].stop] if sasl else b""


def _answer(connection: ssl.SSLSocket, number: int, code: int, token: bytes) -> None:
    connection.sendall(message(number, ber.encode(0x61, result(code), ber.encode(0x87, token or b""))))


@contextmanager
def kerberos_peer(files: CertificateFiles, keytab: Path) -> Iterator[KerberosPeer]:
    """A peer for the length of a block."""
    server = KerberosPeer(files, keytab)
    try:
        yield server
    finally:
        server.close()
