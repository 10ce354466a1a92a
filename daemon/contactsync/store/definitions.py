"""Folders and their sync definitions: read by the daemon, edited by the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from contactsync.model import Auth, Definition, Tls
from contactsync.store.errors import translated
from contactsync.store.statements import composed, statement

if TYPE_CHECKING:
    from psycopg import Connection

EDITABLE = frozenset(
    {
        "name", "query", "bind_user", "password_sealed", "password_ref", "base", "scope", "filter", "mapping",
        "schedule", "time_zone", "mode", "jitter_seconds", "auth", "tls", "tls_verify", "tls_minimum", "tls_ca_file",
        "tls_ca_pem", "tls_client_cert", "tls_client_key", "max_delete_count", "max_delete_share", "allow_empty",
        "deadline_seconds", "page_size", "enabled",
    }
)  # fmt: skip
"""The columns of sync_definitions that people may set."""


def read_definitions(
    connection: Connection[Any], ids: Iterable[int] | None = None, *, name: str | None = None
) -> list[Definition]:
    """All definitions, those with the given ids that exist, or those that a name may mean. Raises DatabaseError."""
    values = {"ids": None if ids is None else list(ids), "name": name}
    with translated(), connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(statement("definitions"), values).fetchall()
    return [Definition(**{**row, "auth": Auth(row["auth"]), "tls": Tls(row["tls"])}) for row in rows]


def read_revisions(connection: Connection[Any]) -> dict[int, int]:
    """The revision of every definition by its id; cheap enough to look at all of them often."""
    with translated():
        return dict(connection.execute(statement("revisions")).fetchall())


def read_last_starts(connection: Connection[Any], ids: Iterable[int]) -> dict[int, datetime]:
    """When each of these definitions last started, by id; left out is one that never ran or was cut short."""
    with translated():
        return dict(connection.execute(statement("last_starts"), {"ids": list(ids)}).fetchall())


def read_overview(connection: Connection[Any], ids: Iterable[int] | None = None) -> list[dict[str, Any]]:
    """Rows of the view `definition_overview`, of all definitions or of those with the given ids; without passwords."""
    with translated(), connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement("overview"), {"ids": None if ids is None else list(ids)}).fetchall()


def set_states(connection: Connection[Any], reasons: Mapping[int, str | None]) -> set[int]:
    """Mark definitions valid (reason None) or invalid; returns the ids of those for which that is news."""
    values = {"ids": list(reasons), "reasons": list(reasons.values())}
    with translated():
        return {definition_id for (definition_id,) in connection.execute(statement("set_states"), values)}


def read_locks(connection: Connection[Any], ids: Iterable[int]) -> dict[int, str]:
    """Why those of these definitions are locked that are: the directory refused the user or the password."""
    with translated():
        return dict(connection.execute(statement("locks"), {"ids": list(ids)}).fetchall())


def set_next_runs(connection: Connection[Any], times: Mapping[int, datetime | None]) -> None:
    """Note when the given definitions run next, for those who look at the table."""
    with translated():
        connection.execute(statement("set_next_runs"), {"ids": list(times), "times": list(times.values())})


def add_folder(connection: Connection[Any], name: str, owner: str | None) -> int:
    """The id of the folder with this name and owner, made if it does not exist."""
    key = {"name": name, "owner": owner}
    with translated():
        row = connection.execute(statement("find_folder"), key).fetchone()
        row = row or connection.execute(statement("add_folder"), key).fetchone()
    return int(row[0]) if row else 0


def add_definition(connection: Connection[Any], folder_id: int, values: Mapping[str, Any]) -> int:
    """Add a definition with the given columns (see EDITABLE) to a folder; returns its id."""
    names = _checked(values)
    query = composed("add_definition", columns=_identifiers(names), values=_placeholders(names))
    with translated():
        row = connection.execute(query, {**_adapted(values), "folder_id": folder_id}).fetchone()
    return int(row[0]) if row else 0


def edit_definition(connection: Connection[Any], definition: Definition, values: Mapping[str, Any]) -> None:
    """Set the given columns (see EDITABLE) of a definition."""
    names = _checked(values)
    assignments = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in names
    )
    with translated():
        connection.execute(
            composed("edit_definition", assignments=assignments), {**_adapted(values), **_key(definition)}
        )


def remove_definition(connection: Connection[Any], definition: Definition, *, keep_contacts: bool) -> None:
    """Remove a definition with the contacts it brought (or leave those as people's own), and its folder when empty."""
    key = _key(definition)
    with translated(), connection.transaction():
        if keep_contacts:
            connection.execute(statement("release_contacts"), key)
        connection.execute(statement("remove_definition"), key)
        connection.execute(statement("remove_empty_folder"), key)


def _key(definition: Definition) -> dict[str, int]:
    return {"folder_id": definition.folder_id, "definition_id": definition.definition_id}


def _checked(values: Mapping[str, Any]) -> list[str]:
    unknown = values.keys() - EDITABLE
    if unknown:
        message = f"not a column that may be edited: {', '.join(sorted(unknown))}"
        raise ValueError(message)
    return list(values)


def _adapted(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: Jsonb(value) if isinstance(value, dict) else value for name, value in values.items()}


def _identifiers(names: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _placeholders(names: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Placeholder, names))
