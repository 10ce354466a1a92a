"""Secrets of the settings, which are in files of their own."""

from __future__ import annotations

from pathlib import Path

from contactsync.errors import SecretError

_HINT = "Write the secret as its only line, and let the user of this program read it."


def read_secret(path: str, setting: str) -> str:
    """The one line of the file of a setting, such as `[metrics] password_file`; it may be a credential of systemd.

    Raises SecretError.
    """
    try:
        text = Path(path).read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError):
        raise SecretError(f"The file {path}, which is {setting}, cannot be read.", hint=_HINT) from None
    if not text or "\n" in text:
        raise SecretError(f"The file {path}, which is {setting}, must have one line.", hint=_HINT)
    return text
