"""Explains why a person is in a folder or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from contactsync.errors import ContactsyncError
from contactsync.model import RejectedEntry
from contactsync.operations.contacts import find_contact, named, run_named
from contactsync.operations.directory_lookup import Hit, Lookup, Where
from contactsync.store.record.history import (
    Found,
    changes_of_contact,
    contact_of_key,
    held_like,
    rejected_like,
    trimmed_of_contact,
)
from contactsync.text import quoted

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.model import Definition

_SHOWN = 5
_WOULD = {"insert": "add", "update": "change", "delete": "delete"}


class Verdict(StrEnum):
    """The answer in a word; of several reasons the first of this order counts."""

    IN_FOLDER = "in the folder"
    OWN = "a person's own"
    HELD = "held"
    REJECTED = "rejected"
    DUE = "due"
    EXCLUDED = "excluded"
    DELETED = "deleted"
    UNKNOWN = "unknown"
    NEVER_SEEN = "never seen"


@dataclass(frozen=True, slots=True)
class Reason:
    """A verdict and the sentences behind it."""

    verdict: Verdict
    text: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that is known about a person, the most important first."""

    reasons: list[Reason]

    @property
    def verdict(self) -> Verdict:
        """The answer in a word."""
        return self.reasons[0].verdict


def explain(
    connection: Connection[Any], definition: Definition, text: str, look_up: Callable[[], Lookup]
) -> Explanation:
    """Why the person that the text means (a name, id, email, DN or uid) is in the definition's folder, or is not.

    `look_up` searches the directory; it is called only for a person who is not in the folder, and its errors are part
    of the explanation. Raises UsageError if several contacts match, DatabaseError.
    """
    contact = find_contact(connection, definition, text)
    if contact is not None and contact.present:
        return Explanation(list(_present(connection, definition, contact)))
    reasons = list(_absent(connection, definition, contact, text))
    try:
        lookup = look_up()
    except ContactsyncError as error:
        reasons.append(Reason(Verdict.UNKNOWN, f"The directory could not be searched: {error}"))
    else:
        reasons += _in_directory(connection, definition, lookup) or [_nowhere(definition, lookup, text)]
    order = list(Verdict)
    once = {reason.text: reason for reason in reasons}.values()
    return Explanation(sorted(once, key=lambda reason: order.index(reason.verdict)))


def _present(connection: Connection[Any], definition: Definition, contact: Found) -> Iterator[Reason]:
    if contact.definition_id is None:
        yield Reason(
            Verdict.OWN,
            f"{named(contact)} is a person's own contact; {definition.label} did not add it and never changes it.",
        )
        return
    changes = changes_of_contact(connection, folder_id=definition.folder_id, contact_id=contact.contact_id)
    text = f"{named(contact)} is in {definition.label}, as {contact.source_dn}."
    inserts = [change for change in changes if change.action == "insert"]
    if inserts:
        text += f" It was added by {run_named(inserts[-1].run_id, inserts[-1].trigger, inserts[-1].started_at)}."
    else:
        text += " The run that added it is older than the history."
    if changes and changes[-1].action == "update":
        last = changes[-1]
        text += f" It was last changed by {run_named(last.run_id, last.trigger, last.started_at)}."
    yield Reason(Verdict.IN_FOLDER, text)
    for field, reason, run_id in trimmed_of_contact(connection, definition, contact.contact_id, limit=_SHOWN):
        yield Reason(Verdict.IN_FOLDER, f"Run {run_id}, field {field}: {reason}.")
    yield from _held(connection, definition, text=None, contact_id=contact.contact_id)


def _absent(connection: Connection[Any], definition: Definition, contact: Found | None, text: str) -> Iterator[Reason]:
    """What the database has about a person who is not in the folder."""
    if contact is not None:
        last = changes_of_contact(connection, folder_id=definition.folder_id, contact_id=contact.contact_id)[-1]
        run = run_named(last.run_id, last.trigger, last.started_at)
        yield Reason(
            Verdict.DELETED,
            f"{named(contact)} was deleted by {run}."
            if last.action == "delete"
            else f"{named(contact)} was deleted, but not by a run; {run} was the last one that changed it.",
        )
    for entry_dn, reason, run_id in rejected_like(connection, definition, text.strip(), limit=_SHOWN):
        yield Reason(Verdict.REJECTED, f"Run {run_id} could not make a contact of {entry_dn}: {reason.rstrip('.')}.")
    yield from _held(connection, definition, text=text.strip(), contact_id=contact.contact_id if contact else None)


def _held(
    connection: Connection[Any], definition: Definition, *, text: str | None, contact_id: int | None
) -> Iterator[Reason]:
    for run_id, action, name in held_like(connection, definition, text=text, contact_id=contact_id, limit=_SHOWN):
        yield Reason(
            Verdict.HELD,
            f"Run {run_id}, which is held, would {_WOULD[action]} {name or '(no name)'}. "
            f"See `contactsync runs show {run_id}`.",
        )


def _in_directory(connection: Connection[Any], definition: Definition, lookup: Lookup) -> list[Reason]:
    reasons: list[Reason] = []
    for hit in lookup.hits:
        if isinstance(hit.mapped, RejectedEntry):
            text = f"No contact can be made of {hit.dn}: {hit.mapped.reason.rstrip('.')}."
            reasons.append(Reason(Verdict.REJECTED, text))
        elif hit.mapped is not None:
            contact = contact_of_key(connection, definition, hit.mapped.key)
            reasons += _present(connection, definition, contact) if contact else _due(connection, definition, hit)
        else:
            reasons.append(Reason(Verdict.EXCLUDED, _excluded(hit, lookup)))
    return reasons


def _due(connection: Connection[Any], definition: Definition, hit: Hit) -> list[Reason]:
    if held := list(_held(connection, definition, text=hit.dn, contact_id=None)):
        return held
    when = "the next run adds it" if definition.enabled else f"{definition.label} is paused, so no run adds it"
    return [Reason(Verdict.DUE, f"The directory has {hit.dn}, and {definition.label} selects it; {when}.")]


def _excluded(hit: Hit, lookup: Lookup) -> str:
    source = lookup.source
    why = {
        Where.FILTER: f"the filter {source.filter} excludes it",
        Where.PROVISIONING: f"preserved and staged people ({source.excluded_base}) are excluded",
        Where.SCOPE: f"it is deeper below {source.base} than the scope {source.scope.value} reaches",
        Where.BASE: f"it is not below the base {source.base}",
    }
    return f"The directory has {hit.dn}, but {why[hit.where]}."


def _nowhere(definition: Definition, lookup: Lookup, text: str) -> Reason:
    reader = definition.user or "an anonymous client"
    return Reason(
        Verdict.NEVER_SEEN,
        f"The directory ({lookup.server}) has no entry like {quoted(text)} that {reader} may read, by name, uid, email"
        " or DN.",
    )
