"""Runs that applications request from SQL: by `contactsync.request_sync`, or by a notification with a name."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from contactsync.errors import UsageError
from contactsync.model import Trigger
from contactsync.operations.names import match
from contactsync.store.pool import connection_of
from contactsync.store.record.runs import CHECK_REQUESTS, open_requests, withdraw_requests

if TYPE_CHECKING:
    from contactsync.dispatch.dispatcher import Dispatcher
    from contactsync.dispatch.scheduler import Schedule
    from contactsync.store.pool import Pool

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SqlRequests:
    """Hands the requests to the dispatcher, except for definitions that are paused or not valid."""

    pool: Pool
    schedule: Schedule
    dispatcher: Dispatcher
    _dispatched: dict[int, frozenset[int]] = field(init=False, default_factory=dict)

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
        """Run the requests of request_sync that no run has taken yet. Raises DatabaseError.

        Those for a definition that is not valid are withdrawn with the reason.
        """
        with connection_of(self.pool) as connection:
            requested = open_requests(connection)
            invalid = self._invalid() if requested else {}
            for definition_id in requested:
                if definition_id in invalid:
                    withdraw_requests(connection, definition_id, invalid[definition_id])
        new = [each for each, ids in requested.items() if self._is_new(each, ids)]
        self._request(new, asked_at=time.monotonic())

    def _is_new(self, definition_id: int, request_ids: list[int]) -> bool:
        """Whether a run has to be dispatched for these requests.

        A run that has just been dispatched for them takes them only when it starts.
        """
        ids = frozenset(request_ids)
        if self.dispatcher.is_pending(definition_id) and ids <= self._dispatched.get(definition_id, frozenset()):
            return False
        self._dispatched[definition_id] = ids
        return True

    def _invalid(self) -> dict[int, str]:
        followed = self.schedule.followed
        return {each.definition.definition_id: f"Not valid: {each.reason}" for each in followed if each.reason}

    def _named(self, name: str) -> list[int]:
        try:
            definitions = match([followed.definition for followed in self.schedule.followed], name)
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
