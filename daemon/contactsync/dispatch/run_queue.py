"""The interface of the queue of requested runs, which has two implementations.

`dispatch.dispatcher.Dispatcher` is a queue in the process, `fleet.queue.FleetQueue` one that several daemons share in
PostgreSQL. One contract test holds both.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import Future
from typing import Protocol

from contactsync.model import RunReport, Trigger


class RunQueue(Protocol):
    """Requests for runs of definitions, and their runs.

    A definition runs once at a time. A request for a definition that waits already is the same request. A request for
    one that is running leads to another run, because the directory may have changed after it was read.
    """

    def start(self) -> None:
        """Start to run what is requested."""

    def request(
        self, definition_id: int, trigger: Trigger, *, asked_at: float | None = None, awaited: bool = False
    ) -> Future[RunReport]:
        """Run a definition as soon as possible; does not block.

        `asked_at` is the monotonic time at which a user asked for this folder, or edited it; None if all folders are
        to run, or the schedule asks. A request of a user precedes most others, and its run may offer a password again
        that was refused before that time. One request for several folders has one time, so that it is one attempt.

        The future is the report of the run that starts after the request. It is cancelled if the request is withdrawn.
        Only if the request is `awaited`, the future is certain to be completed: the run may be made elsewhere.
        """

    def forget(self, definition_id: int, *, only_by_hand: bool = False) -> bool:
        """Withdraw a request whose run has not started, with `only_by_hand` if only users need the run.

        Returns whether it was withdrawn. Raises DatabaseError.
        """

    def stop(self) -> None:
        """Start no more runs here; running ones go on."""

    def join(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for the runs of this process; True if all have ended."""

    @property
    def running(self) -> frozenset[int]:
        """The definitions that run in this process."""

    def is_pending(self, definition_id: int) -> bool:
        """Whether a definition is waiting or running, here or elsewhere. Raises DatabaseError."""

    def pending(self, definition_ids: Collection[int]) -> set[int]:
        """Those of these definitions that are waiting or running. Raises DatabaseError."""

    def is_waiting(self, definition_id: int) -> bool:
        """Whether a definition waits for a run. Raises DatabaseError."""

    def places(self) -> dict[int, int]:
        """The place in the queue, from 1, of each waiting definition. It is about right: servers take turns."""

    @property
    def waiting(self) -> int:
        """The number of waiting definitions."""

    @property
    def alive(self) -> bool:
        """Whether every thread that makes runs is alive."""
