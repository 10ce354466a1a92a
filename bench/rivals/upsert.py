"""Makes the table like the directory with psycopg: `executemany` upserts, and a delete of what is missing."""

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
    """Carry it out in one transaction on the database that the environment names."""
    # As UUIDs, so that PostgreSQL knows how many there are before it plans: texts, cast there, made it a nested loop.
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
