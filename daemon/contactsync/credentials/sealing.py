"""Sealed bind passwords: encrypted in the database with a key that is not in the database.

A sealed password is: version (1 octet), key id (4), nonce (12), ciphertext and tag of AES-256-GCM (NIST SP 800-38D).
Version, key id, folder, definition and destination are the associated data. A value therefore does not open in another
row, nor after an edit of the password's destination (see contactsync.credentials.bind).
"""

from __future__ import annotations

import hashlib
import hmac
import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from contactsync.credentials.key_file import make_key, read_key
from contactsync.errors import SecretError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = b"\x02"
_KEY_ID_BYTES = 4
_NONCE_BYTES = 12
_HEADER_BYTES = len(_VERSION) + _KEY_ID_BYTES
_LEAST_BYTES = _HEADER_BYTES + _NONCE_BYTES + 16

_SET_AGAIN = "Set the password of this definition again."


class SecretBox:
    """Seals and opens passwords with one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._key_id = hashlib.blake2b(key, digest_size=_KEY_ID_BYTES, person=b"contactsync-key").digest()

    def __repr__(self) -> str:
        return f"SecretBox(key_id={self._key_id.hex()})"

    @classmethod
    def from_file(cls, path: Path) -> SecretBox:
        """Use the key in this file, which is created if it does not exist. Raises SecretError if it is unusable."""
        try:
            return cls(read_key(path))
        except FileNotFoundError:
            make_key(path)
            return cls(read_key(path))

    @property
    def key_id(self) -> bytes:
        """Identifies the key (4 octets) and reveals nothing about it."""
        return self._key_id

    def derive(self, purpose: bytes) -> bytes:
        """A key of 32 octets for another purpose: HKDF-SHA256 (RFC 5869), without a salt."""
        extracted = hmac.digest(bytes(32), self._key, "sha256")
        return hmac.digest(extracted, purpose + b"\x01", "sha256")

    @cached_property
    def _cipher(self) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 -- eight megabytes, needed
        # for sealed passwords only

        return AESGCM(self._key)

    def seal(self, password: str, *, folder_id: int, definition_id: int, destination: bytes) -> bytes:
        """The sealed password; only this key opens it, and only for this definition and this destination."""
        header = _VERSION + self._key_id
        nonce = os.urandom(_NONCE_BYTES)
        context = _context(header, folder_id, definition_id, destination)
        return header + nonce + self._cipher.encrypt(nonce, require_usable(password, "The password").encode(), context)

    def open(self, sealed: bytes, *, folder_id: int, definition_id: int, destination: bytes) -> str:
        """The password. Raises SecretError if it was sealed with another key or for another destination."""
        header, body = sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES:]
        if len(sealed) < _LEAST_BYTES or header[:1] != _VERSION:
            raise SecretError("The stored password was not sealed by contactsync.", hint=_SET_AGAIN)
        if header[1:] != self._key_id:
            raise SecretError(
                f"The stored password was sealed with another key (id {header[1:].hex()}, now {self._key_id.hex()}).",
                hint="Restore the earlier key file, or set the password again.",
            )
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 -- see above

        try:
            context = _context(header, folder_id, definition_id, destination)
            return self._cipher.decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], context).decode()
        except InvalidTag:
            raise SecretError(
                "The stored password belongs to other servers, another user or other TLS settings than the definition"
                " has now, or to another definition. It is not sent.",
                hint=f"Undo the edit if it is not yours. {_SET_AGAIN}",
            ) from None


def require_usable(password: str, what: str) -> str:
    """The password; SecretError, whose sentence starts with `what`, if it cannot be used for a bind."""
    if not password:
        # A bind with an empty password is an unauthenticated bind, which succeeds (RFC 4513, section 5.1.2).
        raise SecretError(f"{what} is empty.", hint="Set the user's password.")
    try:
        password.encode()
    except UnicodeEncodeError:  # its message has the password
        raise SecretError(f"{what} is not text in UTF-8.", hint="LDAP passwords are in UTF-8.") from None
    return password


def _context(header: bytes, folder_id: int, definition_id: int, destination: bytes) -> bytes:
    return header + folder_id.to_bytes(8, "big") + definition_id.to_bytes(8, "big") + destination
