"""Secrets of the console's settings, which are in files of their own."""

from __future__ import annotations

from pathlib import Path

from contactsync.errors import SecretError


def read_secret(path: str, setting: str) -> str:
    """The one line of a file of `[sign_in]`, which may be a credential of systemd. Raises SecretError."""
    try:
        text = Path(path).read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError):
        raise SecretError(f"The file {path}, which is [sign_in] {setting}, cannot be read.") from None
    if not text or "\n" in text:
        raise SecretError(f"The file {path}, which is [sign_in] {setting}, must have one line.")
    return text
