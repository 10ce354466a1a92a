"""Compares the contacts with the directory, field by field: the time of a wrong run is no result."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from psycopg import Connection, sql

Person = tuple[str, dict[str, str]]
"""DN and attributes."""

CONTACTS = sql.Identifier("contactsync", "contacts")

SOURCES = {
    "display_name": "cn",
    "given_name": "givenName",
    "family_name": "sn",
    "title": "title",
    "department": "departmentNumber",
    "organization": "o",
    "street": "street",
    "city": "l",
    "region": "st",
    "postal_code": "postalCode",
    "emails[1]": "mail",
    "work_phones[1]": "telephoneNumber",
    "mobile_phones[1]": "mobile",
}
"""The attribute that each column contains, for people with one value of each attribute."""


def count_equal(connection: Connection[Any], table: sql.Identifier, people: Iterable[Person]) -> int:
    """The number of rows, if they are exactly these people, sorted by DN; ends the benchmark if anything differs."""
    count = 0
    wanted = ((dn, *(attributes[name] for name in SOURCES.values())) for dn, attributes in people)
    with connection.transaction(), connection.cursor("compare") as cursor:
        cursor.execute(_query(table))
        for row in cursor:
            if row != (person := next(wanted, None)):
                raise SystemExit(f"{table.as_string()} contains {row} in place of {person}.")
            count += 1
    if missing := next(wanted, None):
        raise SystemExit(f"{table.as_string()} lacks {missing}.")
    return count


def _query(table: sql.Identifier) -> sql.Composed:
    columns = sql.SQL(", ").join(map(sql.SQL, ("source_dn", *SOURCES)))
    return sql.SQL('SELECT {} FROM {} ORDER BY source_dn COLLATE "C"').format(columns, table)
