"""Passwords that a program has sealed with the daemon's public key: the format, without I/O."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from contactsync.credentials.bind import BindPasswords, binding_of
from contactsync.credentials.envelope import EnvelopeKey
from contactsync.credentials.references import References
from contactsync.credentials.sealing import SecretBox
from contactsync.errors import SecretError
from contactsync.model import Auth, Definition, Tls

PASSWORD = "Pä55wörd \N{FOX FACE}"
DEFINITION = Definition(
    folder_id=1, definition_id=2, folder="Staff", query="ldaps://dc1.example.com", user="EXAMPLE\\reader"
)
BOX = SecretBox(bytes(range(32)))
ALTERED = "was altered, or was sealed for another definition, or for another server, user or TLS settings"


def seal(text: bytes, definition: Definition = DEFINITION, box: SecretBox = BOX) -> bytes:
    """Seal a text as a program does."""
    daemon = EnvelopeKey(box).public
    ephemeral = X25519PrivateKey.generate()
    own = ephemeral.public_key().public_bytes_raw()
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(daemon))
    key = HKDF(SHA256(), 32, own + daemon, b"contactsync password v1").derive(shared)
    ciphertext = ChaCha20Poly1305(key).encrypt(bytes(12), text, binding_of(definition))
    return b"\x01" + box.key_id + own + ciphertext


@pytest.fixture
def read() -> Callable[[bytes, Definition], str | None]:
    """Give the function that opens a new password of a definition."""
    passwords = BindPasswords(lambda: BOX, References(()), {})
    return lambda sealed, definition: passwords.read(replace(definition, password_new=sealed))


Read = Callable[[bytes, Definition], str | None]


def test_a_password_opens_for_its_definition(read: Read) -> None:
    """Also before the daemon has stored it with its own key, as in a run of the command line."""
    assert read(seal(PASSWORD.encode()), DEFINITION) == PASSWORD


@pytest.mark.parametrize(
    "edit",
    [
        {"definition_id": 3},
        {"query": "ldaps://evil.example.com"},
        {"user": "EXAMPLE\\other"},
        {"auth": Auth.EXTERNAL},
        {"tls": Tls.NONE},
        {"tls_verify": False},
        {"tls_minimum": "1.3"},
        {"tls_ca_file": "/etc/ca.pem"},
        {"tls_ca_pem": "-----BEGIN CERTIFICATE-----"},
    ],
    ids=lambda edit: next(iter(edit)),
)
def test_a_password_does_not_open_for_another_row(read: Read, edit: dict[str, Any]) -> None:
    """Another definition, or the same one after an edit of its server, user or TLS settings."""
    with pytest.raises(SecretError, match=ALTERED):
        read(seal(PASSWORD.encode()), replace(DEFINITION, **edit))


def test_other_fields_do_not_matter(read: Read) -> None:
    """An edit of the filter or the schedule between sealing and opening does no harm."""
    edited = replace(DEFINITION, filter="(mail=*)", schedule="every 1h", revision=9)
    assert read(seal(PASSWORD.encode()), edited) == PASSWORD


def test_every_altered_octet_is_detected(read: Read) -> None:
    """The password does not open, and the error does not quote it."""
    sealed = seal(PASSWORD.encode())
    for index in range(len(sealed)):
        altered = bytearray(sealed)
        # The highest bit of the last octet of an X25519 key is ignored (RFC 7748), so another bit is altered.
        altered[index] ^= 1
        with pytest.raises(SecretError) as caught:
            read(bytes(altered), DEFINITION)
        assert "wörd" not in str(caught.value)


def test_the_unused_bit_of_the_ephemeral_key_is_detected(read: Read) -> None:
    """X25519 ignores it, but the key is derived from all octets."""
    altered = bytearray(seal(PASSWORD.encode()))
    altered[36] ^= 0x80
    with pytest.raises(SecretError, match=ALTERED):
        read(bytes(altered), DEFINITION)


def test_a_key_of_low_order_is_refused(read: Read) -> None:
    """It would make the shared secret known to anyone."""
    sealed = seal(PASSWORD.encode())
    with pytest.raises(SecretError, match=ALTERED):
        read(sealed[:5] + bytes(32) + sealed[37:], DEFINITION)


@pytest.mark.parametrize("length", [0, 1, 5, 37, 53])
def test_a_truncated_value_is_refused(read: Read, length: int) -> None:
    """Also one that is too short for any password."""
    with pytest.raises(SecretError, match="does not have the format"):
        read(seal(PASSWORD.encode())[:length], DEFINITION)


def test_a_password_for_another_daemon_names_both_keys(read: Read) -> None:
    """After a change of the key file, or with the public key of another server."""
    other = SecretBox(os.urandom(32))
    with pytest.raises(SecretError, match="sealed for another key") as caught:
        read(seal(PASSWORD.encode(), box=other), DEFINITION)
    assert other.key_id.hex() in caught.value.message


def test_text_that_is_not_utf_8_is_refused(read: Read) -> None:
    """The error does not quote it."""
    with pytest.raises(SecretError, match="not text in UTF-8"):
        read(seal(b"\xff\xfe secret"), DEFINITION)


def test_the_key_pair_depends_on_the_key_alone() -> None:
    """A restart publishes the same key; the key of the sealed passwords is another one."""
    assert EnvelopeKey(SecretBox(bytes(32))).public == EnvelopeKey(SecretBox(bytes(32))).public
    assert EnvelopeKey(SecretBox(bytes(32))).public != EnvelopeKey(BOX).public
    assert EnvelopeKey(BOX).public_from_child() == EnvelopeKey(BOX).public
    hkdf = HKDF(SHA256(), 32, None, b"any purpose").derive(bytes(range(32)))
    assert BOX.derive(b"any purpose") == hkdf


def test_the_public_key_is_known_without_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no process can be started, or where the interpreter cannot load the library."""
    public = EnvelopeKey(BOX).public
    for program in ("/nowhere/python", "/bin/false"):
        monkeypatch.setattr(sys, "executable", program)
        assert EnvelopeKey(BOX).public_from_child() == public
