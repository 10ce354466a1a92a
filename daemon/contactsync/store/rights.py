"""Rights of people at the web console, and who typed a password there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row

from contactsync.store.statements import execute, read_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from psycopg import Connection


@dataclass(frozen=True, slots=True)
class RightRow:
    """A right of a person or group in a folder: view or edit."""

    who: str
    is_group: bool
    right: str


def roles_of_person(
    connection: Connection[Any], name: str, groups: Collection[str], folder_ids: Collection[int] | None = None
) -> dict[int, int]:
    """The folders that a person may see, all or among some, with the number of the role. Raises DatabaseError."""
    ids = None if folder_ids is None else list(folder_ids)
    rows = execute(connection, "roles_of_person", name=name, groups=list(groups), folder_ids=ids)
    return dict(rows.fetchall())


def folder_named(connection: Connection[Any], folder_id: int) -> tuple[str, str | None] | None:
    """Name and owner of a folder; None if it does not exist. Raises DatabaseError."""
    row = execute(connection, "folder_named", folder_id=folder_id).fetchone()
    return None if row is None else (row[0], row[1])


def rights_of_folder(connection: Connection[Any], folder_id: int) -> list[RightRow]:
    """The rights in a folder, people first, by name. Raises DatabaseError."""
    return read_rows(connection, class_row(RightRow), "rights_of_folder", folder_id=folder_id)


def lock_rights(connection: Connection[Any], folder_id: int) -> None:
    """Wait for other edits of the rights in a folder, until the transaction ends. Raises DatabaseError."""
    execute(connection, "lock_folder", folder_id=folder_id)


def replace_rights(connection: Connection[Any], folder_id: int, rights: Sequence[RightRow]) -> None:
    """Replace the rights in a folder, after `lock_rights`. Raises DatabaseError."""
    execute(connection, "clear_rights", folder_id=folder_id)
    columns = {"who": [row.who for row in rights], "is_group": [row.is_group for row in rights]}
    execute(connection, "add_rights", folder_id=folder_id, **columns, allowed=[row.right for row in rights])


def groups_with_rights(connection: Connection[Any], folder_ids: Collection[int] | None = None) -> list[str]:
    """The groups that have a right in any folder, or in one of some. Raises DatabaseError."""
    ids = None if folder_ids is None else list(folder_ids)
    return [row[0] for row in execute(connection, "groups_with_rights", folder_ids=ids)]


def password_by(connection: Connection[Any], definition_id: int) -> str | None:
    """The person who typed the stored password at the web console. Raises DatabaseError."""
    row = execute(connection, "password_by", definition_id=definition_id).fetchone()
    return None if row is None else row[0]
