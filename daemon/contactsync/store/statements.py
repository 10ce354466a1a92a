"""The named SQL statements of sql/*.sql.

A statement starts with a line `-- name: its_name`; comment lines below it say what it does. Values are parameters.
`psycopg.sql` fills a name in braces with composed identifiers and expressions, never with text. A line that ends with
`-- if NAME` is left out if the value of that name is None or False, so that PostgreSQL plans for the other conditions.
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
    from collections.abc import Mapping

    from psycopg import Connection, Cursor
    from psycopg.rows import RowFactory

Row = TypeVar("Row")

_NAME = re.compile(r"^-- name: ([a-z_]+)\s*$", re.MULTILINE)
_CONDITION = re.compile(r" -- if ([a-z_]+)$")


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


@cache
def _with_conditions(name: str, given: frozenset[str]) -> LiteralString:
    lines = [(line, _CONDITION.search(line)) for line in _statements()[name].splitlines()]
    return "\n".join(line for line, condition in lines if condition is None or condition[1] in given)


def _chosen(name: str, values: Mapping[str, Any]) -> LiteralString:
    return _with_conditions(
        name, frozenset(key for key, value in values.items() if value is not None and value is not False)
    )


def composed(name: str, **parts: sql.Composable) -> sql.Composed:
    """A statement whose names in braces are filled with composed SQL."""
    return sql.SQL(_statements()[name]).format(**parts)


def text_of(name: str, **parts: sql.Composable) -> LiteralString:
    """The same as text, which psycopg need not put together for each execution."""
    return composed(name, **parts).as_string()


def execute(connection: Connection[Any], name: str, /, **values: Any) -> Cursor[tuple[Any, ...]]:
    """Execute a statement; the cursor has all its rows. Raises DatabaseError."""
    try:
        return connection.execute(_chosen(name, values), values)
    except psycopg.Error as error:
        raise translation(error) from None


def read_rows(connection: Connection[Any], row_factory: RowFactory[Row], name: str, /, **values: Any) -> list[Row]:
    """Execute a statement and return all its rows. Raises DatabaseError."""
    try:
        with connection.cursor(row_factory=row_factory) as cursor:
            return cursor.execute(_chosen(name, values), values).fetchall()
    except psycopg.Error as error:
        raise translation(error) from None
