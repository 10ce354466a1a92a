"""The queue of a node without a daemon, whose runs wait at a gate."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from contactsync.dispatch.dispatcher import RunRequest
from contactsync.errors import DefinitionLocked
from contactsync.fleet.callbacks import FleetCallbacks
from contactsync.fleet.identity import NodeIdentity
from contactsync.fleet.listening import ListeningCallbacks
from contactsync.fleet.queue import FleetQueue
from contactsync.model import Definition, RunReport
from contactsync.store.pool import open_pool
from tests.support.waiting import PATIENCE, wait_until


class Work:
    """Runs that wait at a gate: their order, and how many of a definition and of a server were inside at once."""

    def __init__(self) -> None:
        self.entered: list[RunRequest] = []
        self.most_of_definition = self.most_of_server = 0
        self.failing: set[int] = set()
        self._inside: Counter[int] = Counter()
        self._changed = threading.Condition()
        self._open = threading.Event()

    def __call__(self, request: RunRequest) -> RunReport:
        """Make a run."""
        definition_id = request.definition_id
        with self._changed:
            self.entered.append(request)
            number = len(self.entered)
            self._inside[definition_id] += 1
            self.most_of_definition = max(self.most_of_definition, self._inside[definition_id])
            of_server = sum(n for key, n in self._inside.items() if server_of(key) == server_of(definition_id))
            self.most_of_server = max(self.most_of_server, of_server)
        assert self._open.wait(PATIENCE)
        with self._changed:
            self._inside[definition_id] -= 1
        if definition_id in self.failing:
            raise DefinitionLocked("Staff is locked.")
        definition = Definition(folder_id=1, definition_id=definition_id, folder="Staff")
        return RunReport(number, definition, request.trigger, datetime.now(UTC))

    @property
    def ids(self) -> list[int]:
        """The definitions in the order in which their runs have started."""
        return [request.definition_id for request in self.entered]

    def open(self) -> None:
        """Let all runs through."""
        self._open.set()

    def wait_for(self, number: int) -> None:
        """Wait until so many runs have started."""
        wait_until(lambda: len(self.entered) >= number, lambda: f"{number} runs: {self.ids}")


def server_of(definition_id: int) -> str:
    """Definitions above 100 have another server."""
    return "dc1" if definition_id <= 100 else "dc2"


@contextmanager
def fleet_queue(
    database: str, work: Work, name: str, *, has_read: bool = True, server_of: Callable[[int], str] = server_of
) -> Iterator[FleetQueue]:
    """Give a node without a daemon, which has read the definitions already, or not yet."""
    identity = NodeIdentity(name)
    callbacks = FleetCallbacks(
        work=work,
        server_of=server_of if has_read else lambda _: "",
        find_server=server_of,
        cancel=lambda _: [],
        cancel_all=lambda: None,
        listener_of=lambda _: None,
        on_run=lambda _id, _run: None,
        listening=lambda: 0,
        missing=lambda _: None,
        live=ListeningCallbacks(listeners=tuple, needs=dict, listen=lambda _: None, closed=lambda _: True),
        on_event=lambda _kind, _data: None,
    )
    with open_pool(database, max_size=8, timeout=10, application_name=identity.application_name) as pool:
        queue = FleetQueue(database, pool, identity, "00", callbacks, workers=4, per_server=2)
        try:
            queue.start()
            yield queue
        finally:
            queue.stop()
            work.open()
            assert queue.join(PATIENCE)
            queue.leave()
