"""Definitions with their state: a page of a list, and one with all its fields and what is in effect."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from contactsync.model import Outcome
from contactsync.operations.access.rights import LOCAL, Access
from contactsync.operations.access.visible import visible_definition
from contactsync.operations.names import ids_of
from contactsync.store.definitions import OverviewFilters, read_overview_page

if TYPE_CHECKING:
    from psycopg import Connection

    from contactsync.dispatch.live import LiveState


State = Literal["invalid", "paused", "locked", "never_run", "ok", "held", "failing", "interrupted"]


@dataclass(frozen=True, slots=True)
class Activity:
    """What a daemon does now: definitions that run, and those with live updates, by their ids."""

    running: Collection[int] = ()
    live: Mapping[int, LiveState] = field(default_factory=dict)

    def of(self, definition_id: int) -> dict[str, Any]:
        """The fields of an overview that only a daemon knows."""
        state = self.live.get(definition_id)
        since = state.listening_since if state else None
        return {
            "running": definition_id in self.running,
            "live_since": None if since is None else datetime.fromtimestamp(since, UTC),
            "why_not_live": state.reason if state else None,
        }


NO_DAEMON = Activity()


class DefinitionOverview(BaseModel):
    """What fills a folder, its state, and its next run."""

    definition_id: int
    label: str
    folder_id: int
    folder: str
    owner: str | None
    definition: str = Field(description="The name within the folder.")
    query: str
    bind_user: str | None
    password_stored: bool
    schedule: str
    time_zone: str
    enabled: bool
    revision: int
    created_at: datetime
    state: State
    reason: str | None = Field(description="Why it is invalid, locked, held or failing.")
    error_code: str | None = Field(description="The code of the error, if it is locked or failing.")
    running: bool
    contacts: int
    last_run_id: int | None
    last_outcome: Outcome | None
    last_started_at: datetime | None
    last_success_at: datetime | None
    next_run_at: datetime | None
    live_since: datetime | None = Field(description="The start of listening to the directory; null if not listening.")
    why_not_live: str | None = Field(
        description="Why it does not listen; null if it listens, or if the mode does not require it."
    )


class Definitions(BaseModel):
    """Definitions by id; `after` of the next page, or null on the last."""

    definitions: list[DefinitionOverview]
    next_after: int | None


def definitions_page(
    connection: Connection[Any],
    activity: Activity,
    access: Access = LOCAL,
    *,
    name: str | None = None,
    after: int = 0,
    limit: int = 100,
    **filters: Any,
) -> Definitions:
    """Definitions by id from the first one above `after`, those with a name or all.

    `filters` are owner, state and text, as for `OverviewFilters`. Raises NotFound, UsageError, DatabaseError.
    """
    ids = ids_of(connection, name=name, definition_id=None, visible=access.covers)
    folder_ids = access.folder_ids(connection)
    readable = None if folder_ids is None else list(filter(access.sees_settings, folder_ids))
    wanted = OverviewFilters(ids=ids, folder_ids=folder_ids, query_folders=readable, **filters)
    rows = read_overview_page(connection, wanted, after=after, limit=limit)
    page = [visible_definition(access, DefinitionOverview(**row, **activity.of(row["definition_id"]))) for row in rows]
    return Definitions(definitions=page, next_after=page[-1].definition_id if len(page) == limit else None)
