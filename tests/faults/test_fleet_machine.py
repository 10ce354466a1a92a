"""A Hypothesis state machine over the queue of three nodes: requests, runs, drains, ends and lost sessions.

The nodes are those of a daemon, without the daemon: their runs only wait until they are let go.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any, ClassVar

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from contactsync.dispatch.dispatcher import RunRequest
from contactsync.errors import DatabaseUnavailable
from contactsync.fleet.identity import NodeIdentity
from contactsync.fleet.listening import ListeningCallbacks
from contactsync.fleet.queue import FleetCallbacks, FleetQueue
from contactsync.fleet.schema import prepare_queue
from contactsync.model import Definition, RunReport, Trigger
from contactsync.store.pool import open_pool
from contactsync.store.record.fleet import drain_node
from tests.support.resources import database_of
from tests.support.waiting import PATIENCE, wait_until

NAMES = ("a", "b", "c")
DEFINITIONS = range(1, 7)
PER_SERVER = 2
_END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
_ALIVE = "SELECT name FROM contactsync.fleet_nodes WHERE ended_at IS NULL ORDER BY name"

names = st.sampled_from(NAMES)
definitions = st.sampled_from(DEFINITIONS)


def server_of(definition_id: int) -> str:
    """Every third definition has another server."""
    return "dc1" if definition_id % 3 else "dc2"


class Runs:
    """Runs that last until they are let go; `begun` counts them by definition."""

    def __init__(self) -> None:
        self.begun: Counter[int] = Counter()
        self.most_of_definition = self.most_of_server = 0
        self._inside: Counter[int] = Counter()
        self._let_go: Counter[int] = Counter()
        self._all = False
        self._changed = threading.Condition()

    def __call__(self, request: RunRequest) -> RunReport:
        """Make a run."""
        key = request.definition_id
        with self._changed:
            self.begun[key] += 1
            self._inside[key] += 1
            self.most_of_definition = max(self.most_of_definition, self._inside[key])
            of_server = sum(n for each, n in self._inside.items() if server_of(each) == server_of(key))
            self.most_of_server = max(self.most_of_server, of_server)
            assert self._changed.wait_for(lambda: self._all or self._let_go[key], PATIENCE)
            self._let_go[key] = 0
            self._inside[key] -= 1
        definition = Definition(folder_id=1, definition_id=key, folder="Staff")
        return RunReport(self.begun.total(), definition, request.trigger, datetime.now(UTC))

    def let_go(self, definition_id: int) -> None:
        """Let the present run of a definition end, if there is one."""
        with self._changed:
            if self._inside[definition_id]:
                self._let_go[definition_id] = 1
                self._changed.notify_all()

    def let_all_go(self, *, also_later: bool) -> None:
        """Let all runs end, and with `also_later` those that begin later."""
        for definition_id in DEFINITIONS:
            self.let_go(definition_id)
        with self._changed:
            self._all = also_later
            self._changed.notify_all()


@contextmanager
def node(database: str, runs: Runs, name: str) -> Iterator[FleetQueue]:
    """A node; at its end its runs are let go."""
    identity = NodeIdentity(name)
    callbacks = FleetCallbacks(
        work=runs,
        server_of=server_of,
        cancel=lambda _: [],
        cancel_all=lambda: None,
        listener_of=lambda _: None,
        on_run=lambda _id, _run: None,
        on_event=lambda _kind, _data: None,
        listening=lambda: 0,
        missing=lambda _: None,
        live=ListeningCallbacks(listeners=tuple, listen=lambda _: None, closed=lambda _: True),
    )
    with open_pool(database, max_size=6, timeout=10, application_name=identity.application_name) as pool:
        queue = FleetQueue(database, pool, identity, "00", callbacks, workers=4, per_server=PER_SERVER)
        queue.start()
        try:
            yield queue
        finally:
            queue.stop()
            while not queue.join(0.02):
                for definition_id in queue.running:
                    runs.let_go(definition_id)
            queue.leave()


class Nodes(RuleBasedStateMachine):
    """Three nodes, which last from example to example; each example begins and ends with an empty queue."""

    database: ClassVar[str]
    person: ClassVar[psycopg.Connection[Any]]
    runs: ClassVar[Runs]
    queues: ClassVar[dict[str, FleetQueue]]
    stacks: ClassVar[dict[str, ExitStack]]
    requests: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.owed: dict[int, int] = {}
        """How many runs of a definition had begun when it was last requested: there must be another one."""
        self.futures: list[Future[RunReport]] = []
        self.draining: set[str] = set()

    @classmethod
    def join(cls, name: str) -> None:
        """Start a node."""
        stack = cls.stacks[name] = ExitStack()
        cls.queues[name] = stack.enter_context(node(cls.database, cls.runs, name))

    @classmethod
    def leave(cls, name: str) -> None:
        """End a node in order."""
        cls.stacks[name].close()

    def teardown(self) -> None:
        """Leave nothing waiting."""
        self.come_to_rest()

    @rule(name=names, definition=definitions, trigger=st.sampled_from([Trigger.SCHEDULE, Trigger.MANUAL]))
    def request(self, name: str, definition: int, trigger: Trigger) -> None:
        """Through any node. If nothing else waits or runs, its run begins."""
        before, idle = self.runs.begun[definition], self._is_at_rest()
        self.owed[definition] = before
        self.queues[name].request(definition, trigger)
        type(self).requests += 1
        if idle:
            wait_until(lambda: self.runs.begun[definition] > before, "the run")

    @rule(name=names, definition=definitions)
    def await_run(self, name: str, definition: int) -> None:
        """Through any node, which gets the report."""
        self.owed[definition] = self.runs.begun[definition]
        self.futures.append(self.queues[name].request(definition, Trigger.MANUAL, awaited=True))
        type(self).requests += 1

    @rule(name=names, definition=definitions)
    def forget(self, name: str, definition: int) -> None:
        """A request that is withdrawn needs no run; there may be one nevertheless."""
        if self.queues[name].forget(definition):
            self.owed.pop(definition, None)

    @rule(definition=definitions)
    def let_go(self, definition: int) -> None:
        """A run ends."""
        self.runs.let_go(definition)

    @precondition(lambda self: len(self.draining) < len(NAMES) - 1)
    @rule(name=names)
    def drain(self, name: str) -> None:
        """A node begins no more runs."""
        self.draining.add(name)
        drain_node(self.person, name, draining=True)

    @precondition(lambda self: self.draining)
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        """A drained node begins runs again."""
        name = data.draw(st.sampled_from(sorted(self.draining)))
        self.draining.remove(name)
        drain_node(self.person, name, draining=False)

    @rule(name=names)
    def leave_and_join(self, name: str) -> None:
        """A node ends in order and starts again, in which case it is not drained."""
        self.leave(name)
        self.join(name)
        self.draining.discard(name)

    @rule(name=names)
    def lose_sessions(self, name: str) -> None:
        """PostgreSQL ends all sessions of a node, which connects again."""
        self.person.execute(_END_SESSIONS, [self.queues[name].node.identity.application_name])

    @rule()
    def come_to_rest(self) -> None:
        """All requests had their runs, and all who awaited one have its report."""
        wait_until(lambda: [name for (name,) in self.person.execute(_ALIVE)] == list(NAMES), "all nodes")
        for name in sorted(self.draining):
            drain_node(self.person, name, draining=False)
        self.draining.clear()
        self.runs.let_all_go(also_later=True)
        wait_until(self._is_at_rest, lambda: f"the runs: {self.owed}, begun {self.runs.begun}, {self.futures}")
        self.runs.let_all_go(also_later=False)
        for future in self.futures:
            if not future.cancelled():
                assert isinstance(future.exception(), DatabaseUnavailable | None)
        self.owed, self.futures = {}, []

    def _is_at_rest(self) -> bool:
        return (
            all(self.runs.begun[definition] > before for definition, before in self.owed.items())
            and all(future.done() for future in self.futures)
            and not any(queue.running for queue in self.queues.values())
            and not self.queues["a"].pending(DEFINITIONS)
        )

    @invariant()
    def none_too_many(self) -> None:
        """A definition runs once at a time, and a server has no more runs than it may."""
        assert self.runs.most_of_definition <= 1
        assert self.runs.most_of_server <= PER_SERVER


@pytest.fixture
def nodes(postgres_server: str, migrated_template: str) -> Iterator[None]:
    """Start the nodes."""
    with (
        database_of(postgres_server, template=migrated_template) as Nodes.database,
        psycopg.connect(Nodes.database, autocommit=True) as Nodes.person,
        ExitStack() as stack,
    ):
        prepare_queue(Nodes.database)
        Nodes.runs, Nodes.queues, Nodes.stacks, Nodes.requests = Runs(), {}, {}, 0
        for name in NAMES:
            Nodes.join(name)
            stack.callback(Nodes.leave, name)
        yield


@pytest.mark.usefixtures("nodes")
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # psycopg's pool does, in threads of its own
def test_each_request_has_its_run_and_none_runs_twice_at_once(times: int, seed: str) -> None:
    """Whatever happens to the nodes, in any order."""
    run_state_machine_as_test(
        Nodes,
        settings=settings(
            max_examples=6 * times,
            stateful_step_count=20,
            derandomize=seed == "1",
            # To search for the shortest way to a failure takes minutes: only with --faults.
            phases=[Phase.generate] if times == 1 else list(Phase),
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
    assert Nodes.requests
    assert Nodes.runs.begun
