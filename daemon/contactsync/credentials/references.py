"""References to bind passwords that are stored elsewhere: `env:NAME`, `file:/path` and `credential:NAME`."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from posixpath import normpath, samefile

import structlog

from contactsync.credentials.key_file import read_secret
from contactsync.credentials.sealing import require_usable
from contactsync.errors import SecretError

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_SETTING = re.compile(r"CONTACTSYNC_\w+__\w+", re.IGNORECASE)
"""The names of settings in the environment (contactsync.settings); one may hold the database's password."""


@dataclass(frozen=True, slots=True)
class References:
    """The references that definitions may have. Otherwise an editor could have any file sent to a server.

    `patterns` come from settings.toml; `*` matches any characters. `never` are files with other secrets.
    """

    patterns: tuple[str, ...]
    never: tuple[Path, ...] = ()

    def check(self, reference: str) -> None:
        """Raise SecretError unless the reference is allowed; does not look for the password."""
        kind, name = check_reference(reference)
        if _matches(kind, name, self.patterns) and not self._is_secret(kind, name):
            return
        raise SecretError(
            f"The settings do not allow the reference {reference} to a password.",
            hint="The daemon's administrator can add it to `references` of [secrets] in settings.toml.",
        )

    def _is_secret(self, kind: str, name: str) -> bool:
        if kind == "env":
            return _SETTING.fullmatch(name) is not None
        if kind == "credential":
            return name in {path.name for path in self.never}
        return any(_same_file(name, path) for path in self.never)


@lru_cache(maxsize=256)
def _matches(kind: str, name: str, patterns: tuple[str, ...]) -> bool:
    plain = f"{kind}:{normpath(name) if kind == 'file' else name}"
    return any(fnmatchcase(plain, pattern) for pattern in patterns)


def check_reference(reference: str) -> tuple[str, str]:
    """The kind and the name in a reference; SecretError if it has none of the known forms."""
    kind, colon, name = reference.partition(":")
    well_formed = {
        "env": name.replace("_", "a").isalnum() and name.isascii() and not name[:1].isdigit(),
        "file": name.startswith("/") and "\0" not in name,
        # A credential's name is a file name (systemd.exec(5)) and must not lead out of the directory.
        "credential": name not in {"", ".", ".."} and "/" not in name and "\0" not in name,
    }
    if not colon or not well_formed.get(kind):
        # Not quoted: it may be the password itself, in the wrong field.
        raise SecretError(
            "The reference to the password has none of the known forms.",
            hint="Write env:NAME, file:/absolute/path or credential:NAME.",
        )
    return kind, name


def resolve_reference(reference: str, environ: Mapping[str, str], allowed: References) -> str:
    """The password that a reference leads to, without a line end. Raises SecretError.

    A credential is a file that systemd's LoadCredential= has put into $CREDENTIALS_DIRECTORY.
    """
    allowed.check(reference)
    kind, name = check_reference(reference)
    if kind == "env":
        return _from_environment(name, environ)
    if kind == "file":
        return _from_file(Path(name), reference)
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        raise SecretError(
            f"There is no credential for {reference}: systemd has not started this process with credentials.",
            hint=f"Add LoadCredential={name}:/path to the service, or use file: instead.",
        )
    return _from_file(Path(directory, name), reference)


def _from_environment(name: str, environ: Mapping[str, str]) -> str:
    if name not in environ:
        raise SecretError(
            f"The password's environment variable {name} is not set.",
            hint="Set it where the daemon is started (systemd: Environment= or EnvironmentFile=).",
        )
    return require_usable(environ[name], f"The password of env:{name}")


def _from_file(path: Path, reference: str) -> str:
    try:
        if path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
            # Not refused: container platforms mount their secrets like this.
            _log.warning("secret.exposed", path=str(path))
        octets = read_secret(path)
    except OSError as error:
        raise SecretError(
            f"The password of {reference} cannot be read: {error.strerror}.",
            hint=f"Check {path} and its permissions.",
        ) from None
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        raise SecretError(f"The password of {reference} is not text in UTF-8.", hint=f"Check {path}.") from None
    password = text.removesuffix("\n").removesuffix("\r")
    if "\n" in password:
        # Another file, such as settings.toml or a private key, which must not be sent to a directory.
        raise SecretError(
            f"The file of {reference} has more than one line, so it is not a password.",
            hint="Name a file that holds the password and nothing else.",
        )
    return require_usable(password, f"The password of {reference}")


def _same_file(one: str, other: Path) -> bool:
    try:
        return samefile(one, other)
    except (OSError, ValueError):  # what cannot be looked at cannot be read either
        return False
