"""Fills the table with psycopg: upserts by `executemany`, and a delete of the other rows."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

COLUMNS = (
    "source_dn", "display_name", "given_name", "family_name", "title", "department", "organization", "street", "city",
    "region", "postal_code", "emails", "work_phones", "mobile_phones",
)  # fmt: skip
_UPSERT = """
INSERT INTO people AS p (source_key, {columns}) VALUES (%s, {values})
ON CONFLICT (source_key) DO UPDATE SET ({columns}) = ROW ({excluded})
WHERE ({ours}) IS DISTINCT FROM ({excluded})
"""
_DELETE = """
DELETE FROM people AS p
WHERE NOT EXISTS (SELECT FROM unnest(%s) AS seen (source_key) WHERE seen.source_key = p.source_key)
"""

Row = Sequence[Any]
"""The key, and then the values of COLUMNS."""


def fill(pages: Iterable[list[Row]]) -> None:
    """Fill it in one transaction, in the database that the environment names."""
    # As UUIDs, whose number PostgreSQL knows when it plans: with a cast of texts it planned a nested loop.
    seen: list[UUID] = []
    with psycopg.connect(os.environ["DATABASE"]) as connection, connection.cursor() as cursor:
        upsert = _upsert()
        for page in pages:
            cursor.executemany(upsert, page)
            seen += [UUID(row[0]) for row in page]
        cursor.execute(_DELETE, [seen])


def _upsert() -> sql.Composed:
    return sql.SQL(_UPSERT).format(
        columns=_listed(),
        values=sql.SQL(", ").join([sql.Placeholder()] * len(COLUMNS)),
        ours=_listed("p"),
        excluded=_listed("excluded"),
    )


def _listed(*table: str) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(*table, column) for column in COLUMNS)
