"""Recognises contacts whose entries have another identity than before, so that they keep their ids.

A directory that was built anew has other entryUUIDs, and an edit of `identity` makes other keys. Contacts that would be
deleted are matched with entries that would be inserted, by keys that are unique on both sides.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, LiteralString

from psycopg import Connection, Error, ServerCursor, sql

from contactsync.errors import QueryError
from contactsync.store.plan import copy_format
from contactsync.store.plan.columns import statement_of
from contactsync.store.plan.plan import read_plan
from contactsync.store.statements import composed, statement

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from contactsync.model import Definition, Plan
    from contactsync.store.plan.columns import Columns

KINDS = ("dn", "employee_number", "mail")
"""The keys in the order in which they are tried."""
_DN = KINDS[0]
_BATCH_ROWS = 5_000
_BLANKS: dict[str, LiteralString] = {
    "employee_number": "NULL::text",
    "display_name": "NULL::text",
    "emails": "'{}'::text[]",
}


def recognise(
    connection: Connection[Any], definition: Definition, columns: Columns, comparison_key: Callable[[str], str]
) -> Plan:
    """Turn the insert and the delete of one person into an update of the key, in the transaction of the plan.

    `comparison_key` returns one text for all spellings of a DN, or raises QueryError. Raises psycopg.Error.
    """
    staged = {
        name: sql.Identifier("s", name) if name in columns.fields else sql.SQL(blank) for name, blank in _BLANKS.items()
    }
    connection.execute(statement("create_left_over"))
    connection.execute(composed("find_left_over", **staged), definition.key)
    _add_dns(connection, comparison_key)
    connection.execute(statement("find_match_keys"))
    connection.execute(statement("analyze_left_over"))
    connection.execute(statement("no_nested_loops"))
    for kind in KINDS:
        connection.execute(statement("recognise"), {"kind": kind})
    connection.execute(statement("nested_loops"))
    connection.execute(statement("drop_recognised_inserts"))
    connection.execute(statement("drop_recognised_deletes"))
    connection.execute(statement_of("plan_recognised", columns), definition.key)
    matches = connection.execute(statement("count_recognised")).fetchall()
    return replace(read_plan(connection), recognised=tuple(matches))


def _add_dns(connection: Connection[Any], comparison_key: Callable[[str], str]) -> None:
    """Store the digest of each left-over DN, in batches, so that memory does not grow with the number of contacts."""
    with _server_cursor(connection, "left_over") as rows:
        rows.execute(statement("left_over_dns"))
        while batch := rows.fetchmany(_BATCH_ROWS):
            block = _dn_block(batch, comparison_key)
            if block:
                with connection.cursor() as cursor, cursor.copy(statement("copy_match_keys")) as copy:
                    copy.write(block)


@contextmanager
def _server_cursor(connection: Connection[Any], name: str) -> Iterator[ServerCursor[Any]]:
    """Open a cursor whose rows stay in PostgreSQL. psycopg leaves it open if the connection breaks while it closes."""
    cursor = connection.cursor(name=name)
    try:
        yield cursor
    finally:
        try:
            cursor.close()
        except Error:
            cursor.close()
            raise


def _dn_block(rows: Iterable[tuple[int | None, str | None, str]], comparison_key: Callable[[str], str]) -> bytes:
    ids, keys, digests = [], [], []
    for contact_id, source_key, dn in rows:
        try:
            value = comparison_key(dn)
        except QueryError:
            continue
        ids.append(copy_format.NULL if contact_id is None else str(contact_id))
        keys.append(copy_format.NULL if source_key is None else source_key)
        digests.append(blake2b(value.encode(), digest_size=16).hexdigest())
    return copy_format.copy_block([ids, keys, [_DN] * len(ids), digests])
