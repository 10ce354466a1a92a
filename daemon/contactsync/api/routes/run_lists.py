"""Read runs: lists, one run, what it changed and what it left out."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field

from contactsync.api.access.guard import CurrentAccess
from contactsync.api.context import Context
from contactsync.api.routes.definitions import DefinitionId
from contactsync.api.routes.read import Limit, RunId, Text
from contactsync.model import Outcome, Trigger
from contactsync.operations.access.visible import hide_entries, hide_settings, visible_run
from contactsync.operations.reading.folder_page import FolderChanges, definition_head, folder_changes
from contactsync.operations.reading.runs import RunShown, run_shown
from contactsync.operations.reading.statistics import Statistics, statistics
from contactsync.operations.runs import (
    RejectedEntries,
    Runs,
    RunWithChanges,
    TrimmedValues,
    changes_page,
    rejected_page,
    runs_page,
    trimmed_page,
)
from contactsync.store.pool import LONG_READ_SECONDS, READ_SECONDS
from contactsync.store.record.runs import LARGEST_ID

router = APIRouter(tags=["runs"])

After = Annotated[str, Query(description="`next_after` of the page before.", pattern=r"^[^\x00]*$")]


class RunQuery(BaseModel):
    """Which runs are listed."""

    definition_id: int | None = Field(None, description="Only of this definition.", ge=1, le=LARGEST_ID)
    name: str | None = Field(
        None,
        description="Only of the definition with this name, or of all of the folder with this name.",
        max_length=600,
        examples=["Staff"],
    )
    folder_id: int | None = Field(None, description="Only of this folder.", ge=1, le=LARGEST_ID)
    owner: str | None = Field(
        None,
        description="Only of folders of this owner; empty: only of shared ones.",
        max_length=200,
        pattern=r"^[^\x00]*$",
    )
    outcome: Outcome | None = Field(None, description="Only with this outcome.")
    running: bool = Field(default=False, description="Only those that have not ended.")
    trigger: Trigger | None = Field(None, description="Only with this trigger.")
    since: AwareDatetime | None = Field(None, description="Only started at this time or later.")
    until: AwareDatetime | None = Field(None, description="Only started before this time.")
    changed: bool = Field(default=False, description="Only those that changed contacts.")
    before: int | None = Field(None, description="Only older than this run.", ge=1, le=LARGEST_ID)
    limit: int = Field(100, description="Limit of the items on the page.", ge=1, le=1000)


@router.get("/runs")
def runs(context: Context, access: CurrentAccess, query: Annotated[RunQuery, Query()]) -> Runs:
    """Runs, newest first, a page at a time."""
    with context.reading() as connection:
        page = runs_page(connection, access, **dict(query))
    hide_settings(access, page.runs)
    return page


@router.get("/runs/{run_id}")
def one_run(
    run_id: RunId,
    context: Context,
    access: CurrentAccess,
    action: Annotated[Literal["insert", "update", "delete"] | None, Query(description="Only these changes.")] = None,
    after: Annotated[int, Query(description="Only contacts with an id above this.", ge=0, le=LARGEST_ID)] = 0,
    limit: Limit = 100,
) -> RunWithChanges:
    """One run with its changes, a page at a time."""
    with context.reading() as connection:
        page = changes_page(connection, run_id, action=action, after=after, limit=limit)
    hide_settings(access, [page])
    hide_entries(access, page.changes)
    return page


@router.get("/runs/{run_id}/details")
def run_details(run_id: RunId, context: Context, access: CurrentAccess, limit: Limit = 100) -> RunShown:
    """One run with its first changes, or with those that it would make, and what it left out."""
    with context.reading() as connection:
        return visible_run(access, run_shown(connection, run_id, limit=limit))


@router.get("/runs/{run_id}/rejected")
def rejected_entries(run_id: RunId, context: Context, after: After = "", limit: Limit = 100) -> RejectedEntries:
    """The entries that could not become contacts in a run, by DN, each with the reason, a page at a time."""
    with context.reading() as connection:
        return rejected_page(connection, run_id, after=after, limit=limit)


@router.get("/runs/{run_id}/trimmed")
def trimmed_values(run_id: RunId, context: Context, after: After = "", limit: Limit = 100) -> TrimmedValues:
    """The values that a run dropped or changed on their way to contacts, a page at a time."""
    with context.reading() as connection:
        return trimmed_page(connection, run_id, after=after, limit=limit)


@router.get("/definitions/{definition_id}/changes")
def definition_changes(
    definition_id: DefinitionId,
    context: Context,
    access: CurrentAccess,
    *,
    action: Annotated[Literal["insert", "update", "delete"] | None, Query(description="Only these changes.")] = None,
    text: Annotated[
        Text, Query(description="Only of contacts with each of these words in the name, in any case and accent.")
    ] = None,
    before: Annotated[
        str, Query(description="`next_before` of the page before.", pattern=r"^([0-9]{1,18}:[0-9]{1,18})?$")
    ] = "",
    limit: Limit = 100,
) -> FolderChanges:
    """What the runs of a definition changed, newest first, by contact and field, a page at a time."""
    filters = {"action": action, "text": text}
    running = definition_id in context.activity.running
    with context.reading(LONG_READ_SECONDS if text else READ_SECONDS) as connection:
        definition = {**definition_head(connection, access, definition_id), "running": running}
        return folder_changes(connection, access, definition, before=before, limit=limit, **filters)


@router.get("/definitions/{definition_id}/statistics")
def run_statistics(
    definition_id: DefinitionId,
    context: Context,
    days: Annotated[int, Query(description="Days up to today.", ge=1, le=366)] = 30,
) -> Statistics:
    """What the runs of a definition did on each of the last days."""
    with context.reading(LONG_READ_SECONDS) as connection:
        return statistics(connection, definition_id, days=days)
