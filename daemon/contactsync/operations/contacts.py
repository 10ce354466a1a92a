"""Finds the one contact that somebody means by a name, an id or an email."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contactsync.errors import UsageError
from contactsync.store.record.history import Found, contact_id_of, find_contacts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import Connection

    from contactsync.model import Definition

_SHOWN = 10
_LOOKED_AT = 200


def find_contact(connection: Connection[Any], definition: Definition, text: str) -> Found | None:
    """The contact, there or gone, with this id; else with this name, email or DN; else the only one like it.

    Raises UsageError when several are as likely, DatabaseError.
    """
    text = text.strip()
    if not text or "\0" in text:
        raise UsageError("There is no name to look for.", hint="Give a name or a part of it, an email, or an id.")
    found = find_contacts(connection, definition, text, limit=_LOOKED_AT)
    for candidates in _from_exact_to_vague(found, text):
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            raise _ambiguous(text, candidates)
    return None


def named(contact: Found) -> str:
    """A contact for people: `Anna Berger <anna@example.com> (contact 12)`."""
    email = f" <{contact.email}>" if contact.email else ""
    return f"{contact.display_name or '(no name)'}{email} (contact {contact.contact_id})"


def _from_exact_to_vague(found: Sequence[Found], text: str) -> list[list[Found]]:
    by_id = [contact for contact in found if contact.contact_id == contact_id_of(text)]
    wanted = text.casefold()
    exact = [
        contact
        for contact in found
        if wanted in {(name or "").casefold() for name in (contact.display_name, contact.email, contact.source_dn)}
    ]
    present = [contact for contact in exact if contact.present]
    # Of two with one name, one of them gone, the one that is there is meant.
    return [by_id, present if len(present) == 1 else exact, list(found)]


def _ambiguous(text: str, candidates: Sequence[Found]) -> UsageError:
    lines = [f"\n- {named(contact)}{'' if contact.present else ', gone'}" for contact in candidates[:_SHOWN]]
    if len(candidates) > _SHOWN:
        lines.append("\n- and more")
    return UsageError(f'"{text}" may mean several contacts:{"".join(lines)}', hint="Give the number of one of them.")
