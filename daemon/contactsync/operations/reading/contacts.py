"""The history of a contact, and why a person is in a folder or not, as documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from contactsync.operations.contacts import named
from contactsync.operations.directory_lookup import look_up
from contactsync.operations.explain import Verdict, explain
from contactsync.operations.history import Event, contact_history
from contactsync.operations.names import find_by_id
from contactsync.operations.preview import FieldChange

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.model import Definition
    from contactsync.sync.options import RunOptions


class ContactEvent(BaseModel):
    """One change of a contact: insert, update or delete by a run, or edit by a person."""

    action: str
    run_id: int | None
    trigger: str | None
    at: datetime | None
    undoes: int | None
    fields: dict[str, FieldChange]

    @classmethod
    def of_all(cls, events: Iterable[Event]) -> list[ContactEvent]:
        """The documents of several events."""
        return [
            cls(
                **{
                    **asdict(event),
                    "fields": {name: FieldChange(before=old, after=new) for name, (old, new) in event.fields.items()},
                }
            )
            for event in events
        ]


class ContactHistory(BaseModel):
    """A contact and its events, oldest first."""

    contact_id: int
    name: str = Field(
        description="The contact in a sentence.", examples=["Anna Berger <anna@example.com> (contact 12)"]
    )
    display_name: str | None
    email: str | None
    definition_id: int | None = Field(description="Null for a person's own contact.")
    present: bool = Field(description="False for a deleted contact.")
    events: list[ContactEvent]


class ReasonDocument(BaseModel):
    """A verdict and a sentence."""

    verdict: Verdict
    text: str


class Explained(BaseModel):
    """Why a person is in a folder or not; the most important reason first."""

    verdict: Verdict
    reasons: list[ReasonDocument]


def history_shown(connection: Connection[Any], definition_id: int, who: str) -> ContactHistory:
    """The history of the contact that `who` means. Raises NotFound, UsageError if several match, DatabaseError."""
    history = contact_history(connection, find_by_id(connection, definition_id), who)
    contact = history.contact
    own = ("contact_id", "display_name", "email", "definition_id", "present")
    return ContactHistory(
        **{field: getattr(contact, field) for field in own},
        name=named(contact),
        events=ContactEvent.of_all(history.events),
    )


def explained(
    connection: Connection[Any],
    definition: Definition,
    who: str,
    password: Callable[[], str | None],
    options: RunOptions,
) -> Explained:
    """Why a person is in a folder or not; searches the directory for one who is not. Raises as `explain` does."""
    explanation = explain(connection, definition, who, partial(look_up, definition, who, password, options))
    reasons = [ReasonDocument(verdict=reason.verdict, text=reason.text) for reason in explanation.reasons]
    return Explained(verdict=explanation.verdict, reasons=reasons)
