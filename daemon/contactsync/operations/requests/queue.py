"""Runs that users and applications request: by the API, by `contactsync.request_sync`, or by a notification.

The first two get a ticket, a row of sync_requests for each definition. The next run of a definition answers all of its
open rows (see operations/requests/tickets.py).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

import structlog

from contactsync.errors import UsageError
from contactsync.model import Trigger
from contactsync.operations.access.rights import LOCAL, Access
from contactsync.operations.audit import record_cancelled_request, record_requests
from contactsync.operations.names import match
from contactsync.operations.requests.tickets import NOTHING, Ticket, ticket_of
from contactsync.store.pool import connection_of
from contactsync.store.record.audit import acting
from contactsync.store.record.requests import (
    CHECK_REQUESTS,
    add_requests,
    cancel_request,
    open_requests,
    withdraw_requests,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from contactsync.dispatch.run_queue import RunQueue
    from contactsync.dispatch.scheduler import Schedule
    from contactsync.model import Actor, NamedDefinition, RunReport
    from contactsync.store.pool import Pool

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Submitted:
    """A request: its ticket (None if there is nothing to run), and the future report of each definition."""

    request_id: int | None
    definitions: list[NamedDefinition]
    answers: list[Future[RunReport]]


@dataclass(frozen=True, slots=True)
class Requests:
    """Hands the requests to the dispatcher; those by SQL not for definitions that are paused or not valid."""

    pool: Pool
    schedule: Schedule
    dispatcher: RunQueue
    api_seconds: float = 0.0
    """How long requests by the API are left to the node of the fleet that got them."""
    _dispatched: dict[int, frozenset[int]] = field(init=False, default_factory=dict)
    _lock: Lock = field(init=False, default_factory=Lock)
    """Held from the record of a request to its dispatch, so that `catch_up` does not dispatch it a second time."""

    def submit(
        self,
        actor: Actor,
        definitions: Sequence[NamedDefinition] | None,
        access: Access = LOCAL,
        *,
        awaited: bool = False,
    ) -> Submitted:
        """Request runs of these definitions, also of paused ones; None: of all in the scope that may run.

        The reports are certain to arrive if they are `awaited`. Raises DatabaseError.
        """
        runnable = (definition for definition in self.schedule.runnable() if access.covers(definition))
        chosen: list[NamedDefinition] = list(runnable if definitions is None else definitions)
        ids = [definition.definition_id for definition in chosen]
        asked_at = None if definitions is None else time.monotonic()
        with self._lock:
            with connection_of(self.pool) as connection, acting(connection, actor):
                record_requests(connection, actor, None if definitions is None and access.everything else chosen)
                request_id = add_requests(connection, ids, actor.label)
            pending = self.dispatcher.pending(ids)
            for definition_id in ids if request_id is not None else ():
                before = self._dispatched.get(definition_id, frozenset()) if definition_id in pending else frozenset()
                self._dispatched[definition_id] = before | {request_id or 0}
            request = partial(self.dispatcher.request, trigger=Trigger.MANUAL, asked_at=asked_at, awaited=awaited)
            answers = [request(definition_id) for definition_id in ids]
        return Submitted(request_id, chosen, answers)

    def ticket(self, request_id: int | None, *, after: int = 0, limit: int = 100) -> Ticket:
        """A ticket with a page of its runs; None is the ticket of nothing. Raises NotFound, DatabaseError."""
        if request_id is None:
            return NOTHING
        with connection_of(self.pool) as connection:
            return ticket_of(connection, request_id, self.dispatcher.places(), after=after, limit=limit)

    def cancel(self, actor: Actor, request_id: int) -> Ticket:
        """Withdraw a request where no run has started; a run that has started goes on.

        Raises NotFound, UsageError if nothing waits, DatabaseError.
        """
        with self._lock, connection_of(self.pool) as connection:
            ticket = ticket_of(connection, request_id, {}, limit=1)
            with acting(connection, actor):
                cancelled = cancel_request(connection, request_id, f"Cancelled by {actor.label}.")
                if not cancelled:
                    raise UsageError(
                        f"Request {request_id} does not wait any more: it is {ticket.state}.",
                        hint="Cancel the run that has taken it.",
                    )
                record_cancelled_request(connection, request_id, len(cancelled))
            for definition_id in set(cancelled) - open_requests(connection).keys():
                self.dispatcher.forget(definition_id, only_by_hand=True)
        return self.ticket(request_id)

    def withdraw(self, definition_id: int, reason: str, request_id: int | None) -> None:
        """Answer a ticket for one of its definitions, or all tickets of that: no run will. Raises DatabaseError."""
        with connection_of(self.pool) as connection:
            if request_id is None:
                withdraw_requests(connection, definition_id, reason)
            else:
                cancel_request(connection, request_id, reason, definition_id)

    def refuse(self, definition_id: int, reason: str) -> None:
        """Answer the open requests for a locked definition, unless a request of a user for it waits. DatabaseError.

        Else they would be dispatched again as requests of a user, with the refused password.
        """
        with self._lock:  # a request that is recorded now waits before it is refused
            if not self.dispatcher.is_waiting(definition_id):
                self.withdraw(definition_id, reason, None)

    def notified(self, payloads: set[str]) -> None:
        """Run the definitions with these names; an empty name requests all. Raises DatabaseError."""
        if CHECK_REQUESTS in payloads:
            self.catch_up()
        for name in payloads - {CHECK_REQUESTS}:
            if name:
                self._request(self._named(name), asked_at=time.monotonic())
            else:
                self._request(self.schedule.enabled(), asked_at=None)

    def catch_up(self) -> None:
        """Run the requests that no run has taken yet. Raises DatabaseError.

        Those for a definition that is paused or not valid, and that no run will answer, are withdrawn.
        """
        with self._lock:
            with connection_of(self.pool) as connection:
                requested = open_requests(connection, api_seconds=self.api_seconds)
                refused = self._refused() if requested else {}
                for definition_id in requested.keys() & refused.keys():
                    if not self.dispatcher.is_pending(definition_id):
                        withdraw_requests(connection, definition_id, refused[definition_id])
            new = [each for each, ids in requested.items() if self._is_new(each, ids)]
            self._request(new, asked_at=time.monotonic())

    def _is_new(self, definition_id: int, request_ids: list[int]) -> bool:
        """Whether a run has to be dispatched for these requests.

        A run that has just been dispatched for them takes them only when it starts.
        """
        ids = frozenset(request_ids)
        if self.api_seconds and self.dispatcher.is_waiting(definition_id):
            return False  # another node of the fleet may have requested this run, which takes them all
        if self.dispatcher.is_pending(definition_id) and ids <= self._dispatched.get(definition_id, frozenset()):
            return False
        self._dispatched[definition_id] = ids
        return True

    def _refused(self) -> dict[int, str]:
        """Why requests by SQL for a definition are not carried out, by its id."""
        return {
            each.definition_id: f"Not valid: {each.reason}" if each.reason else "The definition is paused."
            for each in self.schedule.followed
            if not each.may_run
        }

    def _named(self, name: str) -> list[int]:
        try:
            definitions = match(self.schedule.followed, name)
        except UsageError as error:
            log.warning("request.ambiguous", requested=name, error=str(error))
            return []
        if not definitions:
            log.warning("request.unknown", requested=name)
        return [definition.definition_id for definition in definitions]

    def _request(self, definition_ids: list[int], *, asked_at: float | None) -> None:
        enabled = set(self.schedule.enabled())
        for definition_id in definition_ids:
            if definition_id in enabled:
                self.dispatcher.request(definition_id, Trigger.REQUEST, asked_at=asked_at)
