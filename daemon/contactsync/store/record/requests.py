"""The record of requested runs, one row for each ticket and definition (`sync_requests`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row

from contactsync.store.statements import execute, read_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import Connection

CHECK_REQUESTS = ":requested"
"""The payload of a notification by `request_sync`: not the name of a folder, but "read the open requests"."""


def open_requests(connection: Connection[Any], *, api_seconds: float = 0.0) -> dict[int, list[int]]:
    """The requests of each definition that no run has taken yet, oldest first; DatabaseError.

    Requests by the API that are younger than `api_seconds` are left out.
    """
    return dict(execute(connection, "open_requests", api_seconds=api_seconds))


def add_requests(connection: Connection[Any], definition_ids: Sequence[int], actor: str) -> int | None:
    """A ticket for runs of these definitions; None if none of them exists. Raises DatabaseError."""
    row = execute(connection, "add_requests", definition_ids=list(definition_ids), actor=actor).fetchone()
    return row[0] if row else None


def withdraw_requests(connection: Connection[Any], definition_id: int, reason: str) -> None:
    """Answer the requests that no run has taken yet: none will, for this reason. Raises DatabaseError."""
    execute(connection, "withdraw_requests", definition_id=definition_id, reason=reason)


def cancel_request(
    connection: Connection[Any], request_id: int, reason: str, definition_id: int | None = None
) -> list[int]:
    """Withdraw a ticket, or its part for one definition, where no run has taken it yet; returns these definitions.

    Raises DatabaseError.
    """
    values = {"request_id": request_id, "definition_id": definition_id, "reason": reason}
    return [row[0] for row in execute(connection, "cancel_request", **values)]


def read_ticket(connection: Connection[Any], request_id: int) -> dict[str, Any] | None:
    """A ticket with the number of its definitions in each state; None if it does not exist. Raises DatabaseError."""
    return next(iter(read_rows(connection, dict_row, "ticket", request_id=request_id)), None)


def read_ticket_page(connection: Connection[Any], request_id: int, *, after: int, limit: int) -> list[dict[str, Any]]:
    """The definitions of a ticket by id, from the first above `after`, with their states. Raises DatabaseError."""
    return read_rows(connection, dict_row, "ticket_page", request_id=request_id, after=after, limit=limit)
