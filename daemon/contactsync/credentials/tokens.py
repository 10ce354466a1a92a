"""Tokens of programs: their text, and the digest that is stored in place of it."""

from __future__ import annotations

import re
import secrets
from hashlib import sha256
from zlib import crc32

PREFIX = "cs_"
_SECRET_BYTES = 32
_FORM = re.compile(rf"{PREFIX}(?P<secret>[0-9a-f]{{{2 * _SECRET_BYTES}}})(?P<checksum>[0-9a-f]{{8}})")


def new_token() -> str:
    """A new token: `cs_`, 256 random bits, and a checksum that detects a typing mistake."""
    secret = secrets.token_hex(_SECRET_BYTES)
    return f"{PREFIX}{secret}{_checksum(secret)}"


def is_complete(text: str) -> bool:
    """Whether a text has the form of a token and its checksum fits. It needs no secret and no database."""
    form = _FORM.fullmatch(text)
    return form is not None and form["checksum"] == _checksum(form["secret"])


def contains_token(text: str) -> bool:
    """Whether there is something like a token in a text, such as a URL."""
    return _FORM.search(text) is not None


def digest_of(token: str) -> bytes:
    """SHA-256 of a token.

    A slow hash protects texts that can be guessed; 256 random bits cannot. Tokens are found by their digest, so that no
    comparison of the secret itself takes a time that depends on it.
    """
    return sha256(token.encode()).digest()


def _checksum(secret: str) -> str:
    return f"{crc32(secret.encode()):08x}"
