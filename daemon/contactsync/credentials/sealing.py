"""Bind passwords: sealed for the table with a key that is not in the database, or fetched by a reference.

A sealed password is: version (1 octet), key id (4), nonce (12), ciphertext and tag of AES-256-GCM (NIST SP 800-38D).
Version, key id, folder, definition and destination are the associated data: a value that was copied to another row does
not open there, nor one whose row was edited to have the password sent elsewhere (see contactsync.credentials.bind).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from posixpath import normpath
from typing import TYPE_CHECKING

import structlog

from contactsync.errors import SecretError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_VERSION = b"\x02"
_KEY_BYTES = 32
_KEY_ID_BYTES = 4
_NONCE_BYTES = 12
_HEADER_BYTES = len(_VERSION) + _KEY_ID_BYTES
_LEAST_BYTES = _HEADER_BYTES + _NONCE_BYTES + 16
_MOST_BYTES = 64 << 10

_SET_AGAIN = "Set the password of this definition again."
_SETTING = re.compile(r"CONTACTSYNC_\w+__\w+", re.IGNORECASE)
"""The names of settings in the environment (contactsync.settings), of which one may hold the database's password."""
_REFERENCE_FORMS = "Write env:NAME, file:/absolute/path or credential:NAME."


class SecretBox:
    """Seals and opens passwords with the key in one file."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._key_id = hashlib.blake2b(key, digest_size=_KEY_ID_BYTES, person=b"contactsync-key").digest()

    def __repr__(self) -> str:
        return f"SecretBox(key_id={self._key_id.hex()})"

    @classmethod
    def from_file(cls, path: Path) -> SecretBox:
        """Use the key in this file, which is made when it is not there; raise SecretError when it cannot be used."""
        try:
            return cls(_read_key(path))
        except FileNotFoundError:
            _make_key(path)
            return cls(_read_key(path))

    @cached_property
    def _cipher(self) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 -- eight megabytes, which a
        # daemon can do without whose definitions have references to passwords

        return AESGCM(self._key)

    def seal(self, password: str, *, folder_id: int, definition_id: int, destination: bytes) -> bytes:
        """The password as octets that only this key opens, and only for this definition and where it goes now."""
        header = _VERSION + self._key_id
        nonce = os.urandom(_NONCE_BYTES)
        context = _context(header, folder_id, definition_id, destination)
        return header + nonce + self._cipher.encrypt(nonce, _usable(password, "The password").encode(), context)

    def open(self, sealed: bytes, *, folder_id: int, definition_id: int, destination: bytes) -> str:
        """The password again; SecretError says whether it was sealed with another key, or for something else."""
        header, body = sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES:]
        if len(sealed) < _LEAST_BYTES or header[:1] != _VERSION:
            raise SecretError("The stored password is not one that contactsync sealed.", hint=_SET_AGAIN)
        if header[1:] != self._key_id:
            raise SecretError(
                f"The stored password was sealed with another key (id {header[1:].hex()}, ours {self._key_id.hex()}).",
                hint="Restore the key file of that time, or set the password again.",
            )
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 -- a part of the same

        try:
            context = _context(header, folder_id, definition_id, destination)
            return self._cipher.decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], context).decode()
        except InvalidTag:
            raise SecretError(
                "The stored password was given for other servers, another user or other TLS settings than those of now,"
                " or for another definition; it is not sent.",
                hint=f"Undo that edit if it is not yours. {_SET_AGAIN}",
            ) from None


@dataclass(frozen=True, slots=True)
class References:
    """Which references to passwords definitions may hold: who can write one could else have any file sent anywhere.

    `patterns` are those of settings.toml, with `*` for any characters; `never` are files that hold other secrets.
    """

    patterns: tuple[str, ...] = ("file:/etc/contactsync/*", "credential:*", "env:LDAP_*")
    never: tuple[Path, ...] = ()

    def check(self, reference: str) -> None:
        """Raise SecretError unless the reference is one of those; whether there is a password is not looked at."""
        kind, name = _split_reference(reference)
        plain = f"{kind}:{normpath(name)}" if kind == "file" else reference
        if any(fnmatchcase(plain, pattern) for pattern in self.patterns) and not self._is_ours(kind, name):
            return
        raise SecretError(
            f"The settings do not allow the reference {reference} to a password.",
            hint="Those who run the daemon can add it to `references` of [secrets] in settings.toml.",
        )

    def _is_ours(self, kind: str, name: str) -> bool:
        if kind == "env":
            return _SETTING.fullmatch(name) is not None
        if kind == "credential":
            return name in {path.name for path in self.never}
        return any(_same_file(Path(name), path) for path in self.never)


def check_reference(reference: str) -> None:
    """Raise SecretError unless this is written like a reference; whether there is a password is not looked at."""
    _split_reference(reference)


def resolve_reference(reference: str, environ: Mapping[str, str], allowed: References) -> str:
    """The password that `env:NAME`, `file:/path` or `credential:NAME` stands for, without one line end after it.

    Credentials are those that systemd's LoadCredential= put into $CREDENTIALS_DIRECTORY. Raises SecretError.
    """
    allowed.check(reference)
    kind, name = _split_reference(reference)
    if kind == "env":
        return _from_environment(name, environ)
    if kind == "file":
        return _from_file(Path(name), reference)
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        raise SecretError(
            f"There is no credential for {reference}, because this was not started by systemd with credentials.",
            hint=f"Add LoadCredential={name}:/path to the service, or use file: instead.",
        )
    return _from_file(Path(directory, name), reference)


def _split_reference(reference: str) -> tuple[str, str]:
    kind, colon, name = reference.partition(":")
    well_formed = {
        "env": name.replace("_", "a").isalnum() and name.isascii() and not name[:1].isdigit(),
        "file": name.startswith("/") and "\0" not in name,
        # A credential's name is a file name (systemd.exec(5)): it must not lead out of the directory.
        "credential": name not in {"", ".", ".."} and "/" not in name and "\0" not in name,
    }
    if not colon or not well_formed.get(kind):
        # Not quoted: it may be the password itself, put into the wrong field.
        raise SecretError("The reference to the password is in none of the known forms.", hint=_REFERENCE_FORMS)
    return kind, name


def _from_environment(name: str, environ: Mapping[str, str]) -> str:
    if name not in environ:
        raise SecretError(
            f"The password's environment variable {name} is not set.",
            hint="Set it where the daemon is started (systemd: Environment= or EnvironmentFile=).",
        )
    return _usable(environ[name], f"The password of env:{name}")


def _from_file(path: Path, reference: str) -> str:
    try:
        if path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
            # Not refused: container platforms mount their secrets like this.
            _log.warning("secret.exposed", path=str(path))
        octets = _read(path)
    except OSError as error:
        raise SecretError(
            f"The password of {reference} cannot be read: {error.strerror}.",
            hint=f"Check {path} and who may read it.",
        ) from None
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        raise SecretError(f"The password of {reference} is not text in UTF-8.", hint=f"Check {path}.") from None
    password = text.removesuffix("\n").removesuffix("\r")
    if "\n" in password:
        # Some other file, such as settings.toml or a private key, that is not to be sent to a directory.
        raise SecretError(
            f"The file of {reference} has more than one line, so it is not that of a password.",
            hint="Name a file that holds the password and nothing else.",
        )
    return _usable(password, f"The password of {reference}")


def _usable(password: str, what: str) -> str:
    if not password:
        # An empty password would make the bind an unauthenticated one, which succeeds (RFC 4513, section 5.1.2).
        raise SecretError(f"{what} is empty.", hint="Give the password that belongs to the user.")
    try:
        password.encode()
    except UnicodeEncodeError:  # it holds the password
        raise SecretError(f"{what} is not text in UTF-8.", hint="LDAP takes passwords in UTF-8.") from None
    return password


def _read(path: Path) -> bytes:
    """What is in a small regular file; anything else (a pipe, say) could keep us waiting for ever."""
    if not path.is_file():
        raise SecretError(f"{path} is not a file.", hint="Name the file that holds the secret.")
    with path.open("rb") as file:
        octets = file.read(_MOST_BYTES + 1)
    if len(octets) > _MOST_BYTES:
        raise SecretError(f"{path} is too large for a secret.", hint=f"It may hold {_MOST_BYTES} octets.")
    return octets


def _same_file(one: Path, other: Path) -> bool:
    """By whatever name; a file that cannot be looked at cannot be read either."""
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False


def _context(header: bytes, folder_id: int, definition_id: int, destination: bytes) -> bytes:
    return header + folder_id.to_bytes(8, "big") + definition_id.to_bytes(8, "big") + destination


def _read_key(path: Path) -> bytes:
    try:
        loose = path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP)
        text = _read(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SecretError(
            f"The key file {path} cannot be read: {error.strerror}.",
            hint="Run this as the user that the daemon runs as, or check the file's owner.",
        ) from None
    if loose:
        raise SecretError(f"Others may read or change the key file {path}.", hint=f"Close it: chmod 600 {path}")
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != _KEY_BYTES:
        raise SecretError(
            f"{path} does not hold a key ({_KEY_BYTES} octets in base64).",
            hint="Restore it from its copy; a new key cannot open the passwords sealed with the old one.",
        )
    return key


def _make_key(path: Path) -> None:
    """Write a new key that appears under its name complete and never replaces one that is there already."""
    text = base64.b64encode(secrets.token_bytes(_KEY_BYTES)) + b"\n"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.") as file:  # mode 0600
            file.write(text)
            file.flush()
            _give_to_owner_of(path.parent, file.fileno())
            os.fsync(file.fileno())
            with suppress(FileExistsError):  # another process was first, and its key holds
                path.hardlink_to(file.name)
        _sync_directory(path.parent)
    except OSError as error:
        raise SecretError(
            f"The key file {path} cannot be made: {error.strerror}.",
            hint="Check the directory, or choose another place in settings.toml: [secrets] key_file.",
        ) from None


def _give_to_owner_of(directory: Path, file: int) -> None:
    """Let the daemon's user read a key that root makes in that user's directory, by `sudo contactsync ...`."""
    if os.geteuid() == 0:
        owner = directory.stat()
        os.fchown(file, owner.st_uid, owner.st_gid)


def _sync_directory(directory: Path) -> None:
    """Have the name on the disk as well, before any password is sealed with what it names."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
