"""Recorded runs: lists, one run, and what it changed or would change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from contactsync.errors import NotFound
from contactsync.model import Outcome
from contactsync.operations.access.rights import LOCAL, Access
from contactsync.operations.names import ids_of
from contactsync.operations.preview import ChangeDocument
from contactsync.store.definitions import read_definitions
from contactsync.store.record.holds import held_changes, read_held_plan
from contactsync.store.record.runs import (
    LARGEST_ID,
    RunFilter,
    changes_of_run,
    read_changes,
    read_run,
    read_runs,
    rejected_of_run,
    trimmed_of_run,
)
from contactsync.sync.document import RejectedEntry, RunDocument, TrimmedValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import Connection

    from contactsync.model import Change, Definition
    from contactsync.store.record.holds import HeldPlan


class Runs(BaseModel):
    """Runs, newest first; `before` of the next page, or null on the last."""

    runs: list[RunDocument]
    next_before: int | None


class RunWithChanges(RunDocument):
    """A run and a page of its changes; `after` of the next page, or null on the last."""

    changes: list[ChangeDocument]
    next_after: int | None


class RejectedEntries(BaseModel):
    """Entries that could not become contacts in a run; `after` of the next page, or null on the last."""

    entries: list[RejectedEntry]
    next_after: str | None


class TrimmedValues(BaseModel):
    """Values that a run dropped or changed; `after` of the next page, or null on the last."""

    values: list[TrimmedValue]
    next_after: str | None


@dataclass(frozen=True, slots=True)
class RunDetails:
    """A run with its held plan, if it has one, the changes that it made or would make, and its defects."""

    run: RunDocument
    plan: HeldPlan | None
    changes: Sequence[Change]
    rejected: list[RejectedEntry]
    trimmed: list[TrimmedValue]

    @property
    def changes_left_out(self) -> int:
        """The number of changes beyond `changes`; 0 if the plan of a held run is not kept any more."""
        run = self.run
        kept = run.outcome is Outcome.CHANGED or bool(self.changes)
        return run.inserted + run.updated + run.deleted - len(self.changes) if kept else 0


def list_runs(
    connection: Connection[Any],
    definitions: Sequence[int] | None = None,
    *,
    folders: list[int] | None = None,
    before: int | None = None,
    chosen: RunFilter = RunFilter(),  # noqa: B008  (it is immutable)
    limit: int,
) -> list[RunDocument]:
    """The newest runs of the definitions and folders with these ids, or of all, newest first. Raises DatabaseError."""
    rows = read_runs(
        connection, definition_ids=definitions, folder_ids=folders, before=before, chosen=chosen, limit=limit
    )
    return [RunDocument.of_row(row) for row in rows]


def runs_page(
    connection: Connection[Any],
    access: Access = LOCAL,
    *,
    name: str | None = None,
    definition_id: int | None = None,
    before: int | None = None,
    limit: int = 100,
    **chosen: Any,
) -> Runs:
    """A page of runs, of all definitions, one, or those with a name; `chosen` are fields of RunFilter.

    Raises NotFound, UsageError, DatabaseError.
    """
    ids = ids_of(connection, name=name, definition_id=definition_id, visible=access.covers)
    folders = access.folder_ids(connection)
    page = list_runs(connection, ids, folders=folders, before=before, chosen=RunFilter(**chosen), limit=limit)
    return Runs(runs=page, next_before=page[-1].run_id if len(page) == limit else None)


def changes_page(
    connection: Connection[Any], run_id: int, *, action: str | None = None, after: int = 0, limit: int = 100
) -> RunWithChanges:
    """A run with its changes, or those of one kind, by contact id above `after`. Raises NotFound, DatabaseError."""
    run = require_run(connection, run_id)
    key = {"folder_id": run.folder_id, "run_id": run_id}
    changes = read_changes(connection, **key, action=action, after=after, limit=limit)
    return RunWithChanges(
        **dict(run),
        changes=ChangeDocument.of_all(changes),
        next_after=changes[-1].contact_id if len(changes) == limit else None,
    )


def rejected_page(connection: Connection[Any], run_id: int, *, after: str = "", limit: int = 100) -> RejectedEntries:
    """A page of the entries that a run rejected, by DN. Raises NotFound, DatabaseError."""
    run = require_run(connection, run_id)
    dn, _, reason = after.rpartition("\n")
    rows = rejected_of_run(connection, folder_id=run.folder_id, run_id=run_id, after=(dn, reason), limit=limit)
    entries = [RejectedEntry(dn=dn, reason=reason) for dn, reason in rows]
    return RejectedEntries(entries=entries, next_after="\n".join(rows[-1]) if len(rows) == limit else None)


def trimmed_page(connection: Connection[Any], run_id: int, *, after: str = "", limit: int = 100) -> TrimmedValues:
    """A page of the values that a run dropped or changed, by DN and field. Raises NotFound, DatabaseError."""
    run = require_run(connection, run_id)
    dn, field, reason = (["", "", *after.rsplit("\n", 2)])[-3:]
    rows = trimmed_of_run(connection, folder_id=run.folder_id, run_id=run_id, after=(dn, field, reason), limit=limit)
    values = [TrimmedValue(dn=dn, field=field, reason=reason) for dn, field, reason in rows]
    return TrimmedValues(values=values, next_after="\n".join(rows[-1]) if len(rows) == limit else None)


def require_run(connection: Connection[Any], run_id: int) -> RunDocument:
    """A run. Raises NotFound, DatabaseError."""
    row = read_run(connection, run_id) if 0 < run_id <= LARGEST_ID else None
    if row is None:
        raise NotFound(f"There is no run {run_id}.", hint="`contactsync runs` lists the newest ones.")
    return RunDocument.of_row(row)


def require_definition(connection: Connection[Any], run: RunDocument) -> Definition:
    """The definition of a run. Raises NotFound, DatabaseError."""
    for definition in read_definitions(connection, [run.definition_id]):
        return definition
    raise NotFound(
        f"{run.label}, the definition of run {run.run_id}, does not exist any more.",
        hint="Its contacts were removed with it, or are people's own now.",
    )


def run_details(connection: Connection[Any], run_id: int, limit: int | None) -> RunDetails:
    """A run with the first `limit` of its changes (None: all). Raises NotFound, DatabaseError."""
    run = require_run(connection, run_id)
    plan = read_held_plan(connection, run_id)
    if plan is not None:
        changes = held_changes(connection, plan, limit=limit)
    else:
        changes = changes_of_run(connection, folder_id=run.folder_id, run_id=run_id, limit=limit)
    rows = trimmed_of_run(connection, folder_id=run.folder_id, run_id=run_id)
    trimmed = [TrimmedValue(dn=dn, field=field, reason=reason) for dn, field, reason in rows]
    return RunDetails(run, plan, changes, rejected_entries(connection, run), trimmed)


def rejected_entries(connection: Connection[Any], run: RunDocument, *, limit: int = 100) -> list[RejectedEntry]:
    """The first entries that a run rejected. Raises DatabaseError."""
    rows = rejected_of_run(connection, folder_id=run.folder_id, run_id=run.run_id or 0, limit=limit)
    return [RejectedEntry(dn=dn, reason=reason) for dn, reason in rows]
