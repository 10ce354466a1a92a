"""Folders and their definitions: read, added, edited and removed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from sys import intern
from typing import Any, LiteralString

from psycopg import Connection, sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from contactsync.model import Auth, Definition, Tls
from contactsync.store.errors import translated
from contactsync.store.statements import composed, execute, read_rows, statement, text_of

EDITABLE = frozenset(
    {
        "name", "query", "bind_user", "password_sealed", "password_new", "password_ref", "base", "scope", "filter",
        "filter_only", "mapping", "schedule", "time_zone", "mode", "jitter_seconds", "auth", "tls", "tls_verify",
        "tls_minimum", "tls_ca_file", "tls_ca_pem", "tls_client_cert", "tls_client_key", "max_delete_count",
        "max_delete_share", "allow_empty", "deadline_seconds", "page_size", "enabled",
    }
)  # fmt: skip
"""The columns of sync_definitions that users may set."""
_SHARED = ("name", "query", "user", "password_ref", "scope", "filter", "schedule", "time_zone", "mode", "tls_ca_file")


def read_definitions(
    connection: Connection[Any], ids: Iterable[int] | None = None, *, name: str | None = None
) -> list[Definition]:
    """All definitions, those with the given ids that exist, or those that a name may mean. Raises DatabaseError."""
    if name is not None:
        rows = _read(connection, "definitions_by_name", name=name)
    elif ids is not None:
        rows = _read(connection, "definitions_by_id", ids=list(ids))
    else:
        rows = _read(connection, "every_definition")
    return [definition_of(row) for row in rows]


def lock_definitions(connection: Connection[Any]) -> None:
    """Let no other session edit a definition until the transaction ends. Raises DatabaseConflict, DatabaseError."""
    execute(connection, "lock_definitions")


def read_last_starts(connection: Connection[Any], ids: Iterable[int]) -> dict[int, tuple[datetime | None, int | None]]:
    """When the last run of each definition started, and the revision that it used, by id. Raises DatabaseError."""
    rows = execute(connection, "last_starts", ids=list(ids)).fetchall()
    return {key: (started_at, revision) for key, started_at, revision in rows}


def read_overview(connection: Connection[Any], ids: Iterable[int] | None = None) -> list[dict[str, Any]]:
    """Rows of the view `definition_overview`: all, or those of the given ids. Raises DatabaseError."""
    return read_rows(connection, dict_row, "overview", ids=None if ids is None else list(ids))


def read_head(connection: Connection[Any], definition_id: int) -> dict[str, Any] | None:
    """What names a definition, and its state; None if it does not exist. Raises DatabaseError."""
    return next(iter(read_rows(connection, dict_row, "definition_head", id=definition_id)), None)


def read_trust(connection: Connection[Any]) -> list[dict[str, Any]]:
    """The files and texts with certificates that definitions have, each with its first definitions. DatabaseError."""
    return read_rows(connection, dict_row, "trust_of_definitions")


def set_states(connection: Connection[Any], reasons: Mapping[int, str | None]) -> tuple[set[int], set[int]]:
    """Mark definitions as valid (reason None) or invalid. Raises DatabaseError.

    Returns the ids whose mark changed, and those whose mark could not be changed because another session has a lock.
    """
    rows = execute(connection, "set_states", ids=list(reasons), reasons=list(reasons.values())).fetchall()
    return {key for key, written in rows if written}, {key for key, written in rows if not written}


def read_locks(connection: Connection[Any], ids: Iterable[int]) -> dict[int, str]:
    """The reason of each locked definition among these, by id. Raises DatabaseError."""
    return dict(execute(connection, "locks", ids=list(ids)).fetchall())


def set_next_runs(connection: Connection[Any], times: Mapping[int, datetime | None]) -> set[int]:
    """Store the next run of the given definitions, for readers of the table. Raises DatabaseError.

    Returns the ids that have to wait because another session has locked their row.
    """
    return {key for (key,) in execute(connection, "set_next_runs", ids=list(times), times=list(times.values()))}


def add_folder(connection: Connection[Any], name: str, owner: str | None) -> int:
    """The id of the folder with this name and owner, which is added if it does not exist. Raises DatabaseError."""
    return add_folders(connection, [(name, owner)])[name, owner]


def add_folders(
    connection: Connection[Any], folders: Collection[tuple[str, str | None]]
) -> dict[tuple[str, str | None], int]:
    """The same for many folders, in one round trip."""
    names, owners = [name for name, _ in folders], [owner for _, owner in folders]
    rows = execute(connection, "add_folders", names=names, owners=owners)
    return {(name, owner): folder_id for folder_id, name, owner in rows}


def find_folder(connection: Connection[Any], name: str, owner: str | None) -> int | None:
    """The id of the folder with this name and owner; None if there is none. Raises DatabaseError."""
    row = execute(connection, "find_folder", name=name, owner=owner).fetchone()
    return int(row[0]) if row else None


def rename_folder(connection: Connection[Any], folder_id: int, name: str, owner: str | None) -> None:
    """Give a folder this name and owner. Raises DatabaseError."""
    execute(connection, "rename_folder", folder_id=folder_id, name=name, owner=owner)


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewFilters:
    """Which definitions: with these ids, in these folders, in this state, with `text` in label or query.

    `owner` is that of the folder; empty: of shared folders. None is no filter. `query_folders` are the folders whose
    queries `text` may find; None for all.
    """

    ids: list[int] | None = None
    folder_ids: list[int] | None = None
    owner: str | None = None
    state: str | None = None
    text: str | None = None
    query_folders: list[int] | None = None


def read_overview_page(
    connection: Connection[Any], filters: OverviewFilters, *, after: int, limit: int
) -> list[dict[str, Any]]:
    """Rows of `definition_overview` by id, from the first one above `after`. Raises DatabaseError."""
    return read_rows(connection, dict_row, "overview_page", after=after, limit=limit, **asdict(filters))


def add_definition(connection: Connection[Any], folder_id: int, values: Mapping[str, Any]) -> int:
    """Add a definition with the given columns (see EDITABLE) to a folder; returns its id. Raises DatabaseError."""
    (definition_id,) = add_definitions(connection, [(folder_id, values)])
    return definition_id


def add_definitions(connection: Connection[Any], rows: Sequence[tuple[int, Mapping[str, Any]]]) -> list[int]:
    """Add definitions, each with its folder and the same columns (see EDITABLE); their ids. Raises DatabaseError."""
    if not rows:
        return []
    values = [{**_adapted(columns), "folder_id": folder_id} for folder_id, columns in rows]
    with translated(), connection.cursor() as cursor:
        cursor.executemany(_add_definition(tuple(rows[0][1])), values, returning=True)  # psycopg uses its pipeline
        return [definition_id for _ in cursor.results() for (definition_id,) in cursor]


def edit_definition(connection: Connection[Any], definition: Definition, values: Mapping[str, Any]) -> None:
    """Set the given columns (see EDITABLE) of a definition. Raises DatabaseError."""
    values = _adapted(values)
    assignment = sql.SQL("{} = {}")
    assignments = sql.SQL(", ").join(assignment.format(sql.Identifier(name), sql.Placeholder(name)) for name in values)
    with translated():
        connection.execute(composed("edit_definition", assignments=assignments), {**values, **definition.key})


def accept_password(connection: Connection[Any], definition: Definition, sealed: bytes) -> int | None:
    """Store the sealed password in place of the new one; the next revision. Raises DatabaseError.

    None, and nothing is changed, if the definition was edited since it was read, or if another session has locked it.
    """
    row = execute(
        connection, "accept_password", **definition.key, revision=definition.revision, sealed=sealed
    ).fetchone()
    return None if row is None else row[0]


def keys_of_passwords(connection: Connection[Any]) -> dict[str, int]:
    """The number of stored passwords by the id of the key that has sealed them. Raises DatabaseError."""
    return dict(execute(connection, "keys_of_passwords"))


def key_published(connection: Connection[Any], key_id: bytes) -> bool:
    """Whether the table `public_key` has the key with this id. Raises DatabaseError."""
    return execute(connection, "key_published", key_id=key_id).fetchone() == (True,)


def publish_key(connection: Connection[Any], key_id: bytes, public_key: bytes, algorithm: str) -> None:
    """Store the key that programs seal new passwords with, in place of any other. Raises DatabaseError."""
    execute(connection, "publish_key", key_id=key_id, public_key=public_key, algorithm=algorithm)


def remove_definition(connection: Connection[Any], definition: Definition, *, keep_contacts: bool) -> None:
    """Remove a definition, and its folder if that is then empty. Raises DatabaseError.

    With `keep_contacts` the contacts of the definition become people's own; otherwise they are deleted.
    """
    with translated(), connection.transaction():
        if keep_contacts:
            connection.execute(statement("release_contacts"), definition.key)
        connection.execute(statement("remove_definition"), definition.key)
        connection.execute(statement("remove_empty_folder"), definition.key)


def _read(connection: Connection[Any], condition: str, **values: Any) -> list[dict[str, Any]]:
    with translated(), connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_definitions(condition), values).fetchall()


@cache
def _definitions(condition: str) -> LiteralString:
    parts = {"columns": sql.SQL(statement("definition_columns")), "condition": sql.SQL(statement(condition))}
    return text_of("definitions", **parts)


def definition_of(row: Mapping[str, Any]) -> Definition:
    """The definition in a row of `definition_columns`. Texts that most definitions share are kept once."""
    shared = {name: intern(row[name]) for name in _SHARED if row[name] is not None}
    return Definition(**{**row, **shared, "auth": Auth(row["auth"]), "tls": Tls(row["tls"])})


@cache
def _add_definition(columns: tuple[str, ...]) -> LiteralString:
    names, placeholders = map(sql.Identifier, columns), map(sql.Placeholder, columns)
    comma = sql.SQL(", ")
    return text_of("add_definition", columns=comma.join(names), values=comma.join(placeholders))


def _adapted(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as psycopg takes them. Raises ValueError for a column that is not editable."""
    if unknown := values.keys() - EDITABLE:
        message = f"not a column that may be edited: {', '.join(sorted(unknown))}"
        raise ValueError(message)
    return {name: Jsonb(value) if isinstance(value, dict) else value for name, value in values.items()}
