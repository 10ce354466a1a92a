"""The named SQL statements of sql/*.sql.

A statement starts with a line `-- name: its_name`; comment lines below it say what it does. Values are parameters.
`psycopg.sql` fills a name in braces with composed identifiers and expressions, never with text.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, LiteralString, TypeVar, cast

import psycopg
from psycopg import sql

from contactsync.store.errors import translation

if TYPE_CHECKING:
    from psycopg import Connection, Cursor
    from psycopg.rows import RowFactory

Row = TypeVar("Row")

_NAME = re.compile(r"^-- name: ([a-z_]+)\s*$", re.MULTILINE)


@cache
def _statements() -> dict[str, LiteralString]:
    statements: dict[str, LiteralString] = {}
    for file in files("contactsync.store").joinpath("sql").iterdir():
        parts = _NAME.split(file.read_text(encoding="utf-8"))
        for name, text in zip(parts[1::2], parts[2::2], strict=True):
            if name in statements:
                message = f"two SQL statements are named {name}"
                raise RuntimeError(message)
            # Package data is as trusted as the code, so it may be a LiteralString.
            statements[name] = cast("LiteralString", text.strip())
    return statements


def statement(name: str) -> LiteralString:
    """The text of a statement without names in braces."""
    return _statements()[name]


def composed(name: str, **parts: sql.Composable) -> sql.Composed:
    """A statement whose names in braces are filled with composed SQL."""
    return sql.SQL(_statements()[name]).format(**parts)


def execute(connection: Connection[Any], name: str, /, **values: Any) -> Cursor[tuple[Any, ...]]:
    """Execute a statement; the cursor has all its rows. Raises DatabaseError."""
    try:
        return connection.execute(statement(name), values)
    except psycopg.Error as error:
        raise translation(error) from None


def read_rows(connection: Connection[Any], row_factory: RowFactory[Row], name: str, /, **values: Any) -> list[Row]:
    """Execute a statement and return all its rows. Raises DatabaseError."""
    try:
        with connection.cursor(row_factory=row_factory) as cursor:
            return cursor.execute(statement(name), values).fetchall()
    except psycopg.Error as error:
        raise translation(error) from None
