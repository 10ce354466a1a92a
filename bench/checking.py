"""What was filled is compared with the directory, field by field: a fast run that is wrong would be no result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
"""What each column holds of people who have one value of each attribute."""


def count_equal(connection: Connection[Any], table: sql.Identifier, people: Iterable[Person]) -> int:
    """How many rows the table has, each of which is one of the people, in the order of their DNs, and the other way.

    Ends the benchmark when anything differs.
    """
    count = 0
    wanted = _wanted(people)
    with connection.transaction(), connection.cursor("compare") as cursor:
        cursor.execute(_query(table))
        for row in cursor:
            if row != (person := next(wanted, None)):
                raise SystemExit(f"{table.as_string()} holds {row} in place of {person}.")
            count += 1
    if missing := next(wanted, None):
        raise SystemExit(f"{table.as_string()} lacks {missing}.")
    return count


def _wanted(people: Iterable[Person]) -> Iterator[tuple[str, ...]]:
    for dn, attributes in people:
        yield (dn, *(attributes[name] for name in SOURCES.values()))


def _query(table: sql.Identifier) -> sql.Composed:
    columns = sql.SQL(", ").join(map(sql.SQL, ("source_dn", *SOURCES)))
    return sql.SQL('SELECT {} FROM {} ORDER BY source_dn COLLATE "C"').format(columns, table)
