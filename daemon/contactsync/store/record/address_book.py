"""Contacts as people look at them: pages by name, one contact, its photo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row

from contactsync.store.plan.plan import INTERNAL
from contactsync.store.statements import execute, read_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import Connection

_NEAR = 4000
"""So many contacts by name often have a page of what many match, at a tenth of the cost of all 100,000 of a folder."""


def read_contacts(
    connection: Connection[Any], folder_id: int, *, patterns: Sequence[str], after: tuple[str, int], limit: int
) -> list[dict[str, Any]]:
    """Contacts of a folder by name and id, from the first one above `after`. Raises DatabaseError.

    Each of the regular expressions `patterns` matches the name, an email, a phone or the department.
    """
    name, contact_id = after
    values: dict[str, Any] = {"folder_id": folder_id, "name": name, "contact_id": contact_id, "limit": limit}
    if not patterns:
        return read_rows(connection, dict_row, "contacts_page", **values)
    values["patterns"] = list(patterns)
    page = read_rows(connection, dict_row, "contacts_search_near", **values, near=_NEAR)
    return page if len(page) == limit else read_rows(connection, dict_row, "contacts_search", **values)


def read_contacts_anywhere(
    connection: Connection[Any],
    folder_ids: list[int] | None,
    *,
    mail: str | None,
    dn: str | None,
    number: str | None,
    after: int,
    limit: int,
) -> list[dict[str, Any]]:
    """Contacts of all folders, or of some, by id from the first above `after`. Raises DatabaseError.

    Those with this mail, this DN and this telephone number: its digits, without leading zeros.
    """
    values = {"folder_ids": folder_ids, "mail": mail, "dn": dn, "number": number, "after": after, "limit": limit}
    return read_rows(connection, dict_row, "contacts_anywhere", **values)


def read_contact(connection: Connection[Any], folder_id: int, contact_id: int) -> dict[str, Any] | None:
    """A contact with its fields; None if it does not exist. Raises DatabaseError."""
    values = {"folder_id": folder_id, "contact_id": contact_id, "internal": [*INTERNAL, "photo_digest"]}
    return next(iter(read_rows(connection, dict_row, "one_contact", **values)), None)


def read_photo(connection: Connection[Any], folder_id: int, contact_id: int) -> bytes | None:
    """The photo of a contact; None if it has none. Raises DatabaseError."""
    row = execute(connection, "photo", folder_id=folder_id, contact_id=contact_id).fetchone()
    return None if row is None else bytes(row[0])
