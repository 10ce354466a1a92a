"""What nodes ask each other: the end of a run, and its cancellation. Answers arrive as messages, too."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from contactsync.errors import ContactsyncError, ControlError
from contactsync.fleet.answers import WITHDRAWN, decode_report
from contactsync.fleet.jobs.job import RunJob
from contactsync.model import RunReport
from contactsync.store.pool import Pool, connection_of
from contactsync.store.record.fleet import Message, await_run, send_message

ANSWER_SECONDS = 5.0
"""How long another node may take to answer."""


class Messages:
    """The questions of this node that wait for an answer, and its answers to others.

    `node_id` is that of this node at the moment. `cancel` and `on_run` as in FleetCallbacks; `on_events` gets a message
    with events.
    """

    def __init__(
        self,
        pool: Pool,
        node_id: Callable[[], int],
        *,
        cancel: Callable[[int], list[int]],
        on_run: Callable[[int, RunReport | ContactsyncError | None], None],
        on_events: Callable[[dict[str, Any]], None],
    ) -> None:
        self._pool = pool
        self._node_id = node_id
        self._cancel = cancel
        self._on_run = on_run
        self._on_events = on_events
        self._guard = threading.Lock()
        self._awaiting: dict[int, Future[RunReport]] = {}
        """Futures by the message that awaits the run."""
        self._replies: dict[int, Future[dict[str, Any]]] = {}

    @property
    def expected(self) -> bool:
        """Whether an answer is to arrive."""
        return bool(self._awaiting or self._replies)

    def await_run(self, job: RunJob, report: Future[RunReport]) -> None:
        """Complete `report` with the end of a run that is requested afterwards. Raises DatabaseError."""
        with connection_of(self._pool) as connection, self._guard:
            message_id = await_run(connection, self._node_id(), job.definition_id, asked=job.asked)
            self._awaiting[message_id] = report

    def cancel(self, run: dict[str, Any]) -> bool:
        """Cancel a run of another node, by a row; returns whether it did. Raises ControlError, DatabaseError."""
        reply: Future[dict[str, Any]] = Future()
        with connection_of(self._pool) as connection, self._guard:
            sent = send_message(
                connection, run["node_id"], "cancel", from_node=self._node_id(), body={"run_id": run["run_id"]}
            )
            self._replies[sent] = reply
        try:
            return run["run_id"] in reply.result(ANSWER_SECONDS)["cancelled"]
        except TimeoutError:
            raise ControlError(
                "The node that makes this run does not answer.", hint="See `contactsync fleet`. Try again."
            ) from None
        finally:
            with self._guard:
                self._replies.pop(sent, None)

    def receive(self, message: Message) -> None:
        """Take a message of another node."""
        body = message.body or {}
        if message.kind == "answer":
            with self._guard:
                report = self._awaiting.pop(message.reference or 0, None)
            if report:
                _complete(report, body)
        elif message.kind == "cancel":
            cancelled = self._cancel(body["run_id"])
            with connection_of(self._pool) as connection:
                send_message(
                    connection,
                    message.from_node,
                    "cancelled",
                    from_node=self._node_id(),
                    reference=message.message_id,
                    body={"cancelled": cancelled},
                )
        elif message.kind == "cancelled":
            with self._guard:
                reply = self._replies.pop(message.reference or 0, None)
            if reply:
                reply.set_result(body)
        elif message.kind == "events":
            self._on_events(body)
        elif message.kind == "run" and message.definition_id is not None:
            self._on_run(message.definition_id, _run_of(body))

    def give_up(self, error: ContactsyncError | None = None) -> None:
        """Complete what waits for the end of a run, with this error, or as cancelled."""
        with self._guard:
            awaiting, self._awaiting = list(self._awaiting.values()), {}
        for report in awaiting:
            if error:
                report.set_exception(error)
            else:
                report.cancel()


def _run_of(body: dict[str, Any]) -> RunReport | ContactsyncError | None:
    try:
        return decode_report(body) if body else None
    except ContactsyncError as error:
        return error


def _complete(report: Future[RunReport], body: dict[str, Any]) -> None:
    if body == WITHDRAWN:
        report.cancel()
        return
    try:
        report.set_result(decode_report(body))
    except ContactsyncError as error:
        report.set_exception(error)
