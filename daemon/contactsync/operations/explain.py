"""Says why somebody is in a folder, or is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from contactsync.errors import ContactsyncError
from contactsync.model import RejectedEntry
from contactsync.operations.contacts import find_contact, named
from contactsync.operations.directory_lookup import Hit, Sought, Where, seek
from contactsync.operations.wording import run_words
from contactsync.store.pool import connection_of
from contactsync.store.record.history import (
    Found,
    Recorded,
    changes_of_contact,
    contact_of_key,
    held_like,
    rejected_like,
)
from contactsync.store.record.holds import waiting_plan

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.model import Definition
    from contactsync.store.pool import Pool
    from contactsync.sync.runner import Runner

_SHOWN = 5


class Verdict(StrEnum):
    """The answer in a word; where several things are known, the one that matters most."""

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
    """All that is known of somebody, the most important first."""

    reasons: list[Reason]

    @property
    def verdict(self) -> Verdict:
        """The answer in a word."""
        return self.reasons[0].verdict


def explain(pool: Pool, runner: Runner, definition: Definition, text: str) -> Explanation:
    """Why the person that the text means (a name, id, email, DN or uid) is in the definition's folder, or is not.

    The directory is asked only about somebody who is not there; when it cannot be, the explanation says so. Raises
    UsageError when several contacts may be meant, DatabaseError.
    """
    with connection_of(pool) as connection:
        contact = find_contact(connection, definition, text)
        if contact is not None and contact.present:
            return Explanation(list(_present(connection, definition, contact)))
        known = list(_absent(connection, definition, contact, text))
    try:
        sought = seek(runner, definition, text)
    except ContactsyncError as error:
        asked = [Reason(Verdict.UNKNOWN, f"The directory could not be asked: {error}")]
    else:
        with connection_of(pool) as connection:
            asked = list(_asked(connection, definition, sought)) or [_nowhere(definition, sought, text)]
    return Explanation(_sorted([*known, *asked]))


def _present(connection: Connection[Any], definition: Definition, contact: Found) -> Iterator[Reason]:
    if contact.definition_id is None:
        yield Reason(
            Verdict.OWN,
            f"{named(contact)} is a person's own; {definition.label} did not bring it and never changes it.",
        )
        return
    recorded = changes_of_contact(connection, folder_id=definition.folder_id, contact_id=contact.contact_id)
    text = f"{named(contact)} is in {definition.label}, as {contact.source_dn}."
    inserts = [row for row in recorded if row.action == "insert"]
    if inserts:
        text += f" It was brought by {_run(inserts[-1])}."
    else:
        text += " It was brought before the history that is kept begins."
    if recorded and recorded[-1].action == "update":
        text += (
            f" It was last changed by {run_words(recorded[-1].run_id, recorded[-1].trigger, recorded[-1].started_at)}."
        )
    yield Reason(Verdict.IN_FOLDER, text)
    yield from _held(connection, definition, text=None, contact_id=contact.contact_id)


def _absent(connection: Connection[Any], definition: Definition, contact: Found | None, text: str) -> Iterator[Reason]:
    """What the database knows of somebody who is not in the folder."""
    if contact is not None:
        recorded = changes_of_contact(connection, folder_id=definition.folder_id, contact_id=contact.contact_id)
        last = recorded[-1]
        yield Reason(
            Verdict.DELETED,
            f"{named(contact)} was deleted by {_run(last)}."
            if last.action == "delete"
            else f"{named(contact)} is gone, but no run deleted it; {_run(last)} was the last that touched it.",
        )
    for entry_dn, reason, run_id in rejected_like(connection, definition, text.strip(), limit=_SHOWN):
        yield Reason(Verdict.REJECTED, f"Run {run_id} could not make a contact of {entry_dn}: {_ended(reason)}")
    yield from _held(connection, definition, text=text.strip(), contact_id=contact.contact_id if contact else None)


def _ended(reason: str) -> str:
    """A reason as the end of a sentence, whether it is one itself or not."""
    return f"{reason.rstrip('.')}."


def _run(row: Recorded) -> str:
    return run_words(row.run_id, row.trigger, row.started_at)


def _held(
    connection: Connection[Any], definition: Definition, *, text: str | None, contact_id: int | None
) -> Iterator[Reason]:
    plan = waiting_plan(connection, definition)
    if plan is None:
        return
    would = {"insert": "add", "update": "change", "delete": "delete"}
    key = {"folder_id": plan.folder_id, "run_id": plan.run_id}
    for action, name in held_like(connection, **key, text=text, contact_id=contact_id, limit=_SHOWN):
        yield Reason(
            Verdict.HELD,
            f"Run {plan.run_id}, which is held, would {would[action]} {name or '(no name)'}. "
            f"See `contactsync runs show {plan.run_id}`.",
        )


def _asked(connection: Connection[Any], definition: Definition, sought: Sought) -> Iterator[Reason]:
    for hit in sought.hits:
        if isinstance(hit.mapped, RejectedEntry):
            yield Reason(Verdict.REJECTED, f"No contact can be made of {hit.dn}: {_ended(hit.mapped.reason)}")
        elif hit.mapped is not None:
            contact = contact_of_key(connection, definition, hit.mapped.key)
            yield from _present(connection, definition, contact) if contact else _due(connection, definition, hit)
        else:
            yield Reason(Verdict.EXCLUDED, _excluded(hit, definition, sought))


def _due(connection: Connection[Any], definition: Definition, hit: Hit) -> Iterator[Reason]:
    held = list(_held(connection, definition, text=hit.dn, contact_id=None))
    if held:
        yield from held
        return
    when = "the next run brings it" if definition.enabled else f"{definition.label} is paused, so no run brings it"
    yield Reason(Verdict.DUE, f"The directory has {hit.dn} where {definition.label} looks for it; {when}.")


def _excluded(hit: Hit, definition: Definition, sought: Sought) -> str:
    source = sought.source
    what = {
        Where.FILTER: f"the filter {source.filter} leaves it out",
        Where.SCOPE: f"it is deeper below {source.base} than the scope {source.scope.value} reaches",
        Where.BASE: f"it is not below {source.base}, where {definition.label} looks",
    }
    return f"The directory has {hit.dn}, but {what.get(hit.where, 'it was not asked for')}."


def _nowhere(definition: Definition, sought: Sought, text: str) -> Reason:
    seen_by = f"that {definition.user} may see" if definition.user else "that everybody may see"
    return Reason(
        Verdict.NEVER_SEEN,
        f'The directory ({sought.server}) has nobody like "{text}" {seen_by}, by name, uid, email or DN.',
    )


def _sorted(reasons: list[Reason]) -> list[Reason]:
    """Each once, the most important first."""
    order = list(Verdict)
    return sorted({reason.text: reason for reason in reasons}.values(), key=lambda reason: order.index(reason.verdict))
