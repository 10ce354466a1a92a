"""The file of the key that seals bind passwords: 32 octets in base64, for its owner alone."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from contactsync.errors import OutputError, SecretError, UsageError

_KEY_BYTES = 32
_MOST_BYTES = 64 << 10


def read_secret(path: Path) -> bytes:
    """The content of a small regular file; SecretError for others, such as a pipe, which may block for ever."""
    if not path.is_file():
        raise SecretError(f"{path} is not a file.", hint="Name the file that holds the secret.")
    with path.open("rb") as file:
        octets = file.read(_MOST_BYTES + 1)
    if len(octets) > _MOST_BYTES:
        raise SecretError(f"{path} is too large for a secret.", hint=f"The limit is {_MOST_BYTES} bytes.")
    return octets


def read_key(path: Path) -> bytes:
    """The key in this file. Raises FileNotFoundError, SecretError for one that others may read, or that has no key."""
    try:
        loose = path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP)
        text = read_secret(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SecretError(
            f"The key file {path} cannot be read: {error.strerror}.",
            hint="Run this as the user that the daemon runs as, or check the file's owner.",
        ) from None
    if loose:
        raise SecretError(f"Other users may read or change the key file {path}.", hint=f"Run: chmod 600 {path}")
    return parse_key(text, str(path))


def parse_key(text: bytes, source: str) -> bytes:
    """The key in the content of a key file. Raises SecretError, which names the source and does not quote the text."""
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != _KEY_BYTES:
        raise SecretError(
            f"{source} has no key ({_KEY_BYTES} octets in base64).",
            hint="Restore it from a backup; a new key cannot open the passwords that the old key sealed.",
        )
    return key


def key_text(key: bytes) -> bytes:
    """The content of the file of a key."""
    return base64.b64encode(key) + b"\n"


def make_key(path: Path) -> None:
    """Create the file of a new key, unless it exists. Raises SecretError."""
    if path.is_symlink():
        # A new key could not open what the old key sealed.
        raise SecretError(
            f"The key file {path} is a link to {path.readlink()}, which does not exist.",
            hint="Mount or restore the file that it names. For a new key, remove the link.",
        )
    _write(path, secrets.token_bytes(_KEY_BYTES), replace=False)


def install_key(path: Path, key: bytes) -> None:
    """Write the file of a key, also in place of another one. Raises SecretError."""
    if path.is_symlink():
        raise SecretError(
            f"The key file {path} is a link to {path.readlink()}.",
            hint="Put the key there, or remove the link.",
        )
    _write(path, key, replace=True)


def copy_key(path: Path, key: bytes) -> None:
    """Write a key to a new file, mode 0600, to be carried elsewhere. Raises UsageError, OutputError."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 -- of a descriptor
            file.write(key_text(key))
            file.flush()
            os.fsync(descriptor)
    except FileExistsError:
        raise UsageError(f"{path} exists already.", hint="Give another name, or move the file away.") from None
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}.", hint="Choose another place.") from None


def _write(path: Path, key: bytes, *, replace: bool) -> None:
    """Put the whole content in place at once. Without `replace` a file that exists stays."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.") as file:  # mode 0600
            file.write(key_text(key))
            file.flush()
            _give_to_owner_of(path.parent, file.fileno())
            os.fsync(file.fileno())
            if replace:
                finished = path.with_name(f".{path.name}.imported")
                finished.unlink(missing_ok=True)
                finished.hardlink_to(file.name)
                finished.replace(path)
            else:
                with suppress(FileExistsError):  # another process was first; its key is used
                    path.hardlink_to(file.name)
        _sync_directory(path.parent)
    except OSError as error:
        raise SecretError(
            f"The key file {path} cannot be created: {error.strerror}.",
            hint="Check the directory, or set another file in settings.toml: [secrets] key_file.",
        ) from None


def _give_to_owner_of(directory: Path, file: int) -> None:
    """Let the daemon's user read a key that root creates in that user's directory (`sudo contactsync ...`)."""
    if os.geteuid() == 0:
        owner = directory.stat()
        os.fchown(file, owner.st_uid, owner.st_gid)


def _sync_directory(directory: Path) -> None:
    """Write the directory entry to the disk before the first password is sealed."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
