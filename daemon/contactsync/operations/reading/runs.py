"""One run with everything that people want to know about it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from contactsync.operations.decisions import state_sentence
from contactsync.operations.preview import ChangeDocument
from contactsync.operations.runs import run_details
from contactsync.sync.document import RejectedEntry, RunDocument, TrimmedValue

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.store.record.holds import HeldPlan


class Held(BaseModel):
    """The state of a held plan."""

    state: str = Field(examples=["waiting"])
    sentence: str = Field(description="The state for people.")
    expires_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    settled_by: int | None
    replaced_by: int | None = Field(description="The newer run that would lose the same.")


class RunShown(RunDocument):
    """A run, what it changed or would change, and what it left out."""

    held: Held | None = Field(description="Null unless the run was held.")
    changes: list[ChangeDocument] = Field(description="The first changes, by action and name.")
    changes_left_out: int
    rejected_entries: list[RejectedEntry]
    trimmed_values: list[TrimmedValue]


def run_shown(connection: Connection[Any], run_id: int, *, limit: int = 100) -> RunShown:
    """A run with the first `limit` of its changes. Raises NotFound, DatabaseError."""
    details = run_details(connection, run_id, limit)
    return RunShown(
        **dict(details.run),
        held=details.plan and _held(details.plan),
        changes=ChangeDocument.of_all(details.changes),
        changes_left_out=details.changes_left_out,
        rejected_entries=details.rejected,
        trimmed_values=details.trimmed,
    )


def _held(plan: HeldPlan) -> Held:
    own = {name: getattr(plan, name) for name in Held.model_fields.keys() - {"sentence"}}
    return Held(**own, sentence=state_sentence(plan))
