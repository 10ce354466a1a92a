"""Tickets: what became of the runs that users and applications requested, by the API or by SQL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from contactsync.errors import NotFound
from contactsync.model import Outcome
from contactsync.store.record.requests import read_ticket, read_ticket_page

if TYPE_CHECKING:
    from psycopg import Connection

State = Literal["queued", "running", "done", "withdrawn"]


class RequestedRun(BaseModel):
    """A requested run of one definition; `state`, `outcome` and `reason` are those of the table sync_requests."""

    definition_id: int
    label: str | None = Field(description="Null once the definition is removed.", examples=["Staff"])
    state: State = Field(
        description="queued; running: the run has started; done: it has ended; withdrawn: no run will answer, and"
        " `reason` says why."
    )
    place: int | None = Field(
        description="The place in the queue, from 1, while it waits for a worker; roughly, since servers take turns."
    )
    run_id: int | None = Field(description="The run that answers, once it has started.")
    outcome: Outcome | None = Field(description="Null until the run has ended.")
    error_code: str | None
    reason: str | None = Field(description="The error, or why the run is held, or why the request was withdrawn.")
    finished_at: datetime | None


class Ticket(BaseModel):
    """A request for runs, and a page of them by definition; `after` of the next page, or null on the last."""

    request_id: int | None = Field(description="Null if there was nothing to run.", examples=[12])
    state: State = Field(
        description="running or queued while any of its runs is; else done, or withdrawn if no run has answered."
    )
    requested_at: datetime | None
    requested_by: str | None = Field(description="The role in PostgreSQL.")
    actor: str | None = Field(description="The user of the API; null for a request by SQL.", examples=["anna"])
    definitions: int
    queued: int
    running: int
    done: int
    withdrawn: int
    requested: list[RequestedRun]
    next_after: int | None


NOTHING = Ticket(
    request_id=None, state="done", requested_at=None, requested_by=None, actor=None, definitions=0, queued=0, running=0,
    done=0, withdrawn=0, requested=[], next_after=None,
)  # fmt: skip
"""The answer to a request of all definitions if there are none."""


def ticket_of(
    connection: Connection[Any], request_id: int, places: Mapping[int, int], *, after: int = 0, limit: int = 100
) -> Ticket:
    """A ticket with a page of its runs; `places` is the queue. Raises NotFound, DatabaseError."""
    row = read_ticket(connection, request_id)
    if row is None:
        raise NotFound(f"There is no request {request_id}.", hint="Requests are kept for a week after their answer.")
    rows = read_ticket_page(connection, request_id, after=after, limit=limit)
    page = [RequestedRun(**each, place=_place(each, places)) for each in rows]
    return Ticket(
        **row, state=_state(row), requested=page, next_after=page[-1].definition_id if len(page) == limit else None
    )


def _place(row: Mapping[str, Any], places: Mapping[int, int]) -> int | None:
    return places.get(row["definition_id"]) if row["state"] == "queued" else None


def _state(row: Mapping[str, Any]) -> State:
    states: tuple[State, ...] = ("running", "queued", "done")
    return next((state for state in states if row[state]), "withdrawn")
