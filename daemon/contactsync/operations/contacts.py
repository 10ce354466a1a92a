"""Finds the one contact that a user means, and names contacts and runs in sentences."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from contactsync.errors import UsageError
from contactsync.model import Trigger
from contactsync.store.record.history import Found, contact_id_of, find_contacts
from contactsync.text import MOMENT, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import Connection

    from contactsync.model import Definition

_SHOWN = 10
_CANDIDATES = 200


def find_contact(connection: Connection[Any], definition: Definition, text: str) -> Found | None:
    """The contact with this id; else with this name, email or DN; else the only one with this in its name.

    Contacts that were deleted are searched too. Raises UsageError if several match, DatabaseError.
    """
    text = text.strip()
    if not text or "\0" in text:
        raise UsageError("There is no name to look for.", hint="Give a name or a part of it, an email, or an id.")
    candidates = find_contacts(connection, definition, text, limit=_CANDIDATES)
    for matches in _from_exact_to_partial(candidates, text):
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise _ambiguous(text, matches)
    return None


def named(contact: Found) -> str:
    """A contact in a sentence: `Anna Berger <anna@example.com> (contact 12)`."""
    email = f" <{contact.email}>" if contact.email else ""
    return f"{contact.display_name or '(no name)'}{email} (contact {contact.contact_id})"


def run_named(run_id: int, trigger: str, at: datetime) -> str:
    """A run in a sentence: `run 12 (by its schedule, 2026-11-23 17:20 CET)`."""
    return f"run {run_id} ({Trigger(trigger).words}, {at.astimezone():{MOMENT}})"


def _from_exact_to_partial(candidates: Sequence[Found], text: str) -> list[list[Found]]:
    by_id = [contact for contact in candidates if contact.contact_id == contact_id_of(text)]
    folded = text.casefold()
    exact = [
        contact
        for contact in candidates
        if folded in {(name or "").casefold() for name in (contact.display_name, contact.email, contact.source_dn)}
    ]
    present = [contact for contact in exact if contact.present]
    # Of two contacts with one name, one of them deleted, the other one is meant.
    return [by_id, present if len(present) == 1 else exact, list(candidates)]


def _ambiguous(text: str, matches: Sequence[Found]) -> UsageError:
    lines = [f"\n- {named(contact)}{'' if contact.present else ', deleted'}" for contact in matches[:_SHOWN]]
    if len(matches) > _SHOWN:
        lines.append("\n- and more")
    return UsageError(
        f"{quoted(text)} may mean several contacts:{''.join(lines)}", hint="Give the number of one of them."
    )
