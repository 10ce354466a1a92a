"""The key that seals bind passwords, carried from one machine to another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from contactsync.credentials.key_file import install_key, read_key
from contactsync.credentials.sealing import SecretBox
from contactsync.errors import SecretError
from contactsync.fleet.identity import DEAD_SECONDS
from contactsync.store.definitions import keys_of_passwords
from contactsync.store.statements import execute
from contactsync.text import counted

if TYPE_CHECKING:
    from psycopg import Connection


class KeyInUse(BaseModel):
    """The key of this machine. Its id reveals nothing about it."""

    file: str
    key_id: str = Field(description="Hexadecimal; also in the database, in each sealed password.")


class ImportedKey(KeyInUse):
    """A key that was imported, and what it opens."""

    state: Literal["installed", "replaced", "present"] = Field(description="present: the file had the same key.")
    passwords: int | None = Field(description="Sealed passwords in the database; null if it could not be read.")
    passwords_fitting: int | None = Field(description="Those that the key opens.")
    database_problem: str | None = Field(description="Why the database could not be read.")


class _Uses:
    """The keys that the database knows."""

    def __init__(self, connection: Connection[Any]) -> None:
        self.passwords = keys_of_passwords(connection)
        rows = execute(connection, "living_keys", dead_seconds=DEAD_SECONDS)
        self.nodes: dict[str, str] = dict(rows.fetchall())


def key_in_use(path: Path) -> tuple[KeyInUse, bytes]:
    """The key in this file, and its octets. Raises SecretError, also if there is no file: none is created."""
    key = _present(path)
    if key is None:
        raise SecretError(
            f"There is no key file {path} here.",
            hint="The first daemon or the first stored password creates it; --settings names another settings.toml.",
        )
    return KeyInUse(file=str(path), key_id=_id(key)), key


def import_key(
    path: Path, key: bytes, connection: Connection[Any] | None, database_problem: str | None = None
) -> ImportedKey:
    """Install a key in this file, with its owner and mode. `connection` is None if the database could not be read.

    Raises SecretError for a key that opens none of the stored passwords or differs from that of living nodes. The same
    for a file with another key that is or may be needed. Then nothing is changed.
    """
    present, new = _present(path), _id(key)
    uses = _Uses(connection) if connection is not None else None
    if uses:
        _require_fit(uses, new)
    if present is not None and present != key:
        _require_needless(path, _id(present), new, uses)
    if present != key:
        install_key(path, key)
    return ImportedKey(
        file=str(path),
        key_id=new,
        state="present" if present == key else "replaced" if present else "installed",
        passwords=sum(uses.passwords.values()) if uses else None,
        passwords_fitting=uses.passwords.get(new, 0) if uses else None,
        database_problem=database_problem,
    )


def _require_fit(uses: _Uses, new: str) -> None:
    """Raise SecretError for a key that is not the one of this database."""
    if uses.passwords and new not in uses.passwords:
        number = sum(uses.passwords.values())
        raise SecretError(
            f"The key to import (id {new}) opens none of the {counted(number, 'stored password')}, which were sealed"
            f" with {', '.join(sorted(uses.passwords))}. Nothing was changed.",
            hint="Export the key on the machine whose daemon uses this database, and check [database] url here.",
        )
    others = sorted(name for name, key_id in uses.nodes.items() if key_id != new)
    if others:
        raise SecretError(
            f"The key to import (id {new}) is not that of the living nodes {', '.join(others)}. Nothing was changed.",
            hint="Export the key on one of these nodes.",
        )


def _require_needless(path: Path, present: str, new: str, uses: _Uses | None) -> None:
    """Raise SecretError unless no stored password needs the key that is there."""
    if uses is None:
        raise SecretError(
            f"{path} has another key (id {present}, to import {new}), and the database could not be read to see whether"
            " passwords need it. Nothing was changed.",
            hint="Make the database reachable and try again, or move the file away and keep it.",
        )
    if number := uses.passwords.get(present):
        raise SecretError(
            f"{path} has another key (id {present}, to import {new}), which opens {counted(number, 'stored password')}."
            " Nothing was changed.",
            hint="If these passwords are to be set again, move the file away and keep it; then import.",
        )


def _present(path: Path) -> bytes | None:
    try:
        return read_key(path)
    except FileNotFoundError:
        return None


def _id(key: bytes) -> str:
    return SecretBox(key).key_id.hex()
