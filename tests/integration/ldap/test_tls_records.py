"""Received TLS records are read without a pause, however many there are."""

from __future__ import annotations

import socket
import ssl
import threading
import time

import pytest

from contactsync.ldap.connection.deadline import Deadline
from contactsync.ldap.connection.limits import ReadLimits
from contactsync.ldap.connection.transport import Wire
from contactsync.ldap.protocol.messages import SEARCH_DONE
from contactsync.testing.certificates import CertificateFiles, make_certificates
from tests.support.messages import MESSAGE_ID, Encoder

ENTRIES = 150
"""They fit into the socket's buffer."""
FEW = 2
"""Pauses; without the test for records there would be one for most entries."""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    """Make certificates for localhost."""
    return make_certificates(tmp_path_factory.mktemp("tls"))


def send_all(ours: socket.socket, files: CertificateFiles, sent: threading.Event) -> None:
    """Send each message in its own TLS record, as slapd does, and set `sent` after the last."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    encoder = Encoder()
    with context.wrap_socket(ours, server_side=True) as tls:
        for number in range(ENTRIES):
            tls.sendall(encoder.entry(b"cn=%d" % number, []))
        tls.sendall(encoder.done())
        sent.set()
        tls.recv(1)  # until the reader closes


def test_received_records_are_read_without_pauses(
    certificates: CertificateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of many small records."""
    theirs, ours = socket.socketpair()
    for end in (theirs, ours):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    sent, pauses = threading.Event(), 0
    thread = threading.Thread(target=send_all, args=[ours, certificates, sent])
    thread.start()
    context = ssl.create_default_context(cafile=str(certificates.authority))
    with context.wrap_socket(theirs, server_hostname="localhost") as tls:
        assert sent.wait(10)
        wire = Wire(tls, "ldaps://localhost", ReadLimits(Deadline(10), 5))

        def pause(_seconds: float) -> None:
            nonlocal pauses
            pauses += 1

        monkeypatch.setattr(time, "sleep", pause)
        batch = wire.read(MESSAGE_ID, SEARCH_DONE, expected=2 * ENTRIES)
        monkeypatch.undo()
    thread.join()
    assert len(batch.entries) == ENTRIES
    assert batch.result
    assert pauses <= FEW
