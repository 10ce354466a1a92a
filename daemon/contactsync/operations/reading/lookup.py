"""Finds contacts in all folders, by what a caller or a mail is known by."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from contactsync.errors import UsageError
from contactsync.store.record.address_book import read_contacts_anywhere

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.operations.access.rights import Access


class ContactSummary(BaseModel):
    """A contact in a list."""

    contact_id: int
    definition_id: int | None = Field(description="Null for a person's own contact.")
    display_name: str | None
    emails: list[str]
    work_phones: list[str]
    mobile_phones: list[str]
    department: str | None
    title: str | None
    photo: bool
    photo_digest: str | None = Field(description="BLAKE2b of the photo with 16 bytes, as hexadecimal digits.")


class FoundContact(ContactSummary):
    """A contact with its folder."""

    folder_id: int
    folder: str = Field(examples=["anna/Private"])


class FoundContacts(BaseModel):
    """Contacts by id; `after` of the next page, or null on the last."""

    contacts: list[FoundContact]
    next_after: int | None


def contacts_found(
    connection: Connection[Any],
    access: Access,
    *,
    mail: str | None,
    telephone: str | None,
    dn: str | None,
    after: int = 0,
    limit: int = 100,
) -> FoundContacts:
    """A page of the contacts in the actor's folders with this mail, number and DN. Raises UsageError, DatabaseError."""
    if not (mail or telephone or dn):
        raise UsageError("There is nothing to look for.", hint="Give a mail address, a telephone number or a DN.")
    number = None if not telephone else _significant(telephone)
    if number == "":
        raise UsageError("The telephone number has no digits.", hint="Give it as it is dialled, such as +49 30 123456.")
    folders = access.folder_ids(connection)
    rows = read_contacts_anywhere(
        connection, folders, mail=mail or None, dn=dn or None, number=number, after=after, limit=limit
    )
    page = [FoundContact(**row) for row in rows]
    return FoundContacts(contacts=page, next_after=page[-1].contact_id if len(page) == limit else None)


def _significant(telephone: str) -> str:
    """The digits of a number without leading zeros: of `+49 (0)30 123`, `004930123` and `030 123`."""
    return re.sub(r"[^0-9]", "", telephone.replace("(0)", "")).lstrip("0")
