"""Passwords that programs seal with the daemon's public key and write by SQL.

A sealed password is: version (1 octet), key id (4), an ephemeral X25519 public key (32), ciphertext and tag of
ChaCha20-Poly1305 (RFC 8439). Its key is HKDF-SHA256 of the shared secret, with both public keys as the salt. It is used
once, so the nonce is zero. The associated data is the binding to the definition (see contactsync.credentials.bind).
"""

from __future__ import annotations

import sys
from functools import cached_property
from typing import TYPE_CHECKING

from contactsync.credentials.sealing import SecretBox, require_usable
from contactsync.errors import SecretError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

ALGORITHM = "X25519-HKDF-SHA256-CHACHA20-POLY1305"

_VERSION = b"\x01"
_INFO = b"contactsync password v1"
_KEY_PAIR = b"contactsync key pair for passwords v1"
_EPHEMERAL = 1 + 4
_CIPHERTEXT = _EPHEMERAL + 32
_LEAST_BYTES = _CIPHERTEXT + 16 + 1

_PUBLIC_OF_STDIN = """
import sys
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
private = X25519PrivateKey.from_private_bytes(sys.stdin.buffer.read())
sys.stdout.buffer.write(private.public_key().public_bytes_raw())
"""
_CHILD_SECONDS = 30

_SEAL_AGAIN = "Seal the password again as docs/reference/sql.md shows, or set it with `contactsync folders edit`."


class EnvelopeKey:
    """The key pair for passwords by SQL, derived from the daemon's key."""

    def __init__(self, box: SecretBox) -> None:
        self._box = box

    @cached_property
    def _private(self) -> X25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # noqa: PLC0415 -- see sealing

        return X25519PrivateKey.from_private_bytes(self._box.derive(_KEY_PAIR))

    @property
    def public(self) -> bytes:
        """The public key: 32 octets."""
        return self._private.public_key().public_bytes_raw()

    def public_from_child(self) -> bytes:
        """The public key, computed by a short-lived process if possible: this one then loads no cryptography (9 MB)."""
        import subprocess  # noqa: PLC0415 -- needed once for each key

        command = [sys.executable, "-I", "-c", _PUBLIC_OF_STDIN]
        try:
            child = subprocess.run(
                command, input=self._box.derive(_KEY_PAIR), capture_output=True, check=True, timeout=_CHILD_SECONDS
            )
        except (OSError, subprocess.SubprocessError):
            return self.public
        return child.stdout

    def open(self, sealed: bytes, binding: bytes) -> str:
        """The password. Raises SecretError, with a sentence that says why it does not open."""
        if len(sealed) < _LEAST_BYTES or sealed[:1] != _VERSION:
            raise SecretError("The new password does not have the format of a sealed password.", hint=_SEAL_AGAIN)
        key_id = sealed[1:_EPHEMERAL]
        if key_id != self._box.key_id:
            raise SecretError(
                f"The new password was sealed for another key (id {key_id.hex()}, now {self._box.key_id.hex()}).",
                hint="Read contactsync.public_key again and seal the password for that key.",
            )
        try:
            return require_usable(self._decrypt(sealed, binding).decode(), "The new password")
        except UnicodeDecodeError:  # its message has the password
            raise SecretError("The new password is not text in UTF-8.", hint=_SEAL_AGAIN) from None

    def _decrypt(self, sealed: bytes, binding: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 -- see sealing
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey  # noqa: PLC0415
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305  # noqa: PLC0415
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

        ephemeral = sealed[_EPHEMERAL:_CIPHERTEXT]
        try:
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(ephemeral))
            key = HKDF(SHA256(), 32, ephemeral + self.public, _INFO).derive(shared)
            return ChaCha20Poly1305(key).decrypt(bytes(12), sealed[_CIPHERTEXT:], binding)
        except (InvalidTag, ValueError):  # ValueError: a public key of low order
            raise SecretError(
                "The new password was altered, or was sealed for another definition, or for another server, user or TLS"
                " settings than the definition has now.",
                hint=_SEAL_AGAIN,
            ) from None
