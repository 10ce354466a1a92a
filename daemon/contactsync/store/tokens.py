"""The table of tokens, and the folders in the scope of one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row

from contactsync.store.statements import execute, read_rows

if TYPE_CHECKING:
    from psycopg import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """A row of `tokens`; `valid` if it is neither revoked nor expired."""

    token_id: int
    name: str
    digest: bytes
    rights: list[str]
    everything: bool
    folders: list[str]
    owners: list[str]
    created_at: datetime
    created_by: str
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None
    valid: bool


def add_token(connection: Connection[Any], *, name: str, digest: bytes, **columns: Any) -> int | None:
    """Store a token; its id, or None if the name belongs to another one that is not revoked. Raises DatabaseError."""
    row = execute(connection, "add_token", name=name, digest=digest, **columns).fetchone()
    return None if row is None else int(row[0])


def read_tokens(connection: Connection[Any], *, valid: bool = False) -> list[TokenRow]:
    """All tokens by id, or only those that are neither revoked nor expired. Raises DatabaseError."""
    return read_rows(connection, class_row(TokenRow), "tokens", valid=valid)


def set_revoked(connection: Connection[Any], name: str, *, by: str) -> bool:
    """Revoke the token with this name; False if there is none. Raises DatabaseError."""
    return execute(connection, "revoke_token", name=name, by=by).fetchone() is not None


def note_token_uses(connection: Connection[Any], token_ids: Iterable[int]) -> None:
    """Record that these tokens were used now. Raises DatabaseError."""
    execute(connection, "note_token_uses", token_ids=list(token_ids))


def folders_in_scope(
    connection: Connection[Any], folders: Iterable[tuple[str | None, str]], owners: Iterable[str]
) -> list[int]:
    """The ids of the folders with these owners and names, and of all folders of some owners. Raises DatabaseError."""
    pairs = list(folders)
    values = {"folder_owners": [owner for owner, _ in pairs], "folder_names": [name for _, name in pairs]}
    return [key for (key,) in execute(connection, "folders_in_scope", owners=list(owners), **values)]


def folders_of(connection: Connection[Any], kind: str, number: int) -> set[int]:
    """The folders of the run, definition or request with this id; empty if there is none. Raises DatabaseError."""
    return {key for (key,) in execute(connection, f"folders_of_{kind}", **{f"{kind}_id": number})}
